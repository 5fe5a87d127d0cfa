"""Starting, queueing, cancelling and retrying runs through HTTP; the money set aside for them."""

from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ObjectDoesNotExist
from django.db import IntegrityError, transaction
from django.utils import timezone

from backend.agents.models import Conversation, Message, Run
from backend.agents.runs import runner
from backend.agents.tests.conftest import row
from backend.billing import operations as billing
from backend.http.ids import decode, encode, new_id
from tests.actors import Person
from tests.providers import FakeProvider, Reply

pytestmark = pytest.mark.django_db


def balance(person: Person) -> dict[str, Decimal]:
    shown = person.get("/api/v1/billing/balance").json()
    return {name: Decimal(shown[name]) for name in ("available", "held", "posted")}


def start(person: Person, conversation: dict[str, Any], text: str = "Hello?", **fields: Any) -> Any:
    return person.post(f"/api/v1/conversations/{conversation['id']}/runs", {"input": text, **fields})


def carry(run: dict[str, Any]) -> None:
    runner.execute(run_id=decode("run", run["id"]))


def spend_down_to(person: Person, micro: int) -> None:
    billing.adjust(
        workspace_id=person.workspace.pk, amount=micro - 5_000_000, description="Spent elsewhere", key="spent"
    )


def test_a_question_is_accepted_with_its_rows_and_its_hold(owner: Person, conversation: dict[str, Any]) -> None:
    response = start(owner, conversation, "  How much is\na licence? ")

    run = response.json()
    assert response.status_code == 202, run
    assert response["Location"] == f"/api/v1/runs/{run['id']}"
    assert owner.get(response["Location"]).json() == run
    assert (run["status"], run["attempt"], run["cost"], run["error"]) == ("queued", 1, "0.00", None)
    held = Decimal(run["reserved"])
    assert Decimal("0.001") < held < Decimal("0.05")
    assert balance(owner) == {"available": 5 - held, "held": held, "posted": 5}
    question, answer = owner.get(f"/api/v1/conversations/{conversation['id']}/messages").json()["results"]
    assert (question["id"], answer["id"]) == (run["input_message"], run["output_message"])
    assert question["parts"] == [{"type": "text", "text": "  How much is\na licence? "}]
    assert (answer["parent"], answer["status"], answer["parts"]) == (question["id"], "streaming", [])
    assert answer["run"] == run["id"]
    shown = owner.get(f"/api/v1/conversations/{conversation['id']}").json()
    assert (shown["title"], shown["active_run"], shown["head"]) == ("How much is a licence?", run["id"], answer["id"])


def test_a_hold_is_so_small_that_a_balance_allows_many_runs(owner: Person, provider: FakeProvider) -> None:
    from backend.agents.tests.test_agents import make_collection

    agent = owner.post("/api/v1/agents", {"name": "A", "knowledge": [{"collection": make_collection(owner)}]}).json()
    run = owner.post("/api/v1/conversations", {"agent": agent["id"], "input": "What?"}).json()["run"]

    assert Decimal(run["reserved"]) < Decimal("0.10")  # At 1.00 and 4.00 per million tokens, with four steps.


def test_without_the_money_nothing_is_left_behind(owner: Person, conversation: dict[str, Any]) -> None:
    spend_down_to(owner, 1000)

    response = start(owner, conversation)

    assert (response.status_code, response.json()["code"]) == (402, "insufficient_balance")
    assert Decimal(response.json()["available"]) == Decimal("0.001")
    assert not Run.objects.exists()
    assert not Message.objects.exists()
    assert Conversation.objects.get().title == ""
    assert balance(owner)["held"] == 0


