"""A run that cannot be recovered holds up no other, and ends all the same."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from backend.agents.models import Conversation, Run, Step
from backend.agents.runs import lease, recovery, settlement
from backend.agents.stream.publish import recorded
from backend.agents.tests.conftest import row
from backend.agents.tests.test_reaper import begin_step, claimed, expire, shown
from backend.agents.tests.test_runner import assert_settled
from backend.agents.tests.test_runs import start
from backend.billing import operations as billing
from backend.billing import queries as wallets
from backend.http.ids import decode
from tests.actors import Person

pytestmark = pytest.mark.django_db


def lost(run: dict[str, Any], text: str = "The fee ") -> Run:
    """Its worker had sent the first step, stored some text and died."""
    worker = claimed(run)
    step = begin_step(worker)
    model = worker.agent_version.model
    Step.objects.filter(pk=step.pk).update(model=model, provider="fake-chat" if model == "chat" else model)
    lease.checkpoint(worker, {"parts": [{"type": "text", "text": text}], "citations": []})
    expire(worker)
    return worker


def rename_model(settings: Settings, old: str, new: str) -> None:
    path = settings.MODELS_FILE
    path.write_text(path.read_text().replace(f'name = "{old}"\n', f'name = "{new}"\n'))


def fails_for(monkeypatch: pytest.MonkeyPatch, broken: set[Any], target: Any, name: str) -> None:
    """Calls of the function that name one of these runs raise."""
    real = getattr(target, name)

    def raising(**given: Any) -> Any:
        if given.get("run_id", given.get("reference")) in broken:
            raise ZeroDivisionError("a bug")
        return real(**given)

    monkeypatch.setattr(target, name, raising)


def again(run: Run | None = None) -> list[Any]:
    """The next sweep, once what was set aside is due."""
    Run.objects.exclude(recovery_after=None).update(recovery_after=timezone.now())
    return recovery.sweep()


@pytest.mark.parametrize("kept", [True, False])
def test_a_model_that_is_gone_stops_no_other_run(ask: Any, owner: Person, settings: Settings, kept: bool) -> None:
    """Without its offer, as runs of before, the first is charged nothing: its model has no price any more."""
    bad, good = ask(carry=False, model="fake-slow"), ask(carry=False)
    lost(bad)
    lost(good)
    if not kept:
        Run.objects.filter(pk=decode("run", bad["id"])).update(offer=None)
    rename_model(settings, "fake-slow", "renamed")

    assert recovery.sweep() == []

    for run in (bad, good):
        after = shown(owner, run)
        assert (after["status"], after["error"]["code"]) == ("failed", "worker_lost")
        charged = run is good or kept
        assert (Decimal(after["cost"]) > 0) == charged
        assert bool(after["usage"]["output_tokens"]) == charged
    assert wallets.balance(owner.workspace.pk).held == 0
    assert wallets.discrepancies() == []


def test_a_row_that_breaks_recovery_stops_no_other_run(
    ask: Any, owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good, old = ask(carry=False), ask(carry=False), ask(carry=False)
    for run in (bad, good):
        lost(run)
    Run.objects.filter(pk=decode("run", old["id"])).update(created_at=timezone.now() - timedelta(hours=2))
    fails_for(monkeypatch, {decode("run", bad["id"])}, settlement, "finish")

    recovery.sweep()

    assert shown(owner, good)["status"] == "failed"
    assert shown(owner, old)["error"]["code"] == "timed_out"
    stuck = row(bad)
    assert (stuck.status, stuck.recovery_failures) == ("running", 1)
    assert stuck.recovery_after is not None
    assert stuck.recovery_after > timezone.now()


def test_many_bad_rows_in_front_starve_no_other(ask: Any, owner: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "BATCH", 2)
    runs = [ask(carry=False) for _ in range(3)]
    for run in runs:
        lost(run)
    fails_for(monkeypatch, {decode("run", run["id"]) for run in runs[:2]}, settlement, "finish")

    recovery.sweep()
    assert row(runs[2]).status == "running"
    again()

    assert row(runs[2]).status == "failed"
    assert [row(run).recovery_failures for run in runs[:2]] == [2, 1]


def test_a_run_that_can_never_be_settled_ends_all_the_same(
    ask: Any, owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ask(carry=False)
    lost(run)
    fails_for(monkeypatch, {run["id"]}, billing, "capture")

    for _ in range(recovery.MAX_FULL_RECOVERIES + 1):
        again()
        assert row(run).status == "running"
    again()

    after = shown(owner, run)
    assert (after["status"], after["error"]["code"], after["cost"]) == ("failed", "worker_lost", "0.00")
    assert [event.name for event in recorded(decode("run", run["id"]))][-1] == "run.failed"
    assert owner.post(f"/api/v1/runs/{run['id']}/retry").status_code == 202
    assert wallets.discrepancies() == []


def test_a_step_that_cannot_be_priced_is_left_out_in_the_end(ask: Any, owner: Person) -> None:
    run = ask(carry=False)
    worker = lost(run)
    Run.objects.filter(pk=worker.pk).update(offer={"name": "no price, no limits"})

    for _ in range(recovery.MAX_FULL_RECOVERIES):
        again()
        assert row(run).status == "running"
    again()

    after = shown(owner, run)
    assert (after["status"], after["cost"]) == ("failed", "0.00")
    assert_settled(owner, after)


def test_a_waiting_run_that_cannot_be_let_through_stops_no_other(
    owner: Person, agent: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [owner.post("/api/v1/conversations", {"agent": agent["id"]}).json() for _ in range(2)]
    bad, good = [start(owner, conversation).json() for conversation in made]
    Run.objects.update(waits=True)
    real, broken = settlement.promote, decode("cnv", made[0]["id"])

    def promote(conversation_id: Any) -> Any:
        if conversation_id == broken:
            raise ZeroDivisionError("a bug")
        return real(conversation_id)

    monkeypatch.setattr(settlement, "promote", promote)

    assert recovery.sweep() == [decode("run", good["id"])]
    assert (row(bad).waits, row(bad).recovery_failures, row(good).waits) == (True, 1, False)


def test_a_conversation_that_cannot_be_purged_keeps_back_no_other(
    owner: Person, agent: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "BATCH", 1)
    bad, good = [owner.post("/api/v1/conversations", {"agent": agent["id"]}).json() for _ in range(2)]
    for conversation in (bad, good):
        owner.delete(f"/api/v1/conversations/{conversation['id']}")
    manager, real = Conversation.objects.all().__class__, Conversation.objects.all().__class__.delete

    def delete(found: Any) -> Any:
        if found.filter(pk=decode("cnv", bad["id"])).exists():
            raise ZeroDivisionError("a bug")
        return real(found)

    monkeypatch.setattr(manager, "delete", delete)

    assert [recovery.purge_deleted() for _ in range(3)] == [0, 1, 0]
    assert [conversation.public_id for conversation in Conversation.objects.all()] == [bad["id"]]
