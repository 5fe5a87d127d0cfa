"""Runs against providers that write their answers in ways of their own: what is shown, searched and paid."""

from decimal import Decimal
from typing import Any

import pytest

from backend.agents.tests.test_runner import answer_of, assert_settled, events_of, text_of
from backend.agents.tools import search_knowledge
from backend.documents import queries as documents
from backend.llm.tests.frames import DONE, called, chunk, frames, spent
from tests.actors import Person
from tests.providers import FakeProvider, Reply

pytestmark = pytest.mark.django_db

STOP = chunk("stop")
USAGE = spent(prompt_tokens=1000, completion_tokens=10, total_tokens=1010)
GATEWAY = spent(prompt_tokens=368, completion_tokens=19, total_tokens=10_923, cache_read_input_tokens=10_536)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (frames(chunk(content="It is "), chunk(content="nine."), STOP, GATEWAY) + DONE, ("", "0.003078")),
        (
            frames({"choices": [{"message": {"content": "It is nine."}, "finish_reason": "stop"}]}, USAGE),
            ("", "0.00104"),
        ),
        (
            frames(chunk(content="<think>T"), chunk(content="en?</think>\n\nIt is nine."), STOP, USAGE),
            ("Ten?", "0.00104"),
        ),
    ],
    ids=["cache beside the input", "message in place of delta", "reasoning between tags"],
)
def test_an_answer_is_shown_and_paid_as_it_was_meant(
    ask: Any, owner: Person, provider: FakeProvider, body: bytes, expected: tuple[str, str]
) -> None:
    """At 1.00 for a million tokens of input, 0.25 if they were cached, and 4.00 of output."""
    provider.script(Reply(raw=body))

    run = ask("What time is it?")

    assert (run["status"], run["error"]) == ("completed", None)
    thoughts = "".join(event.payload["delta"] for event in events_of(run) if event.name == "reasoning.delta")
    assert (thoughts, run["cost"]) == expected
    assert text_of(events_of(run)) == "It is nine."
    assert answer_of(owner, run)["parts"][-1] == {"type": "text", "text": "It is nine."}
    assert_settled(owner, run)


def test_calls_in_pieces_that_belong_together_by_no_index_search_once_each(
    ask: Any, owner: Person, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    from backend.agents.tests.test_agents import make_collection

    asked: list[str] = []

    def search(*, query: str, **_: Any) -> documents.SearchResult:
        asked.append(query)
        return documents.SearchResult(passages=[], mode="lexical")

    monkeypatch.setattr(search_knowledge, "search", search)
    name = search_knowledge.NAME
    pieces = [called('{"query": "ze', 0, "", name), called('bra"}', 0), called('{"query": "lion"}', "0", "", name)]
    provider.script(Reply(raw=frames(*pieces, chunk("stop"), USAGE)), Reply(text="Neither."))

    run = ask("Zebra or lion?", knowledge=[{"collection": make_collection(owner)}])

    assert (run["status"], asked) == ("completed", ["zebra", "lion"])
    calls = [event.payload["arguments"] for event in events_of(run) if event.name == "tool.call"]
    assert calls == [{"query": "zebra"}, {"query": "lion"}]
    sent = [turn for turn in provider.requests[1].body["messages"] if turn["role"] == "tool"]
    assert len({turn["tool_call_id"] for turn in sent}) == 2
    assert Decimal(run["cost"]) > 0
    assert_settled(owner, run)