def test_max_cost_bounds_the_hold(owner: Person, conversation: dict[str, Any]) -> None:
    run = start(owner, conversation, max_cost="0.002").json()

    assert (run["reserved"], run["max_cost"]) == ("0.002", "0.002")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "validation_error"),
        ({"input": ""}, "validation_error"),
        ({"input": " \n "}, "validation_error"),
        ({"input": 7, "when_busy": "perhaps"}, "validation_error"),
        ({"input": ["Hello"]}, "validation_error"),
        ({"input": "x" * 32_001}, "context_too_long"),
        ({"input": "x" * 1_000_000}, "context_too_long"),
        ({"input": "Hello?", "max_cost": "0"}, "validation_error"),
        ({"input": "Hello?", "max_cost": "much"}, "validation_error"),
        ({"input": "Hello?", "regenerate_of": "msg_01h455vb4pex5vsknk084sn02q"}, "validation_error"),
        ({"regenerate_of": "nonsense"}, "validation_error"),
    ],
)
def test_bad_questions_are_refused(owner: Person, conversation: dict[str, Any], body: Any, code: str) -> None:
    response = owner.post(f"/api/v1/conversations/{conversation['id']}/runs", body)

    assert (response.status_code, response.json()["code"]) == (422, code), response.content
    assert not Run.objects.exists()


def test_a_body_above_the_limit_is_too_large(owner: Person, conversation: dict[str, Any]) -> None:
    assert start(owner, conversation, "x" * 1_100_000).status_code == 413


def test_text_that_fills_the_window_is_too_long(owner: Person, conversation: dict[str, Any]) -> None:
    response = start(owner, conversation, "語" * 31_900)

    assert (response.status_code, response.json()["code"]) == (422, "context_too_long")


def test_a_model_without_price_is_not_run(owner: Person, provider: FakeProvider) -> None:
    agent = owner.post("/api/v1/agents", {"name": "A", "model": "unpriced"}).json()
    conversation = owner.post("/api/v1/conversations", {"agent": agent["id"]}).json()

    response = start(owner, conversation)

    assert (response.status_code, response.json()["code"]) == (422, "model_unpriced")
    assert not Run.objects.exists()


def test_one_run_at_a_time(owner: Person, conversation: dict[str, Any]) -> None:
    first = start(owner, conversation).json()

    second = start(owner, conversation)

    assert (second.status_code, second.json()["code"]) == (409, "conversation_busy")
    assert Run.objects.count() == 1
    run = row(first)
    with pytest.raises(IntegrityError, match="run_one_active_per_conversation"), transaction.atomic():
        Run.objects.create(
            workspace_id=run.workspace_id,
            conversation_id=run.conversation_id,
            created_by_id=run.created_by_id,
            agent_version_id=run.agent_version_id,
            input_message_id=run.input_message_id,
            output_message=Message.objects.create(
                conversation_id=run.conversation_id, parent_id=run.input_message_id, role="assistant"
            ),
            currency="USD",
        )


def test_a_second_question_waits_its_turn(owner: Person, conversation: dict[str, Any], provider: FakeProvider) -> None:
    provider.script(Reply(text="First."), Reply(text="Second."))
    first = start(owner, conversation, "One?").json()
    second = start(owner, conversation, "Two?", when_busy="queue").json()
    assert (row(first).waits, row(second).waits) == (False, True)

    carry(second)  # A notification too early.
    assert row(second).status == "queued"
    carry(first)
    assert (row(first).status, row(second).waits) == ("completed", False)
    carry(second)

    assert row(second).status == "completed"
    said = owner.get(f"/api/v1/conversations/{conversation['id']}/messages").json()["results"]
    assert [message["parts"][0]["text"] for message in said] == ["One?", "First.", "Two?", "Second."]
    asked = [message["content"] for message in provider.requests[1].body["messages"]]
    assert asked == ["One?", "First.", "Two?"]
    assert balance(owner)["held"] == 0


def test_interrupting_cancels_what_goes_on(owner: Person, conversation: dict[str, Any]) -> None:
    first = start(owner, conversation, "One?").json()
    second = start(owner, conversation, "Two?", when_busy="interrupt").json()

    assert (row(first).status, row(second).status, row(second).waits) == ("cancelled", "queued", False)
    assert balance(owner)["held"] == Decimal(second["reserved"])


