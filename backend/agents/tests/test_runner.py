"""A run carried to its end against a provider that does as it is told: text, tools, citations, failures, money."""

import threading
import time
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from backend.agents.answers.answer import replay
from backend.agents.models import Message, Run, Step
from backend.agents.runs import lease, runner, worker
from backend.agents.runs.lease import RunLost
from backend.agents.runs.transcript import Transcript
from backend.agents.stream.events import Event
from backend.agents.stream.publish import publish_cancel, recorded
from backend.agents.tests.conftest import row
from backend.agents.tests.test_runs import balance
from backend.agents.tools import search_knowledge
from backend.billing import queries as wallets
from backend.documents import queries as documents
from backend.http.ids import decode, new_id
from tests.actors import Person
from tests.providers import FakeProvider, Reply, ReplyCall, Usage

pytestmark = pytest.mark.django_db

EXEMPT = "É verdade: residents over 65 are exempt 【1】.\n```\na[1]\n```"
LICENCE = "Chapter 4. Licences\nA fishing licence costs 318 crowns per season. Residents over 65 are exempt."


def events_of(run: dict[str, Any]) -> list[Event]:
    return recorded(decode("run", run["id"]))


def names(run: dict[str, Any]) -> list[str]:
    return [event.name for event in events_of(run)]


def text_of(events: list[Event]) -> str:
    return "".join(event.payload["delta"] for event in events if event.name == "text.delta")


def answer_of(person: Person, run: dict[str, Any]) -> dict[str, Any]:
    shown = person.get(f"/api/v1/conversations/{run['conversation']}/messages").json()["results"]
    return next(message for message in shown if message["id"] == run["output_message"])


