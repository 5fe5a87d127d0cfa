"""Questions while documents of the agent's knowledge are still being read: what is said, and the runs that wait."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from backend.agents import demo
from backend.agents.models import Run
from backend.agents.runs import awaiting, lease, recovery, runner
from backend.agents.stream.publish import recorded
from backend.agents.tests.conftest import row
from backend.agents.tests.test_runner import answer_of, assert_settled
from backend.documents.tests.cast import read, upload
from backend.http.ids import decode
from tests.actors import Person
from tests.providers import FakeProvider, Reply, ReplyCall

pytestmark = pytest.mark.django_db

CONTRACT = "Clause 7. The contract ends on 31 March 2031. It may be renewed once, in writing."
CONTRATO = "Cláusula 7. O contrato termina em 31 de março de 2031. Pode ser renovado uma vez, por escrito."


@pytest.fixture
def no_news(monkeypatch: pytest.MonkeyPatch) -> None:
    """No run hears that a document was read, as when its worker is killed right after."""
    monkeypatch.setattr(awaiting, "look_in", lambda _workspace_id: [])


def uploaded(person: Person, text: str = CONTRACT, name: str = "contract.txt") -> str:
    """A document that no worker has begun to read."""
    document = upload(person, text, name)
    assert document.status_code == 201, document.content
    return str(document.json()["id"])


def ask_about(
    person: Person,
    *documents: str,
    text: str = "When does the contract end?",
    agent: dict[str, Any] | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """Ask the offline model about these documents, in one call, as the README does."""
    knowledge = [{"document": document} for document in documents]
    agent = agent or person.post("/api/v1/agents", {"name": "R", "model": "offline", "knowledge": knowledge}).json()
    asked = person.post("/api/v1/conversations", {"agent": agent["id"], "input": text, **fields})
    assert asked.status_code == 201, asked.content
    run: dict[str, Any] = asked.json()["run"]
    return run


def shown(person: Person, run: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = person.get(f"/api/v1/runs/{run['id']}").json()
    return found


def carried(person: Person, run: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The run after a worker had it, and its answer's text."""
    runner.execute(run_id=decode("run", run["id"]))
    answer = answer_of(person, run)
    return shown(person, run), "".join(part["text"] for part in answer["parts"] if part["type"] == "text")


def pending(run: dict[str, Any]) -> list[dict[str, Any]]:
    return [event.payload for event in recorded(decode("run", run["id"])) if event.name == "knowledge.pending"]


def counts(total: int, ready: int, failed: int = 0) -> dict[str, int]:
    return {"total": total, "ready": ready, "failed": failed}


def test_a_waiting_run_starts_when_the_last_document_is_read(owner: Person) -> None:
    first, second = uploaded(owner), uploaded(owner, "Clause 8. The rent is 900 euros.", "rent.txt")
    run = ask_about(owner, first, second, wait_for_knowledge=True)
    run_id = decode("run", run["id"])
    assert (run["status"], run["knowledge"]) == ("queued", counts(2, 0))

    assert (lease.claim(run_id), recovery.sweep()) == (None, [])
    read(second)
    assert (lease.claim(run_id), shown(owner, run)["knowledge"]) == (None, counts(2, 1))
    message = {"message": run["output_message"], "waiting": True}
    assert pending(run) == [{**message, **counts(2, 1)}]
    read(first)
    after, text = carried(owner, run)

    assert (after["status"], after["knowledge"]) == ("completed", counts(2, 2))
    assert "“The contract ends on 31 March 2031.” [1]" in text
    assert answer_of(owner, run)["knowledge"] == counts(2, 2)
    assert len(pending(run)) == 1
    assert_settled(owner, after)


@pytest.mark.parametrize("wait", [True, False])
def test_readers_are_told_from_the_start(owner: Person, wait: bool, django_capture_on_commit_callbacks: Any) -> None:
    document = uploaded(owner)
    with django_capture_on_commit_callbacks(execute=True):
        run = ask_about(owner, document, wait_for_knowledge=wait)

    events = [(event.id, event.name) for event in recorded(decode("run", run["id"]))]
    assert events == [("0-1", "run.queued"), ("0-2", "knowledge.pending")]
    assert pending(run) == [{"message": run["output_message"], **counts(1, 0), "waiting": wait}]


def test_a_document_that_is_ready_before_its_question_is_stored_is_not_missed(
    owner: Person, no_news: None, django_capture_on_commit_callbacks: Any
) -> None:
    document = uploaded(owner)
    with django_capture_on_commit_callbacks(execute=True):
        run = ask_about(owner, document, wait_for_knowledge=True)
        read(document)  # By a worker that does not see the run yet.

    assert row(run).awaits_knowledge is False