def test_cancelling_a_queued_run_gives_the_money_back(owner: Person, conversation: dict[str, Any]) -> None:
    run = start(owner, conversation).json()

    cancelled = owner.post(f"/api/v1/runs/{run['id']}/cancel")
    again = owner.post(f"/api/v1/runs/{run['id']}/cancel")

    assert (cancelled.status_code, cancelled.json()["status"]) == (202, "cancelled")
    assert (again.status_code, again.json()["status"]) == (202, "cancelled")
    assert row(run).output_message.status == "interrupted"
    assert balance(owner) == {"available": 5, "held": 0, "posted": 5}
    carry(run)
    assert row(run).status == "cancelled"


def test_what_has_ended_cannot_be_cancelled(ask: Any, owner: Person) -> None:
    run = ask()

    response = owner.post(f"/api/v1/runs/{run['id']}/cancel")

    assert (response.status_code, response.json()["code"]) == (409, "conflict")


def test_retry_asks_again_beside_the_failed_answer(ask: Any, owner: Person, provider: FakeProvider) -> None:
    failed = ask("Well?", model="fake-401")
    assert failed["status"] == "failed"

    response = owner.post(f"/api/v1/runs/{failed['id']}/retry")

    run = response.json()
    assert response.status_code == 202, run
    assert (run["retry_of"], run["input_message"]) == (failed["id"], failed["input_message"])
    assert run["output_message"] != failed["output_message"]
    path = f"/api/v1/conversations/{run['conversation']}/messages"
    head = [message["id"] for message in owner.get(path).json()["results"]]
    everything = [message["id"] for message in owner.get(path, {"branch": "all"}).json()["results"]]
    assert head == [run["input_message"], run["output_message"]]
    assert everything == [run["input_message"], failed["output_message"], run["output_message"]]
    carry(run)
    answered = owner.post(f"/api/v1/runs/{ask()['id']}/retry")
    assert (answered.status_code, answered.json()["code"]) == (409, "conflict")


def test_editing_and_regenerating_branch(owner: Person, conversation: dict[str, Any]) -> None:
    path = f"/api/v1/conversations/{conversation['id']}/runs"
    first = start(owner, conversation, "One?").json()
    carry(first)

    edited = owner.post(path, {"edit_of": first["input_message"], "input": "Uno?"}).json()
    carry(edited)
    regenerated = owner.post(path, {"regenerate_of": edited["output_message"]}).json()
    carry(regenerated)

    assert row(edited).input_message.parent_id is None
    assert regenerated["input_message"] == edited["input_message"]
    shown = owner.get(f"/api/v1/conversations/{conversation['id']}/messages").json()["results"]
    assert [message["id"] for message in shown] == [regenerated["input_message"], regenerated["output_message"]]
    wrong = owner.post(path, {"regenerate_of": first["input_message"]})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/regenerate_of")


