"""What an answer may cost is never more than was agreed, and what the model is given to read fits its window."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.apps import apps

from backend.agents.runs import runner
from backend.agents.tests.conftest import row
from backend.agents.tests.test_runner import answer_of, assert_settled
from backend.agents.tests.test_runs import balance, spend_down_to, start
from backend.agents.tools import search_knowledge
from backend.documents import queries as documents
from backend.http.ids import decode, new_id
from backend.llm.tokens import count_tokens
from tests.actors import Person
from tests.providers import FakeProvider, Reply, ReplyCall, Usage

pytestmark = pytest.mark.django_db
WINDOW = 32_000  # Of every model here; 1.00 per million tokens of input, 4.00 of output, 1000 tokens an answer.
SEARCH = ReplyCall("search_knowledge", '{"query": "licence"}')
Knowing = Callable[..., dict[str, Any]]


@pytest.fixture
def knowing(owner: Person, monkeypatch: pytest.MonkeyPatch) -> Knowing:
    """Fields of an agent that finds so many passages of so many characters, whatever is asked."""
    from backend.agents.tests.test_agents import make_collection

    def fields(*, passages: int, characters: int) -> dict[str, Any]:
        found = [
            documents.Passage(
                document_id=new_id(),
                document_name="Lagoon.pdf",
                chunk_id=new_id(),
                text=f"Passage {number} begins. " + "word " * (characters // 5) + f"Passage {number} ends.",
                score=1.0,
                page_from=number + 1,
                page_to=number + 1,
                char_start=0,
                char_end=characters,
                boxes=[],
            )
            for number in range(passages)
        ]
        result = documents.SearchResult(passages=found, mode="lexical")
        monkeypatch.setattr(search_knowledge, "search", lambda **_: result)
        return {"knowledge": [{"collection": make_collection(owner), "limit": passages}]}

    return fields


def shortfall_of(run: dict[str, Any]) -> int:
    hold = apps.get_model("billing", "Hold")._default_manager.get(reference=run["id"])
    return int(hold.shortfall)


def micro_of(provider: FakeProvider, *, request: int, input_tokens: int) -> int:
    """What that request costs at most, in micro-units."""
    return input_tokens + 4 * int(provider.requests[request].body["max_tokens"])


@pytest.mark.parametrize(
    ("text", "tokens"), [(">\n" * 2000, 4000), ("1 2 3 4 5 6 7 8 9 0 " * 200, 4000), ("㐁㐅㑇㒳㓚" * 200, 3000)]
)
def test_dense_text_leaves_the_house_nothing_to_pay(
    ask: Any, owner: Person, provider: FakeProvider, text: str, tokens: int
) -> None:
    """The provider counts as today's do, and answers as long as it may."""
    run = ask(text, max_cost="0.006", carry=False)
    provider.script(Reply(text="Yes.", usage=Usage(tokens, 0, 0)))
    runner.execute(run_id=decode("run", run["id"]))

    assert micro_of(provider, request=0, input_tokens=tokens) <= 6000
    assert row(run).status == "completed"
    assert shortfall_of(run) == 0


def test_the_next_step_counts_with_what_was_measured(
    ask: Any, owner: Person, provider: FakeProvider, knowing: Knowing
) -> None:
    """The provider counts ten times what we thought: the second step is cut to what is left, or not asked for."""
    provider.script(Reply(tool_calls=(SEARCH,), usage=Usage(4000, 0, 10)), Reply(text="Yes.", usage=Usage(5000, 0, 1)))

    run = ask("Well?", max_cost="0.012", **knowing(passages=1, characters=100))

    first, _, *rest = owner.get(f"/api/v1/runs/{run['id']}/steps").json()["results"]
    assert first["request"]["estimated_input_tokens"] < 1000
    [second] = rest
    assert second["request"]["estimated_input_tokens"] > 4000
    assert 4000 + 40 + micro_of(provider, request=1, input_tokens=5000) <= 12_000
    assert shortfall_of(run) == 0
    assert_settled(owner, run)