@pytest.fixture
def knowing(owner: Person, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Fields of an agent that knows one passage, whatever is asked."""
    from backend.agents.tests.test_agents import make_collection

    passage = documents.Passage(
        document_id=new_id(),
        document_name="Lagoon.pdf",
        chunk_id=new_id(),
        text=LICENCE,
        score=1.0,
        page_from=41,
        page_to=41,
        char_start=0,
        char_end=len(LICENCE),
        boxes=[],
    )
    found = documents.SearchResult(passages=[passage], mode="lexical")
    monkeypatch.setattr(search_knowledge, "search", lambda **_: found)
    return {"knowledge": [{"collection": make_collection(owner)}]}


def assert_settled(person: Person, run: dict[str, Any]) -> None:
    """The run has ended, its hold is closed, and the ledger took exactly what the run says."""
    assert run["finished_at"] is not None
    money = balance(person)
    assert money["held"] == 0
    assert money["posted"] == money["available"] == 5 - Decimal(run["cost"])
    assert wallets.discrepancies() == []


def test_an_answer_streams_is_stored_and_is_paid(ask: Any, owner: Person, provider: FakeProvider) -> None:
    provider.script(Reply(text="It is nine.", usage=Usage(1000, 400, 50)))

    run = ask("What time is it?")

    assert (run["status"], run["error"]) == ("completed", None)
    assert run["usage"] == {"input_tokens": 1000, "cached_input_tokens": 400, "output_tokens": 50}
    assert run["cost"] == "0.0009"  # 600 at 1.00, 400 at 0.25, 50 at 4.00 per million.
    events = events_of(run)
    assert [event.name for event in events if event.name != "text.delta"] == [
        "run.started",
        "message.started",
        "step.started",
        "step.finished",
        "message.completed",
        "run.completed",
    ]
    assert [event.position for event in events] == [(1, number) for number in range(1, len(events) + 1)]
    assert text_of(events) == "It is nine."
    answer = answer_of(owner, run)
    assert answer["parts"] == [{"type": "text", "text": "It is nine."}]
    assert (answer["status"], answer["cost"], answer["usage"]) == ("complete", run["cost"], run["usage"])
    assert answer["finish_reason"] == "stop"
    assert events[-2].payload["message"] == answer
    assert events[-1].payload["run"] == run
    finished = next(event.payload for event in events if event.name == "step.finished")
    assert (finished["cost"], finished["usage"]["output_tokens"]) == ("0.0009", 50)
    assert_settled(owner, run)
    [transaction] = owner.get("/api/v1/billing/transactions", {"kind": "usage"}).json()["results"]
    assert (transaction["reference"], transaction["amount"]) == (run["id"], "-0.0009")


@pytest.mark.parametrize("text", ["One, two, thr", ""])
def test_an_answer_that_was_cut_off_says_so(ask: Any, owner: Person, provider: FakeProvider, text: str) -> None:
    provider.script(Reply(text=text, finish="length", usage=Usage(10, 0, 250)))

    run = ask("Count to a million.")

    assert run["status"] == "completed"
    answer = answer_of(owner, run)
    assert (answer["status"], answer["finish_reason"]) == ("complete", "length")
    assert "".join(part["text"] for part in answer["parts"]) == text
    assert events_of(run)[-2].payload["message"]["finish_reason"] == "length"
    question = owner.get(f"/api/v1/conversations/{run['conversation']}/messages").json()["results"][0]
    assert (question["role"], question["finish_reason"]) == ("user", None)
    [step] = owner.get(f"/api/v1/runs/{run['id']}/steps").json()["results"]
    assert step["reply"] == {"text_length": len(text), "tool_calls": [], "finish_reason": "length"}
    assert_settled(owner, run)


def test_knowledge_is_searched_cited_and_told(
    ask: Any, owner: Person, provider: FakeProvider, knowing: dict[str, Any]
) -> None:
    provider.script(
        Reply(tool_calls=(ReplyCall("search_knowledge", '{"query": "licence"}'),)),
        Reply(chunks=("A licence costs 318 crowns per season [", "1", "]", " and more [9]. ", EXEMPT)),
        Reply(text="Nothing more."),
    )

    run = ask("How much is a licence?", **knowing)

    assert run["status"] == "completed"
    asked = provider.requests[1].body["messages"]
    assert '"n": 1, "document": "Lagoon.pdf", "page": 41' in asked[-1]["content"]
    [call, text] = answer_of(owner, run)["parts"]
    assert call["name"] == "search_knowledge"
    assert call["arguments"] == {"query": "licence"}
    assert call["output"] == {
        "passages": [{"n": 1, "document": "Lagoon.pdf", "page": 41}],
        "documents_searched": 0,
        "documents_pending": 0,
        "documents_failed": 0,
        "passages_read": 1,
        "degraded": False,
    }
    assert text["text"] == f"A licence costs 318 crowns per season [1] and more [9]. {EXEMPT}"
    citations = answer_of(owner, run)["citations"]
    for citation in citations:
        assert (citation["n"], citation["document_name"], citation["page_from"]) == (1, "Lagoon.pdf", 41)
        assert citation["quote"] == LICENCE[citation["char_start"] : citation["char_end"]]
        assert (citation["part"], answer_of(owner, run)["parts"][1]) == (1, text)
    assert [(citation["quote"], text["text"][citation["start"] : citation["end"]]) for citation in citations] == [
        ("A fishing licence costs 318 crowns per season.", "[1]"),
        ("Residents over 65 are exempt.", "【1】"),
    ]
    told = names(run)
    assert told.count("citation.added") == 2
    assert told.index("tool.call") < told.index("tool.result") < told.index("text.delta")
    assert told.index("text.delta") < told.index("citation.added") < told.index("message.completed")
    shown = owner.get(f"/api/v1/runs/{run['id']}/steps").json()["results"]
    first = owner.get(f"/api/v1/runs/{run['id']}/steps", {"limit": 1}).json()
    assert first["results"] + owner.get(first["next"]).json()["results"] == shown[:2]
    assert [(step["index"], step["kind"]) for step in shown] == [(1, "model"), (2, "tool"), (3, "model")]
    assert_settled(owner, run)
    replayed = replay(events_of(run))
    assert replayed is not None
    assert replayed.parts() == answer_of(owner, run)["parts"]
    assert replayed.citations() == citations
    owner.post(f"/api/v1/conversations/{run['conversation']}/runs", {"input": "And then?"})
    runner.execute()
    assert provider.requests[2].body["messages"][-2]["content"] == (
        "A licence costs 318 crowns per season  and more [9]. É verdade: residents over 65 are exempt .\n```\na[1]\n```"
    )


def test_citations_of_older_answers_are_shown_as_they_were_kept(
    ask: Any, owner: Person, provider: FakeProvider
) -> None:
    provider.script(Reply(text="It costs 318 [1]."), Reply(text="Nothing more."))
    run = ask()
    kept = {"n": 1, "document": "doc_1", "document_name": "Lagoon.pdf", "chunk": "chk_1", "quote": "It is 318."}
    kept |= {"page_from": 41, "page_to": 41}
    Message.objects.filter(pk=decode("msg", run["output_message"])).update(citations=[kept])

    unknown = dict.fromkeys(["char_start", "char_end", "part", "start", "end"])
    assert answer_of(owner, run)["citations"] == [{**kept, **unknown, "boxes": []}]
    owner.post(f"/api/v1/conversations/{run['conversation']}/runs", {"input": "And then?"})
    runner.execute()
    assert provider.requests[1].body["messages"][-2]["content"] == "It costs 318 ."


@pytest.mark.parametrize(
    "arguments",
    [
        "not json",
        '{"query": "half \\ud800 of a pair"}',
        '{"query": "no \\u0000 text"}',
        '{"query": "x", "limit": NaN}',
        "[" * 5_000,
        '{"query": 1}\0',
    ],
)
def test_wrong_tool_calls_are_answered_not_fatal(
    ask: Any, owner: Person, provider: FakeProvider, knowing: dict[str, Any], arguments: str
) -> None:
    provider.script(
        Reply(tool_calls=(ReplyCall("search_knowledge", arguments), ReplyCall("format_disk\0", "{}"))),
        Reply(text="Then without."),
    )

    run = ask(**knowing)

    assert run["status"] == "completed"
    first, second, text = answer_of(owner, run)["parts"]
    assert "query" in first["error"]
    assert "format_disk" in second["error"]
    assert text["text"] == "Then without."
    assert_settled(owner, run)


def test_an_answer_that_is_withheld_costs_what_the_provider_says(
    ask: Any, owner: Person, provider: FakeProvider
) -> None:
    provider.script(Reply(text="I", finish="content_filter", usage=Usage(1000, 400, 50)))

    run = ask()

    assert (run["status"], run["error"]["code"]) == ("failed", "content_filtered")
    assert run["cost"] == "0.0009"  # 600 at 1.00, 400 at 0.25, 50 at 4.00 per million.
    assert_settled(owner, run)


def test_a_tool_that_breaks_fails_the_run_after_three_times(
    ask: Any, owner: Person, provider: FakeProvider, knowing: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("the index is gone")

    monkeypatch.setattr(search_knowledge.SearchKnowledge, "run", broken)
    call = ReplyCall("search_knowledge", '{"query": "x"}')
    provider.script(*[Reply(tool_calls=(call,))] * 3)

    run = ask(**knowing)

    assert (run["status"], run["error"]["code"]) == ("failed", "tool_failed")
    assert Decimal(run["cost"]) > 0
    assert_settled(owner, run)


def test_steps_are_bounded(ask: Any, owner: Person, provider: FakeProvider, knowing: dict[str, Any]) -> None:
    provider.script(*[Reply(tool_calls=(ReplyCall("search_knowledge", '{"query": "x"}'),))] * 2)

    run = ask(limits={"max_steps": 2}, **knowing)

    assert (run["status"], run["error"]["code"]) == ("failed", "budget_exhausted")
    assert len(provider.requests) == 2
    assert_settled(owner, run)


def test_a_budget_too_small_for_the_next_step_ends_the_run(
    ask: Any, owner: Person, provider: FakeProvider, knowing: dict[str, Any]
) -> None:
    provider.script(Reply(tool_calls=(ReplyCall("search_knowledge", '{"query": "x"}'),), usage=Usage(1200, 0, 100)))

    run = ask(limits={"max_cost": "0.0018"}, **knowing)

    assert (run["status"], run["error"]["code"]) == ("failed", "budget_exhausted")
    assert run["error"]["retryable"]  # The model may need fewer steps next time.
    assert run["cost"] == "0.0016"
    assert len(provider.requests) == 1
    assert_settled(owner, run)


@pytest.mark.parametrize("limited_by", ["run", "agent"])
def test_no_provider_takes_more_than_was_agreed_to(
    ask: Any, owner: Person, provider: FakeProvider, limited_by: str
) -> None:
    """It used far more than it was allowed to, and says so."""
    provider.script(Reply(text="It is nine.", usage=Usage(5000, 0, 3000)))

    run = ask(max_cost="0.002") if limited_by == "run" else ask(limits={"max_cost": "0.002"})

    assert (run["status"], run["cost"]) == ("completed", "0.002")
    assert_settled(owner, run)


def test_usage_that_cannot_be_is_estimated_instead(ask: Any, owner: Person, provider: FakeProvider) -> None:
    provider.script(Reply(text="It is nine.", usage=Usage(10**12, 0, 10**12)))

    run = ask()

    assert run["status"] == "completed"
    assert 0 < Decimal(run["cost"]) < Decimal("0.001")
    [step] = owner.get(f"/api/v1/runs/{run['id']}/steps").json()["results"]
    assert step["usage"]["output_tokens"] < 100
    assert_settled(owner, run)


def test_a_budget_too_small_for_the_first_step_is_not_worth_another_try(
    ask: Any, owner: Person, provider: FakeProvider
) -> None:
    run = ask(limits={"max_cost": "0.00001"})

    assert (run["status"], run["error"]["code"], run["error"]["retryable"]) == ("failed", "budget_exhausted", False)
    assert (run["cost"], provider.requests) == ("0.00", [])
    assert answer_of(owner, run)["finish_reason"] is None
    assert_settled(owner, run)


def test_a_small_budget_shortens_the_answer(ask: Any, provider: FakeProvider) -> None:
    ask(limits={"max_cost": "0.001"})

    limit = provider.requests[0].body.get("max_tokens") or provider.requests[0].body["max_completion_tokens"]
    assert 32 <= limit < 250


@pytest.mark.parametrize(
    ("model", "code", "requests"),
    [
        ("fake-401", "provider_auth", 1),
        ("fake-500", "provider_unavailable", 3),
        ("fake-context", "context_too_long", 1),
        ("fake-stall", "provider_unavailable", 3),
        ("fake-nonsense", "provider_unavailable", None),
        ("fake-html", "provider_unavailable", None),
        ("keyless", "provider_auth", 0),
    ],
)
def test_a_provider_that_fails_before_a_word(  # noqa: PLR0917  # pytest passes them by name.
    ask: Any, owner: Person, provider: FakeProvider, model: str, code: str, requests: int | None
) -> None:
    run = ask(model=model)

    assert (run["status"], run["error"]["code"]) == ("failed", code)
    assert run["error"]["retryable"] == (requests == 3 or model == "fake-nonsense")
    assert run["error"]["provider"] == model
    assert run["error"]["detail"]
    assert run["cost"] == "0.00"
    assert requests is None or len(provider.requests) == requests
    assert answer_of(owner, run)["status"] == "failed"
    assert answer_of(owner, run)["error"] == run["error"]
    assert names(run)[-2:] == ["message.completed", "run.failed"]
    assert_settled(owner, run)


@pytest.mark.parametrize("model", ["fake-half", "fake-stall-middle"])
def test_a_provider_that_fails_in_the_middle(ask: Any, owner: Person, provider: FakeProvider, model: str) -> None:
    run = ask(model=model)

    assert (run["status"], run["error"]["code"]) == ("failed", "provider_unavailable")
    assert len(provider.requests) == 1  # What was shown is never asked again in secret.
    assert answer_of(owner, run)["parts"] == [{"type": "text", "text": "word0 word1 word2 word3 word4 "}]
    assert Decimal(run["cost"]) > 0
    assert run["usage"]["output_tokens"] > 0
    assert_settled(owner, run)


def test_retries_are_steps_that_every_reader_sees(ask: Any, owner: Person, provider: FakeProvider) -> None:
    provider.script(Reply(status=429, retry_after=1), Reply(text="Here I am."))

    began = time.monotonic()
    run = ask()

    assert run["status"] == "completed"
    assert time.monotonic() - began >= 1  # What the provider asked for.
    shown = owner.get(f"/api/v1/runs/{run['id']}/steps").json()["results"]
    assert [step["error"] and step["error"]["code"] for step in shown] == ["provider_rate_limited", None]
    assert names(run).count("step.started") == 2


def test_a_provider_that_asks_for_patience_too_long(ask: Any, provider: FakeProvider) -> None:
    provider.script(Reply(status=429, retry_after=3000))

    run = ask()

    assert (run["status"], run["error"]["code"]) == ("failed", "provider_rate_limited")
    assert len(provider.requests) == 1


def test_time_runs_out(ask: Any, owner: Person, provider: FakeProvider) -> None:
    run = ask(model="fake-slow", limits={"timeout_seconds": 1})

    assert (run["status"], run["error"]["code"]) == ("failed", "timed_out")
    assert provider.requests[0].disconnected.wait(2)
    assert answer_of(owner, run)["parts"][0]["text"].startswith("word0 word1 ")
    assert Decimal(run["cost"]) > 0
    assert_settled(owner, run)


def test_stop_stops_the_provider_and_the_cost(ask: Any, owner: Person, provider: FakeProvider) -> None:
    run = ask(model="fake-slow", carry=False)
    run_id = decode("run", run["id"])
    stopped: list[float] = []

    def stop_soon() -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and not text_of(recorded(run_id)):
            time.sleep(0.02)
        stopped.append(time.monotonic())
        publish_cancel(run_id)
        provider.requests[0].disconnected.wait(5)
        stopped.append(time.monotonic())

    watcher = threading.Thread(target=stop_soon)
    watcher.start()
    runner.execute(run_id=run_id)
    watcher.join()

    after = owner.get(f"/api/v1/runs/{run['id']}").json()
    assert after["status"] == "cancelled"
    assert stopped[1] - stopped[0] < 0.5
    answer = answer_of(owner, after)
    assert answer["status"] == "interrupted"
    assert answer["parts"][0]["text"] == text_of(recorded(run_id))
    words = len(answer["parts"][0]["text"].split())
    assert 0 < words < 50
    assert 0 < after["usage"]["output_tokens"] < 5 * words
    assert_settled(owner, after)


@pytest.mark.parametrize(
    ("reason", "input_is_charged"), [("shutdown", False), ("cancelled", True), ("timed_out", True)]
)
def test_a_request_without_output_costs_its_input_unless_our_shutdown_interrupted_it(
    ask: Any, owner: Person, provider: FakeProvider, reason: str, input_is_charged: int
) -> None:
    run = ask(carry=False)
    run_id = decode("run", run["id"])
    provider.script(Reply(text="Late.", first_byte_delay=20))

    def stop_when_sent() -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and not provider.requests:
            time.sleep(0.02)
        worker._handles[run_id].stop(reason)

    watcher = threading.Thread(target=stop_when_sent)
    watcher.start()
    runner.execute(run_id=run_id)
    watcher.join()

    after = owner.get(f"/api/v1/runs/{run['id']}").json()
    assert after["status"] == ("cancelled" if reason == "cancelled" else "failed")
    assert (after["usage"]["input_tokens"] > 0) == (Decimal(after["cost"]) > 0) == bool(input_is_charged)
    assert_settled(owner, after)


def test_a_run_is_claimed_once(ask: Any, provider: FakeProvider) -> None:
    run = ask(carry=False)
    run_id = decode("run", run["id"])

    assert lease.claim(run_id) is not None
    assert lease.claim(run_id) is None
    runner.execute(run_id=run_id)  # A second delivery finds nothing to claim.
    assert row(run).status == "running"
    assert provider.requests == []


def test_a_worker_that_is_to_stop_puts_back_what_it_has_not_begun(
    ask: Any, owner: Person, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ask(carry=False)
    with monkeypatch.context() as patched:
        patched.setattr(worker, "_stop_reason", "shutdown")
        runner.execute(run_id=decode("run", run["id"]))

    left = row(run)
    assert (left.status, left.lease_owner, left.started_at, left.attempt) == ("queued", "", None, 1)
    assert provider.requests == []
    assert not Step.objects.exists()
    runner.execute(run_id=left.pk)
    after = owner.get(f"/api/v1/runs/{run['id']}").json()
    assert after["status"] == "completed"
    assert len(provider.requests) == 1
    assert_settled(owner, after)


def test_a_run_that_was_cancelled_is_not_put_back(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = ask(carry=False)
    claimed = lease.claim(decode("run", run["id"]))
    assert claimed is not None
    Run.objects.filter(pk=claimed.pk).update(status="cancelling", cancel_requested_at=timezone.now())

    assert not lease.give_back(claimed)
    assert row(run).status == "cancelling"


def test_who_lost_the_lease_writes_nothing(ask: Any, owner: Person) -> None:
    run = ask(carry=False)
    claimed = lease.claim(decode("run", run["id"]))
    assert claimed is not None
    Run.objects.filter(pk=claimed.pk).update(epoch=claimed.epoch + 1)
    late = Transcript(claimed, []).tool_step("x", {}, tool=None)

    with pytest.raises(RunLost):
        lease.checkpoint(claimed, {"parts": [{"type": "text", "text": "late"}], "citations": []})
    with pytest.raises(RunLost):
        lease.begin_step(claimed, late)

    assert row(run).output_message.parts == []
    assert not Step.objects.exists()


def test_text_is_kept_while_it_streams(ask: Any, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[str] = []
    original = lease.checkpoint

    def watched(run: Run, answer: dict[str, Any] | None) -> bool:
        result = original(run, answer)
        kept.append(Message.objects.get(pk=run.output_message_id).text)
        return result

    monkeypatch.setattr(lease, "checkpoint", watched)
    provider.script(Reply(chunks=tuple(f"w{number} " for number in range(50)), tokens_per_second=20))
    ask()

    assert len(kept) >= 2
    assert all(kept[0] != later and later.startswith(kept[0]) for later in kept[1:])


def test_history_is_bounded_by_the_window(owner: Person, conversation: dict[str, Any], provider: FakeProvider) -> None:
    for number in range(4):
        body = {"input": f"Question {number} " + "word " * 5000}
        response = owner.post(f"/api/v1/conversations/{conversation['id']}/runs", body)
        assert response.status_code == 202, response.content
        runner.execute(run_id=decode("run", response.json()["id"]))

    sent = [message["content"][:10] for message in provider.requests[-1].body["messages"]]
    assert sent[-1] == "Question 3"
    assert "Question 0" not in sent
    assert provider.requests[-1].body["messages"][0]["role"] == "user"


def test_a_bug_of_ours_ends_the_run_truthfully(ask: Any, owner: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: Any) -> None:
        raise ZeroDivisionError

    run = ask(carry=False)
    monkeypatch.setattr("backend.agents.runs.prompt.opening", broken)
    runner.execute(run_id=decode("run", run["id"]))

    after = owner.get(f"/api/v1/runs/{run['id']}").json()
    assert (after["status"], after["error"]["code"]) == ("failed", "worker_lost")
    assert_settled(owner, after)