@pytest.mark.parametrize(
    ("change", "known"), [("fails", counts(1, 0, 1)), ("is cancelled", counts(1, 0, 1)), ("is deleted", counts(0, 0))]
)
def test_a_wait_ends_when_the_document(
    owner: Person, change: str, known: dict[str, int], django_capture_on_commit_callbacks: Any
) -> None:
    text, name = ("%PDF-1.4 no more", "a.pdf") if change == "fails" else (CONTRACT, "a.txt")
    document = uploaded(owner, text, name)
    run = ask_about(owner, document, wait_for_knowledge=True)
    with django_capture_on_commit_callbacks(execute=True):
        if change == "fails":
            assert read(document).status == "failed"
        elif change == "is cancelled":
            assert owner.post(f"/api/v1/documents/{document}/cancel").status_code == 202
        else:
            assert owner.delete(f"/api/v1/documents/{document}").status_code == 204

    after, said = carried(owner, run)
    assert (after["status"], after["knowledge"]) == ("completed", known)
    assert "I found nothing" not in said
    assert ("this agent has none" in said) is (change == "is deleted")
    assert (f"{name} could not be read." in said) is (change != "is deleted")


def test_a_wait_ends_with_the_sweep_if_its_news_was_lost(owner: Person, no_news: None) -> None:
    document = uploaded(owner)
    run = ask_about(owner, document, wait_for_knowledge=True)
    run_id = decode("run", run["id"])
    assert recovery.sweep() == []
    read(document)

    assert recovery.sweep() == [run_id]
    assert (row(run).awaits_knowledge, recovery.sweep()) == (False, [])


def test_a_wait_is_cancelled_at_once(owner: Person, stranger: Person) -> None:
    document = uploaded(owner)
    run = ask_about(owner, document, wait_for_knowledge=True)
    assert stranger.post(f"/api/v1/runs/{run['id']}/cancel").status_code == 404

    assert owner.post(f"/api/v1/runs/{run['id']}/cancel").json()["status"] == "cancelled"

    read(document)
    after, _text = carried(owner, run)
    assert (after["status"], after["knowledge"]) == ("cancelled", counts(1, 0))
    assert_settled(owner, after)


def test_a_wait_takes_no_longer_than_its_agent_may(owner: Person) -> None:
    document = uploaded(owner)
    run = ask_about(owner, document, wait_for_knowledge=True)
    Run.objects.update(created_at=timezone.now() - timedelta(seconds=299))
    assert recovery.sweep() == []
    Run.objects.update(created_at=timezone.now() - timedelta(seconds=301))
    assert recovery.sweep() == []

    after = shown(owner, run)
    assert (after["status"], after["error"]["code"], after["error"]["retryable"]) == ("failed", "timed_out", True)
    assert "still being read" in after["error"]["detail"]
    assert_settled(owner, after)
    retried = owner.post(f"/api/v1/runs/{run['id']}/retry").json()
    assert row(retried).awaits_knowledge is True


def test_a_question_after_one_that_waits_waits_for_its_turn_too(owner: Person) -> None:
    document = uploaded(owner)
    first = ask_about(owner, document, wait_for_knowledge=True)
    path = f"/api/v1/conversations/{first['conversation']}/runs"
    assert owner.post(path, {"input": "And?"}).json()["code"] == "conversation_busy"
    second = owner.post(path, {"input": "And?", "when_busy": "queue", "wait_for_knowledge": True}).json()

    read(document)

    assert [row(run).awaits_knowledge for run in (first, second)] == [False, False]
    assert (row(second).waits, Run.objects.startable().get()) == (True, row(first))
    carried(owner, first)
    assert carried(owner, second)[0]["status"] == "completed"


def test_a_worker_killed_after_the_wait_makes_no_run_wait_again(owner: Person) -> None:
    document = uploaded(owner)
    run = ask_about(owner, document, wait_for_knowledge=True)
    read(document)
    assert lease.claim(decode("run", run["id"])) is not None
    Run.objects.update(lease_until=timezone.now())

    assert recovery.sweep() == [decode("run", run["id"])]
    assert carried(owner, run)[0]["status"] == "completed"