def test_a_step_that_what_was_measured_does_not_leave_money_for_is_not_asked(
    ask: Any, owner: Person, provider: FakeProvider, knowing: Knowing
) -> None:
    provider.script(Reply(tool_calls=(SEARCH,), usage=Usage(4000, 0, 10)))

    run = ask("Well?", max_cost="0.007", **knowing(passages=1, characters=100))

    assert (run["status"], run["error"]["code"]) == ("failed", "budget_exhausted")
    assert (run["cost"], len(provider.requests), shortfall_of(run)) == ("0.00404", 1, 0)
    assert_settled(owner, run)


def test_an_answer_beyond_its_limit_is_cut_off(ask: Any, owner: Person, provider: FakeProvider) -> None:
    provider.script(Reply(chunks=tuple("so long " * 20 for _ in range(100)), tokens_per_second=500))

    run = ask(settings={"max_tokens": 16})

    assert run["status"] == "completed"
    answer = answer_of(owner, run)
    assert answer["finish_reason"] == "length"
    assert len(answer["parts"][0]["text"]) < 1000
    assert run["usage"]["output_tokens"] <= 16
    assert_settled(owner, run)


@pytest.mark.parametrize(("passages", "characters"), [(50, 3000), (8, 20_000), (2, 90_000)])
def test_what_was_found_fits_the_window_at_every_step(  # noqa: PLR0917  # Fixtures.
    ask: Any, owner: Person, provider: FakeProvider, knowing: Knowing, passages: int, characters: int
) -> None:
    provider.script(*(Reply(tool_calls=(SEARCH, SEARCH)) for _ in range(3)), Reply(text="Eight [1]."))

    run = ask("So? " * 2000, **knowing(passages=passages, characters=characters))

    assert (run["status"], len(provider.requests)) == ("completed", 4)
    for request in provider.requests:
        read = sum(count_tokens(message["content"] or "") for message in request.body["messages"])
        assert read + request.body["max_tokens"] <= WINDOW
        for message in request.body["messages"]:
            if message["role"] == "tool":
                found = json.loads(message["content"])
                assert all(passage["text"].endswith("ends.") for passage in found["passages"])  # Whole ones.
                assert found["left_out"] == passages - len(found["passages"])


def test_old_messages_make_room_for_what_was_found(owner: Person, provider: FakeProvider, knowing: Knowing) -> None:
    agent = owner.post("/api/v1/agents", {"name": "Reader", **knowing(passages=6, characters=1000)}).json()
    conversation = owner.post("/api/v1/conversations", {"agent": agent["id"]}).json()
    for number in range(3):
        provider.script(Reply(text=f"Answer {number}."))
        runner.execute(run_id=decode("run", start(owner, conversation, "word " * 4000).json()["id"]))
    provider.script(Reply(tool_calls=(SEARCH,)), Reply(text="Now [1]."))

    run = start(owner, conversation, "And now?").json()
    runner.execute(run_id=decode("run", run["id"]))

    before, after = (request.body["messages"] for request in provider.requests[-2:])
    assert row(run).status == "completed"
    assert len(json.loads(after[-1]["content"])["passages"]) == 6
    assert len([message for message in after if message["role"] == "user"]) <= len(before)
    assert next(message["role"] for message in after if message["role"] != "system") == "user"


def test_a_question_that_waits_holds_money_for_the_answer_before_it(
    owner: Person, conversation: dict[str, Any], provider: FakeProvider
) -> None:
    first = start(owner, conversation, "One?").json()
    second = start(owner, conversation, "Two?", when_busy="queue").json()
    provider.script(Reply(text="word " * 900, usage=Usage(20, 0, 1000)), Reply(text="Yes."))

    for run in (first, second):
        runner.execute(run_id=decode("run", run["id"]))

    assert Decimal(second["reserved"]) >= Decimal(first["reserved"]) + Decimal("0.002")
    assert [row(run).status for run in (first, second)] == ["completed"] * 2
    assert [request.body["max_tokens"] for request in provider.requests] == [1000, 1000]
    assert balance(owner)["held"] == 0


def test_a_question_that_waits_is_refused_where_the_balance_does_not_cover_it(
    owner: Person, conversation: dict[str, Any], provider: FakeProvider
) -> None:
    spend_down_to(owner, 9000)
    start(owner, conversation, "One?")

    response = start(owner, conversation, "Two?", when_busy="queue")

    assert (response.status_code, response.json()["code"]) == (402, "insufficient_balance")
    assert start(owner, conversation, "Two?", when_busy="queue", max_cost="0.001").status_code == 202
