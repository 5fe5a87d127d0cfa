"""The hand-written statements: what they store is what the models read, and how few there are."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import DataError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from backend.agents.models import Message, Run, Step
from backend.agents.runs import lease, sql
from backend.agents.runs.lease import RunLost
from backend.agents.tests.conftest import Ask, row
from backend.db import sql as database
from backend.http.ids import decode, new_id
from tests.actors import Person

TEXT = 'Ünïcode "quotes" \\ %s 𝄞\nand a second line'


def test_what_is_asked_is_stored_whole(owner: Person, conversation: dict[str, Any]) -> None:
    asked = owner.post(f"/api/v1/conversations/{conversation['id']}/runs", {"input": TEXT, "max_cost": "0.5"}).json()

    run = Run.objects.select_related("input_message", "output_message", "conversation").get()
    assert (run.public_id, run.status, run.max_cost, run.usage, run.error) == (asked["id"], "queued", 500_000, {}, None)
    assert run.input_message.parts == [{"type": "text", "text": TEXT}]
    assert (run.output_message.status, run.output_message.parts) == ("streaming", [])
    assert run.output_message.parent_id == run.input_message_id
    assert run.conversation.head_id == run.output_message_id
    assert run.conversation.title == " ".join(TEXT.split())


@pytest.mark.parametrize("turns", [1, 6])
def test_asking_takes_as_few_statements_however_long_the_conversation(
    owner: Person, conversation: dict[str, Any], turns: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(turns):
        run = owner.post(f"/api/v1/conversations/{conversation['id']}/runs", {"input": "And?"}).json()
        owner.post(f"/api/v1/runs/{run['id']}/cancel")

    # The membership; savepoint, conversation, situation, history, rows, hold, release of the savepoint.
    with django_assert_num_queries(8):
        answer = owner.post(f"/api/v1/conversations/{conversation['id']}/runs", {"input": "And now?"})

    assert answer.status_code == 202, answer.content
    assert Message.objects.count() == 2 * (turns + 1)


def test_a_worker_claims_with_all_it_needs(ask: Ask, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    shown = ask(TEXT, carry=False)
    run_id = decode("run", shown["id"])

    with django_assert_num_queries(1):
        run = lease.claim(run_id)
        assert run is not None
        assert run.agent_version.agent.name == "Reader"
        assert run.input_message.text == TEXT
        assert run.output_message.run is run
    assert (run.status, run.epoch) == ("running", 1)
    assert lease.claim(run_id) is None

    stored = row(shown)
    for field in Run._meta.concrete_fields:
        assert getattr(run, field.attname) == getattr(stored, field.attname), field.name


def test_a_step_is_stored_once_and_only_by_the_owner_of_the_run(ask: Ask) -> None:
    run_id = decode("run", ask(carry=False)["id"])
    run = lease.claim(run_id)
    assert run is not None
    step = Step(run=run, attempt=1, index=1, kind="model", model="m", provider="p", request={"messages": 1})

    assert sql.begin_step(run, step) is False
    assert sql.begin_step(run, step) is False
    Run.objects.filter(pk=run_id).update(status="cancelling", cancel_requested_at=timezone.now())
    assert sql.begin_step(run, step) is True
    Run.objects.filter(pk=run_id).update(epoch=2)
    late = Step(run=run, attempt=1, index=2, kind="model", model="m", provider="p")
    assert sql.begin_step(run, late) is None

    [stored] = Step.objects.all()
    assert (stored.pk, stored.request, stored.started_at) == (step.pk, {"messages": 1}, step.started_at)
    assert stored.cost == 0


def test_a_text_too_long_for_its_column_is_refused_not_cut(ask: Ask) -> None:
    run = lease.claim(decode("run", ask(carry=False)["id"]))
    assert run is not None
    step = Step(run=run, attempt=1, index=1, kind="model", model="m" * 201, provider="p")

    with pytest.raises(DataError):
        sql.begin_step(run, step)


def test_a_checkpoint_stores_the_answer_only_for_the_owner_of_the_run(
    ask: Ask, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    run = lease.claim(decode("run", ask(carry=False)["id"]))
    assert run is not None
    before, parts = run.lease_until, [{"type": "text", "text": TEXT}]
    assert before is not None

    with django_assert_num_queries(1):
        assert lease.checkpoint(run, {"parts": parts, "citations": []}) is False
    stored = Run.objects.select_related("output_message").get()
    assert stored.output_message.parts == parts
    assert stored.lease_until is not None
    assert stored.lease_until > before
    Run.objects.update(status="cancelling", cancel_requested_at=timezone.now())
    assert lease.checkpoint(run, None) is True
    Run.objects.update(epoch=2)
    with pytest.raises(RunLost):
        lease.checkpoint(run, {"parts": [], "citations": []})

    assert Run.objects.select_related("output_message").get().output_message.parts == parts


@pytest.mark.parametrize("threshold", [None, 2**31])
@pytest.mark.django_db(transaction=True)
def test_statements_work_with_and_without_preparing(threshold: int | None, settings: Settings) -> None:
    connection.ensure_connection()
    connection.connection.prepare_threshold = threshold
    count = "SELECT count(*) FROM pg_prepared_statements"
    before = connection.connection.execute(count, prepare=False).fetchone()[0]  # What earlier tests left.
    moment = timezone.now() + timedelta(days=1)
    for _ in range(3):
        assert database.row("SELECT %s::uuid, %s::timestamptz, %s::int", [None, moment, 7]) == (None, moment, 7)
    with CaptureQueriesContext(connection) as captured:
        assert database.rows("SELECT 1 WHERE %s::uuid IS NULL", [new_id()]) == []
    assert len(captured) == 1
    prepared = connection.connection.execute(count, prepare=False).fetchone()[0]
    assert (prepared > before) is (threshold is not None)


@pytest.mark.django_db(transaction=True)
def test_a_run_that_is_committed_while_a_claim_waits_is_claimed_with_all_it_needs(ask: Ask) -> None:
    """The claim's statement began before the run existed; its function sees the run all the same, and takes it."""
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"

    def claim() -> Run | None:
        try:
            return lease.claim(None)
        finally:
            connection.close()

    with connection.cursor() as cursor, ThreadPoolExecutor(1) as pool:
        cursor.execute("SELECT pg_advisory_lock(hashtextextended('agents_claim_run', 0))")
        claiming = pool.submit(claim)
        while not claiming.done() and database.row(waiting, []) == (0,):
            pass
        shown = ask(TEXT, carry=False)
        cursor.execute("SELECT pg_advisory_unlock(hashtextextended('agents_claim_run', 0))")
        run = claiming.result()

    assert run is not None
    assert run.public_id == shown["id"]
    assert (run.input_message.text, run.agent_version.agent.name) == (TEXT, "Reader")