def test_documents_of_others_are_never_counted(owner: Person, stranger: Person, member: Person) -> None:
    collection = owner.post("/api/v1/collections", {"name": "Contracts"}).json()["id"]
    theirs = uploaded(stranger)
    for number in range(3):
        mine = upload(owner, f"Clause {number}.", f"{number}.txt", collection=collection).json()["id"]
    knowledge = [{"collection": collection}, {"document": mine}]
    agent = owner.post("/api/v1/agents", {"name": "R", "model": "offline", "knowledge": knowledge}).json()
    read(mine)

    run = ask_about(owner, agent=agent, wait_for_knowledge=True)

    assert run["knowledge"] == counts(3, 1)
    assert stranger.get(f"/api/v1/runs/{run['id']}").status_code == 404
    assert ask_about(stranger, theirs)["knowledge"] == counts(1, 0)


def test_an_agent_without_knowledge_waits_for_nothing(owner: Person) -> None:
    run = ask_about(owner, wait_for_knowledge=True)

    after, _text = carried(owner, run)
    assert (run["knowledge"], after["status"], after["knowledge"]) == (None, "completed", None)


@pytest.mark.parametrize(
    ("text", "question", "says", "never"),
    [
        (
            CONTRACT,
            "When does the contract end?",
            "Your documents are still being read: 0 of 1 is ready",
            "I found nothing",
        ),
        (
            CONTRATO,
            "Quando termina o contrato?",
            "Seus documentos ainda estão sendo lidos: 0 de 1 está pronto",
            "Não encontrei",
        ),
    ],
)
def test_without_waiting_the_answer_says_that_nothing_is_ready(
    owner: Person, text: str, question: str, says: str, never: str
) -> None:
    document = uploaded(owner, text)

    after, said = carried(owner, ask_about(owner, document, text=question))

    assert (after["status"], after["knowledge"]) == ("completed", counts(1, 0))
    assert says in said
    assert "contract.txt" in said
    assert never not in said


@pytest.mark.parametrize(("question", "found"), [("What is the rent?", True), ("When does the contract end?", False)])
def test_without_waiting_the_answer_says_which_share_is_ready(owner: Person, question: str, found: bool) -> None:
    unread, rent = uploaded(owner), uploaded(owner, "Clause 8. The rent is 900 euros.", "rent.txt")
    read(rent)

    after, said = carried(owner, ask_about(owner, unread, rent, text=question))

    assert after["knowledge"] == counts(2, 1)
    assert ("“The rent is 900 euros.” [1]" in said) is found
    assert "1 of 2 documents is ready; contract.txt is still being read" in said
    assert "I found nothing in the documents" not in said


def test_the_guide_does_not_answer_for_documents_that_are_still_being_read(owner: Person) -> None:
    guide = demo.make(workspace_id=owner.workspace.pk, owner_id=owner.user.pk, language="en")
    for document in owner.get("/api/v1/documents").json()["results"]:
        read(document["id"])
    collection = owner.get(f"/api/v1/agents/{guide.public_id}/knowledge").json()["knowledge"][0]["collection"]
    unread = uploaded(owner)
    knowledge = [{"collection": collection}, {"document": unread}]
    agent = owner.post("/api/v1/agents", {"name": "R", "model": "offline", "knowledge": knowledge}).json()
    question = "How do I upload a document, and which formats can Orquestra read?"

    after, said = carried(owner, ask_about(owner, agent=agent, text=question))

    assert after["knowledge"] == counts(2, 1)
    assert "Your documents are still being read: 1 of 2 is ready" in said
    assert "“" not in said
    read(unread)
    assert "[1] — Guide to Orquestra.md" in carried(owner, ask_about(owner, agent=agent, text=question))[1]


def test_a_model_is_told_what_was_not_searched(ask: Any, owner: Person, provider: FakeProvider) -> None:
    broken, unread = uploaded(owner, "%PDF-1.4 no", "broken.pdf"), uploaded(owner)
    assert read(broken).status == "failed"
    provider.script(Reply(tool_calls=(ReplyCall("search_knowledge", '{"query": "end"}'),)), Reply(text="Not yet."))

    run = ask("When?", knowledge=[{"document": broken}, {"document": unread}])

    told = provider.requests[1].body["messages"][-1]["content"]
    assert "Of 2 documents, 1 are still being read and 1 could not be read. These were not searched." in told
    assert '"names_of_those_being_read": ["contract.txt"], "names_of_those_that_failed": ["broken.pdf"]' in told
    [call] = [part for part in answer_of(owner, run)["parts"] if part["type"] == "tool_call"]
    searched = {name: call["output"][f"documents_{name}"] for name in ("searched", "pending", "failed")}
    assert searched == {"searched": 0, "pending": 1, "failed": 1}