def test_a_chosen_branch_is_the_one_that_is_shown_and_goes_on(
    owner: Person, stranger: Person, conversation: dict[str, Any]
) -> None:
    path = f"/api/v1/conversations/{conversation['id']}"
    first = start(owner, conversation, "One?").json()
    busy = owner.patch(path, {"head": first["output_message"]})
    carry(first)
    again = owner.post(f"{path}/runs", {"regenerate_of": first["output_message"]}).json()
    carry(again)

    assert owner.get(path).json()["head"] == again["output_message"]
    assert owner.patch(path, {"head": first["output_message"]}).json()["head"] == first["output_message"]
    shown = owner.get(f"{path}/messages").json()["results"]
    assert [message["id"] for message in shown] == [first["input_message"], first["output_message"]]
    next_run = owner.post(f"{path}/runs", {"input": "Two?"}).json()
    assert row(next_run).input_message.parent_id == row(first).output_message_id
    assert (busy.status_code, busy.json()["code"]) == (409, "conversation_busy")
    assert stranger.patch(path, {"head": first["output_message"]}).status_code == 404
    carry(next_run)
    question = owner.patch(path, {"head": first["input_message"], "title": "Unseen"})
    assert (question.status_code, question.json()["errors"][0]["pointer"]) == (422, "/head")
    unknown = owner.patch(path, {"head": "msg_01h455vb4pex5vsknk084sn02q", "title": "Unseen"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
    assert owner.get(path).json()["title"] == "One?"


def test_the_same_key_asks_once(owner: Person, conversation: dict[str, Any]) -> None:
    path, key = f"/api/v1/conversations/{conversation['id']}/runs", {"Idempotency_Key": "ask-1"}

    first = owner.post(path, {"input": "Hello?"}, **key)
    second = owner.post(path, {"input": "Hello?"}, **key)
    other = owner.post(path, {"input": "Goodbye?"}, **key)

    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json()
    assert second["Location"] == first["Location"]
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert Run.objects.count() == 1


def test_others_find_nothing(
    owner: Person, member: Person, viewer: Person, stranger: Person, conversation: dict[str, Any]
) -> None:
    run = start(owner, conversation).json()
    cnv, msg = conversation["id"], run["output_message"]
    requests = [
        ("get", f"/api/v1/conversations/{cnv}", None),
        ("patch", f"/api/v1/conversations/{cnv}", {"title": "Mine"}),
        ("delete", f"/api/v1/conversations/{cnv}", None),
        ("get", f"/api/v1/conversations/{cnv}/messages", None),
        ("post", f"/api/v1/conversations/{cnv}/runs", {"input": "Hello?"}),
        ("get", f"/api/v1/runs/{run['id']}", None),
        ("get", f"/api/v1/runs/{run['id']}/steps", None),
        ("get", f"/api/v1/runs/{run['id']}/events", None),
        ("post", f"/api/v1/runs/{run['id']}/cancel", None),
        ("post", f"/api/v1/runs/{run['id']}/retry", None),
        ("put", f"/api/v1/messages/{msg}/feedback", {"rating": 1}),
    ]
    for path in (path for method, path, _ in requests if method == "get" and not path.endswith("/events")):
        assert owner.get(path).status_code == 200, path

    for person in (member, viewer, stranger):  # Conversations are their creator's, also inside the workspace.
        for method, path, body in requests:
            answer = person.get(path) if method == "get" else getattr(person, method)(path, body)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), (method, path)
        assert person.get("/api/v1/runs").json()["results"] == []
        assert person.get("/api/v1/conversations").json()["results"] == []
    assert row(run).status == "queued"


def test_viewers_ask_nothing(viewer: Person, agent: dict[str, Any]) -> None:
    response = viewer.post("/api/v1/conversations", {"agent": agent["id"]})

    assert (response.status_code, response.json()["code"]) == (403, "forbidden")


def test_a_deleted_agent_answers_no_more(owner: Person, agent: dict[str, Any], conversation: dict[str, Any]) -> None:
    owner.delete(f"/api/v1/agents/{agent['id']}")

    response = start(owner, conversation)

    assert (response.status_code, response.json()["code"]) == (409, "conflict")
    assert owner.get(f"/api/v1/conversations/{conversation['id']}").status_code == 200
    assert owner.post("/api/v1/conversations", {"agent": agent["id"]}).status_code == 404


def test_runs_are_listed_by_status(ask: Any, owner: Person) -> None:
    done, failed = ask(), ask(model="fake-401")

    listed = owner.get("/api/v1/runs").json()["results"]
    assert [run["id"] for run in listed] == [failed["id"], done["id"]]
    assert [run["id"] for run in owner.get("/api/v1/runs", {"status": "failed"}).json()["results"]] == [failed["id"]]
    assert owner.get("/api/v1/runs", {"status": "odd"}).status_code == 422


@pytest.mark.parametrize("size", [1, 6])
def test_lists_take_the_same_queries_however_long(
    ask: Any, owner: Person, size: int, django_assert_num_queries: Any
) -> None:
    runs = [ask(f"Question {number}?") for number in range(size)]
    conversation = runs[0]["conversation"]
    for _ in range(size - 1):
        owner.post(f"/api/v1/conversations/{conversation}/runs", {"input": "And?", "when_busy": "queue"})

    with django_assert_num_queries(2):  # The membership, the page with its versions.
        assert len(owner.get("/api/v1/runs").json()["results"]) == size + size - 1
    with django_assert_num_queries(2):  # The membership, the page with agents and active runs.
        assert len(owner.get("/api/v1/conversations").json()["results"]) == size
    with django_assert_num_queries(5):  # The membership, the conversation, its branch, the page with runs, feedback.
        assert len(owner.get(f"/api/v1/conversations/{conversation}/messages").json()["results"]) == 2 * size
    with django_assert_num_queries(3):  # The membership, the run, its steps.
        assert len(owner.get(f"/api/v1/runs/{runs[0]['id']}/steps").json()["results"]) == 1


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ({"status": "odd"}, "run_status_known"),
        ({"status": "completed", "started_at": timezone.now()}, "run_finished_at_iff_terminal"),
        ({"finished_at": timezone.now()}, "run_finished_at_iff_terminal"),
        ({"status": "running", "started_at": timezone.now()}, "run_leased_iff_running"),
        ({"lease_owner": "me", "lease_until": timezone.now()}, "run_leased_iff_running"),
        ({"status": "failed", "finished_at": timezone.now()}, "run_error_iff_failed"),
        ({"error": {"code": "x"}}, "run_error_iff_failed"),
        ({"status": "cancelled", "finished_at": timezone.now(), "waits": True}, "run_waits_only_queued"),
        ({"cost": -1}, "run_cost_not_negative"),
        ({"attempt": 0}, "run_attempt_positive"),
    ],
)
def test_the_database_refuses_what_cannot_be(
    owner: Person, conversation: dict[str, Any], change: Any, constraint: str
) -> None:
    run = start(owner, conversation).json()

    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        Run.objects.filter(pk=decode("run", run["id"])).update(**change)


