"""Runs whose worker died, whose notification was lost, or that no worker ever took."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from backend.agents.models import Run, Step
from backend.agents.runs import lease, recovery, runner
from backend.agents.stream.publish import publish, recorded
from backend.agents.tests.conftest import row
from backend.agents.tests.test_runner import answer_of, assert_settled
from backend.agents.tests.test_runs import balance, start
from backend.http.ids import decode
from tests.actors import Person
from tests.providers import FakeProvider

pytestmark = pytest.mark.django_db


def claimed(run: dict[str, Any]) -> Run:
    """Taken by a worker that then dies: its lease has run out."""
    taken = lease.claim(decode("run", run["id"]))
    assert taken is not None
    expire(taken)
    return taken


def expire(run: Run) -> None:
    Run.objects.filter(pk=run.pk, status__in=["running", "cancelling"]).update(lease_until=timezone.now())


def begin_step(run: Run) -> Step:
    """The worker had stored its first request, and sent it for all we know."""
    step = Step(
        run=run,
        attempt=run.attempt,
        index=1,
        kind="model",
        model="chat",
        provider="fake-chat",
        request={"estimated_input_tokens": 100},
    )
    lease.begin_step(run, step)
    return step


def shown(person: Person, run: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = person.get(f"/api/v1/runs/{run['id']}").json()
    return found


def test_a_run_that_sent_nothing_is_queued_again_twice(ask: Any, owner: Person, provider: FakeProvider) -> None:
    run = ask(carry=False)
    for attempt in (2, 3):
        claimed(run)
        assert recovery.sweep() == [decode("run", run["id"])]
        assert (row(run).status, row(run).attempt) == ("queued", attempt)
    claimed(run)

    assert recovery.sweep() == []

    after = shown(owner, run)
    assert (after["status"], after["error"]["code"]) == ("failed", "worker_lost")
    assert after["cost"] == "0.00"
    assert provider.requests == []
    assert_settled(owner, after)


def test_a_run_queued_again_is_carried_by_the_next_worker(ask: Any, owner: Person) -> None:
    run = ask(carry=False)
    claimed(run)
    [again] = recovery.sweep()

    runner.execute(run_id=again)

    after = shown(owner, run)
    assert (after["status"], after["attempt"]) == ("completed", 2)
    assert [event.position[0] for event in recorded(again)][-1] == 3  # Claimed twice, fenced off once.
    assert_settled(owner, after)


def test_a_run_that_was_sent_fails_and_keeps_its_text(ask: Any, owner: Person, provider: FakeProvider) -> None:
    run = ask(carry=False)
    worker = claimed(run)
    begin_step(worker)
    lease.checkpoint(worker, {"parts": [{"type": "text", "text": "The fee "}], "citations": []})
    expire(worker)

    assert recovery.sweep() == []

    after = shown(owner, run)
    assert (after["status"], after["error"]["code"], after["error"]["retryable"]) == ("failed", "worker_lost", True)
    answer = answer_of(owner, after)
    assert (answer["status"], answer["parts"]) == ("failed", [{"type": "text", "text": "The fee "}])
    assert after["usage"]["input_tokens"] == 100
    assert Decimal(after["cost"]) > 0
    assert_settled(owner, after)
    events = recorded(worker.pk)[-3:]
    assert [event.name for event in events] == ["step.finished", "message.completed", "run.failed"]
    [step] = owner.get(f"/api/v1/runs/{run['id']}/steps").json()["results"]
    assert (step["error"]["code"], step["usage"]["input_tokens"]) == ("worker_lost", 100)
    assert events[0].payload == step
    assert owner.post(f"/api/v1/runs/{run['id']}/retry").status_code == 202
    with pytest.raises(lease.RunLost):  # The worker was only slow, and comes back.
        lease.checkpoint(worker, None)


def test_the_tail_comes_from_the_stream_where_it_still_is(ask: Any, owner: Person) -> None:
    run = ask(carry=False)
    worker = claimed(run)
    begin_step(worker)
    lease.checkpoint(worker, {"parts": [{"type": "text", "text": "The fee "}], "citations": []})
    expire(worker)
    message = {"message": run["output_message"], "part": 0}
    publish(
        run_id=worker.pk,
        epoch=worker.epoch,
        events=[
            ("message.started", {"message": {}}),
            ("text.delta", {**message, "delta": "The fee "}),
            ("text.delta", {**message, "delta": "is nine."}),
        ],
    )

    recovery.sweep()

    assert answer_of(owner, run)["parts"] == [{"type": "text", "text": "The fee is nine."}]


def test_what_was_asked_to_stop_counts_as_stopped(ask: Any, owner: Person) -> None:
    run = ask(carry=False)
    taken = lease.claim(decode("run", run["id"]))
    assert taken is not None
    begin_step(taken)
    assert owner.post(f"/api/v1/runs/{run['id']}/cancel").json()["status"] == "cancelling"
    expire(taken)

    recovery.sweep()

    after = shown(owner, run)
    assert (after["status"], after["error"]) == ("cancelled", None)
    assert_settled(owner, after)


def test_a_lost_notification_is_repeated(ask: Any) -> None:
    run = ask(carry=False)
    assert recovery.sweep() == []
    Run.objects.update(notified_at=timezone.now() - timedelta(minutes=1))

    assert recovery.sweep() == [decode("run", run["id"])]
    assert recovery.sweep() == []


def test_a_run_that_no_worker_took_fails(ask: Any, owner: Person) -> None:
    run = ask(carry=False)
    Run.objects.update(created_at=timezone.now() - timedelta(hours=2))

    assert recovery.sweep() == []

    after = shown(owner, run)
    assert (after["status"], after["error"]["code"]) == ("failed", "timed_out")
    assert_settled(owner, after)


def test_the_next_run_starts_when_a_dead_one_ends(owner: Person, conversation: dict[str, Any]) -> None:
    first = start(owner, conversation, "One?").json()
    second = start(owner, conversation, "Two?", when_busy="queue").json()
    begin_step(claimed(first))
    Run.objects.filter(pk=decode("run", first["id"])).update(lease_until=timezone.now())

    assert recovery.sweep() == [decode("run", second["id"])]
    assert balance(owner)["held"] == Decimal(second["reserved"])


def test_a_run_that_waits_for_an_ended_one_is_let_through(owner: Person, conversation: dict[str, Any]) -> None:
    run = start(owner, conversation).json()
    Run.objects.update(waits=True)

    assert recovery.sweep() == [decode("run", run["id"])]
    assert row(run).waits is False


def test_a_living_lease_is_left_alone(ask: Any) -> None:
    run = ask(carry=False)
    assert lease.claim(decode("run", run["id"])) is not None

    assert recovery.sweep() == []
    assert row(run).status == "running"