def test_deleting_a_conversation_stops_and_hides_it(owner: Person, conversation: dict[str, Any]) -> None:
    run = start(owner, conversation).json()

    assert owner.delete(f"/api/v1/conversations/{conversation['id']}").status_code == 204

    assert owner.get(f"/api/v1/conversations/{conversation['id']}").status_code == 404
    assert owner.get(f"/api/v1/runs/{run['id']}").status_code == 404
    assert balance(owner)["held"] == 0
    from backend.agents.runs import recovery

    assert recovery.purge_deleted() == 1
    with pytest.raises(ObjectDoesNotExist):
        row(run)


def test_what_cannot_be_honoured_is_refused(owner: Person, agent: dict[str, Any], conversation: dict[str, Any]) -> None:
    path = f"/api/v1/conversations/{conversation['id']}/runs"
    for fields, pointer in (
        ({"version": encode("agv", new_id())}, "/version"),
        ({"version": 99}, "/version"),
        ({"variables": {"name": "Ana"}}, "/variables"),
        ({"variables": "z"}, "/variables"),
        ({"max_cots": "0.10"}, "/max_cots"),
    ):
        answer = owner.post(path, {"input": "Hello?", **fields})
        assert (answer.status_code, [error["pointer"] for error in answer.json()["errors"]]) == (422, [pointer]), fields
    answered = encode("msg", new_id())
    for body, detail in (
        (
            {"input": "Hello?", "version": encode("agv", new_id())},
            "Send the agent's current version, or leave `version` out.",
        ),
        ({"input": "Hello?", "regenerate_of": answered}, "Do not send `input` with `regenerate_of`."),
        ({"edit_of": answered, "regenerate_of": answered}, "Do not send `edit_of` with `regenerate_of`."),
    ):
        assert [error["detail"] for error in owner.post(path, body).json()["errors"]] == [detail]
    begun = owner.post("/api/v1/conversations", {"agent": agent["id"], "input": "Hello?", "max_cots": "0.10"})
    [error] = begun.json()["errors"]
    assert (begun.status_code, error["pointer"], error["code"]) == (422, "/max_cots", "unknown_field")
    assert not Run.objects.exists()
    assert owner.post(path, {"input": "Hello?", "version": agent["version"], "variables": {}}).status_code == 202
