"""Tool calls in all the pieces in which servers send them: each call once, whole, with an id of its own."""

import json
from typing import Any

import pytest

from backend.llm.tests.frames import DONE, Outcome, called, chunk, frames, named, read

ZEBRA, LION = '{"query": "zebra"}', '{"query": "lion"}'
S = "search"
BOTH = [(S, ZEBRA), (S, LION)]
ALONE = [(S, ZEBRA)]
FIRST = {"index": 0, "id": "a", "function": {"name": S, "arguments": ZEBRA}}
SECOND = {"index": 1, "id": "b", "function": {"name": S, "arguments": LION}}


def flat(**call: Any) -> dict[str, Any]:
    return chunk(tool_calls=[call])


PIECES: dict[str, tuple[list[tuple[str, str]], list[dict[str, Any]]]] = {
    "as specified": (
        BOTH,
        [called("", 0, "a", S), called(ZEBRA[:5], 0), called(ZEBRA[5:], 0), called("", 1, "b", S), called(LION, 1)],
    ),
    "in turns": (
        BOTH,
        [
            called("", 0, "a", S),
            called("", 1, "b", S),
            called(ZEBRA[:5], 0),
            called(LION[:7], 1),
            called(ZEBRA[5:], 0),
            called(LION[7:], 1),
        ],
    ),
    "in one chunk": (BOTH, [chunk(tool_calls=[FIRST, SECOND])]),
    "in one chunk without index and id": (
        BOTH,
        [
            chunk(
                tool_calls=[{"function": {"name": S, "arguments": ZEBRA}}, {"function": {"name": S, "arguments": LION}}]
            )
        ],
    ),
    "one index, two ids": (BOTH, [called(ZEBRA, 0, "a", S), called(LION, 0, "b", S)]),
    "one index, two ids, heads apart": (
        BOTH,
        [called("", 0, "a", S), called(ZEBRA, 0), called("", 0, "b", S), called(LION, 0)],
    ),
    "one index, heads before tails": (
        BOTH,
        [called("", 0, "a", S), called("", 0, "b", S), called(ZEBRA, 0), called(LION, 0)],
    ),
    "one index, empty ids": (BOTH, [called(ZEBRA, 0, "", S), called(LION, 0, "", S)]),
    "one index, no ids": (BOTH, [called(ZEBRA, 0, None, S), called(LION, 0, None, S)]),
    "one index, empty ids, in pieces": (
        BOTH,
        [called(ZEBRA[:5], 0, "", S), called(ZEBRA[5:], 0, ""), called("", 0, "", S), called(LION, 0, "")],
    ),
    "one index, two tools": ([(S, "{}"), ("look_up", "{}")], [called("", 0, "", S), called("", 0, "", "look_up")]),
    "no index, ids": (BOTH, [called(ZEBRA, None, "a", S), called(LION, None, "b", S)]),
    "no index, ids, in pieces": (
        BOTH,
        [
            called(ZEBRA[:5], None, "a", S),
            called(ZEBRA[5:], None, "a"),
            called("", None, "b", S),
            called(LION, None, "b"),
        ],
    ),
    "no index, ids, in turns": (
        BOTH,
        [called("", None, "a", S), called("", None, "b", S), called(ZEBRA, None, "a"), called(LION, None, "b")],
    ),
    "no index, no ids": (
        BOTH,
        [called(ZEBRA[:5], None, None, S), called(ZEBRA[5:]), called(LION[:5], None, None, S), called(LION[5:])],
    ),
    "one id for both": (BOTH, [called(ZEBRA, 0, "a", S), called(LION, 1, "a", S)]),
    "one id for both, in pieces": (
        BOTH,
        [called("", 0, "a", S), called(ZEBRA, 0), called("", 1, "a", S), called(LION, 1)],
    ),
    "one id and index for both": (BOTH, [called(ZEBRA, 0, "a", S), called(LION, 0, "a", S)]),
    "an id for each piece": (ALONE, [called("", 0, "a", S), called(ZEBRA[:5], 0, "b"), called(ZEBRA[5:], 0, "c")]),
    "an id and the name for each piece": (
        ALONE,
        [called(ZEBRA[:5], 0, "a", S), called(ZEBRA[5:8], 0, "b", S), called(ZEBRA[8:], 0, "c", S)],
    ),
    "the name in each piece": (
        BOTH,
        [
            called(ZEBRA[:5], 0, "a", S),
            called(ZEBRA[5:], 0, "a", S),
            called(LION[:5], 1, "b", S),
            called(LION[5:], 1, "b", S),
        ],
    ),
    "the name in each piece, no ids": (
        BOTH,
        [
            called(ZEBRA[:5], 0, "", S),
            called(ZEBRA[5:], 0, "", S),
            called(LION[:5], 1, "", S),
            called(LION[5:], 1, "", S),
        ],
    ),
    "the name once more at the end": (ALONE, [called(ZEBRA, 0, "", S), called("", 0, "", S)]),
    "the name in pieces": (
        [("look_up", ZEBRA)],
        [called("", 0, "a", "look"), called("", 0, None, "_up"), called(ZEBRA, 0)],
    ),
    "the name in pieces, each from its start": (
        [("look_up", ZEBRA)],
        [called("", 0, "a", "loo"), called("", 0, "a", "look_"), called(ZEBRA, 0, "a", "look_up")],
    ),
    "the name after the id": (ALONE, [called("", 0, "a"), called("", 0, None, S), called(ZEBRA, 0)]),
    "the arguments before the name": (ALONE, [called(ZEBRA, 0, "a"), called("", 0, "a", S)]),
    "the id after the name": (ALONE, [called("", 0, "", S), called(ZEBRA, 0, "a", S)]),
    "head at 0, tail at 1": (BOTH, [called("", 0, "a", S), called(ZEBRA, 0), called("", 0, "b", S), called(LION, 1)]),
    "head at 1, tail at 0": (BOTH, [called("", 0, "a", S), called(ZEBRA, 0), called("", 1, "b", S), called(LION, 0)]),
    "half of a head at 0, the tail at 1": (
        BOTH,
        [called(ZEBRA, 0, "a", S), called(LION[:6], 0, "b", S), called(LION[6:], 1)],
    ),
    "tail without an index": (BOTH, [called("", 0, "a", S), called(ZEBRA), called("", 1, "b", S), called(LION)]),
    "an index as text": (BOTH, [called(ZEBRA, "0", "a", S), called(LION, "1", "b", S)]),
    "an index as a fraction": (BOTH, [called(ZEBRA, 0.0, "a", S), called(LION, 1.0, "b", S)]),
    "an index of nonsense": (BOTH, [called(ZEBRA, "first", "a", S), called(LION, {"n": 1}, "b", S)]),
    "ids as numbers": (BOTH, [called(ZEBRA, 0, 7, S), called(LION, 0, 8, S)]),
    "arguments as an object": (BOTH, [called(json.loads(ZEBRA), 0, "a", S), called(json.loads(LION), 1, "b", S)]),
    "arguments as JSON in JSON": (ALONE, [called(json.dumps(ZEBRA), 0, "a", S)]),
    "an empty object before the arguments": (ALONE, [called("{}", 0, "a", S), called(ZEBRA, 0)]),
    "the arguments once more at the end": (
        ALONE,
        [called("", 0, "a", S), called(ZEBRA[:5], 0), called(ZEBRA[5:], 0), called('{"query":"zebra"}', 0)],
    ),
    "two objects run together": (BOTH, [called(ZEBRA + LION, 0, "a", S)]),
    "null arguments": ([(S, "{}")], [called("null", 0, "a", S)]),
    "no arguments": ([(S, "{}")], [called(None, 0, "a", S)]),
    "two calls without arguments": (
        [(S, "{}"), ("look_up", "{}")],
        [called("", 0, "a", S), called("", 1, "b", "look_up")],
    ),
    "arguments that are not whole": ([(S, '{"query')], [called('{"query', 0, "a", S)]),
    "no function around them": (ALONE, [flat(index=0, id="a", name=S, arguments=ZEBRA)]),
    "no list around it": (ALONE, [chunk(tool_calls=FIRST)]),
    "null in the list": (ALONE, [chunk(tool_calls=[None, FIRST])]),
    "function_call": (
        ALONE,
        [chunk(function_call={"name": S, "arguments": ""}), chunk(function_call={"arguments": ZEBRA})],
    ),
    "function_call beside tool_calls": (
        ALONE,
        [chunk(function_call={"name": S, "arguments": ZEBRA}, tool_calls=[FIRST])],
    ),
    "a name space": (ALONE, [called(ZEBRA, 0, "a", f"functions.{S}")]),
    "a token of the template": (ALONE, [called(ZEBRA, 0, "a", f"{S}<|channel|>commentary")]),
    "white space around the name": (ALONE, [called(ZEBRA, 0, "a", f" {S}\n")]),
    "a tool that was not offered": ([("other", ZEBRA)], [called(ZEBRA, 0, "a", "other")]),
    "in a message": (ALONE, [{"choices": [{"message": {"content": None, "tool_calls": [FIRST]}}]}]),
    "streamed, and in a message": (
        ALONE,
        [called(ZEBRA, 0, "a", S), {"choices": [{"delta": {}, "message": {"content": "", "tool_calls": [FIRST]}}]}],
    ),
}


@pytest.mark.parametrize(("expected", "pieces"), PIECES.values(), ids=PIECES.keys())
def test_pieces_of_chat_completions(expected: list[tuple[str, str]], pieces: list[dict[str, Any]]) -> None:
    for finish in ("tool_calls", "stop"):
        check(read("chat", frames(*pieces, chunk(finish)) + DONE), expected)


def check(answer: Outcome, expected: list[tuple[str, str]]) -> None:
    assert (answer.reason, answer.error) == ("tool_calls", "")
    assert [(name, plain(arguments)) for name, arguments in answer.calls] == [
        (name, plain(arguments)) for name, arguments in expected
    ]
    assert len(set(answer.ids)) == len(expected)
    assert all(answer.ids)


def plain(arguments: str) -> Any:
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ([called(ZEBRA, 0, "a", S)], ""),
        ([called("", 0, "a", S), called(ZEBRA, 0)], ""),
        ([called(ZEBRA[:-2], 0, "a", S)], "ended the answer in the middle"),
        ([called(ZEBRA, 0, "a", S), called("", 1, "b", S)], "ended the answer in the middle"),
        ([chunk(content="I will")], "ended the answer in the middle"),
    ],
)
def test_calls_that_are_whole_need_no_word_of_the_end(body: list[dict[str, Any]], error: str) -> None:
    answer = read("chat", frames(*body))

    assert error in answer.error
    assert bool(answer.calls) == (not error)


def block(index: int | None, **members: Any) -> dict[str, Any]:
    place = {} if index is None else {"index": index}
    return {"type": "content_block_start", **place, "content_block": {"type": "tool_use", **members}}


def json_delta(index: Any, text: Any) -> dict[str, Any]:
    place = {} if index is None else {"index": index}
    return {"type": "content_block_delta", **place, "delta": {"type": "input_json_delta", "partial_json": text}}


BLOCKS: dict[str, tuple[list[tuple[str, str]], list[dict[str, Any]]]] = {
    "as specified": (
        BOTH,
        [
            block(0, id="a", name=S, input={}),
            json_delta(0, ZEBRA[:5]),
            json_delta(0, ZEBRA[5:]),
            block(1, id="b", name=S, input={}),
            json_delta(1, LION),
        ],
    ),
    "whole at the start": (
        BOTH,
        [block(0, id="a", name=S, input=json.loads(ZEBRA)), block(1, id="b", name=S, input=json.loads(LION))],
    ),
    "whole at the start and in pieces": (
        ALONE,
        [block(0, id="a", name=S, input=json.loads(ZEBRA)), json_delta(0, ZEBRA[:5]), json_delta(0, ZEBRA[5:])],
    ),
    "no index": (
        BOTH,
        [block(None, id="a", name=S), json_delta(None, ZEBRA), block(None, id="b", name=S), json_delta(None, LION)],
    ),
    "an index as text": (
        BOTH,
        [block(0, id="a", name=S), json_delta("0", ZEBRA), block(1, id="b", name=S), json_delta("1", LION)],
    ),
    "an index of another block": (ALONE, [block(1, id="a", name=S), json_delta(0, ZEBRA)]),
    "an object as a piece": (ALONE, [block(0, id="a", name=S), json_delta(0, json.loads(ZEBRA))]),
    "no id": (BOTH, [block(0, name=S), json_delta(0, ZEBRA), block(1, id="", name=S), json_delta(1, LION)]),
    "one id": (BOTH, [block(0, id="a", name=S), json_delta(0, ZEBRA), block(1, id="a", name=S), json_delta(1, LION)]),
    "no input": ([(S, "{}")], [block(0, id="a", name=S, input=None)]),
}


@pytest.mark.parametrize(("expected", "pieces"), BLOCKS.values(), ids=BLOCKS.keys())
def test_blocks_of_messages(expected: list[tuple[str, str]], pieces: list[dict[str, Any]]) -> None:
    end = {"type": "message_delta", "delta": {"stop_reason": "tool_use"}}
    for typed in (True, False):
        check(read("claude", named(*pieces, end, typed=typed)), expected)


def item(step: str, index: int | None = None, /, **members: Any) -> dict[str, Any]:
    place = {} if index is None else {"output_index": index}
    return {"type": f"response.output_item.{step}", **place, "item": {"type": "function_call", **members}}


def arguments(step: str, text: Any, **place: Any) -> dict[str, Any]:
    member = {"delta": text} if step == "delta" else {"arguments": text}
    return {"type": f"response.function_call_arguments.{step}", **member, **place}


def whole(*items: dict[str, Any]) -> dict[str, Any]:
    output = [{"type": "function_call", **each} for each in items]
    return {"type": "response.completed", "response": {"status": "completed", "output": output}}


A: dict[str, Any] = {"id": "fc_a", "call_id": "a", "name": S}
B: dict[str, Any] = {"id": "fc_b", "call_id": "b", "name": S}
ITEMS: dict[str, tuple[list[tuple[str, str]], list[dict[str, Any]]]] = {
    "as specified": (
        BOTH,
        [
            item("added", 0, **A, arguments=""),
            arguments("delta", ZEBRA, output_index=0),
            item("done", 0, **A, arguments=ZEBRA),
            item("added", 1, **B),
            item("done", 1, **B, arguments=LION),
            whole({**A, "arguments": ZEBRA}, {**B, "arguments": LION}),
        ],
    ),
    "by the id of the item": (
        BOTH,
        [
            item("added", **A),
            item("added", **B),
            arguments("delta", ZEBRA, item_id="fc_a"),
            arguments("delta", LION, item_id="fc_b"),
            whole(),
        ],
    ),
    "no place": (
        BOTH,
        [item("added", **A), arguments("delta", ZEBRA), item("added", **B), arguments("delta", LION), whole()],
    ),
    "arguments when they are done": (
        ALONE,
        [
            item("added", 0, **A),
            arguments("delta", ZEBRA[:5], output_index=0),
            arguments("done", ZEBRA, output_index=0),
            whole(),
        ],
    ),
    "only when the item is done": (
        BOTH,
        [item("done", 0, **A, arguments=ZEBRA), item("done", 1, **B, arguments=LION), whole()],
    ),
    "only at the end": (BOTH, [whole({**A, "arguments": ZEBRA}, {**B, "arguments": LION})]),
    "half, and whole at the end": (
        ALONE,
        [
            item("added", 0, **A),
            arguments("delta", ZEBRA[:5], output_index=0),
            whole({"call_id": "a", "name": S, "arguments": ZEBRA}),
        ],
    ),
    "an object": (ALONE, [item("added", 0, **A), arguments("done", json.loads(ZEBRA), output_index=0), whole()]),
    "an index as text": (ALONE, [item("added", 0, **A), arguments("delta", ZEBRA, output_index="0"), whole()]),
    "no ids": (
        BOTH,
        [
            item("added", 0, name=S),
            arguments("delta", ZEBRA, output_index=0),
            item("added", 1, name=S),
            arguments("delta", LION, output_index=1),
            whole(),
        ],
    ),
}


@pytest.mark.parametrize(("expected", "pieces"), ITEMS.values(), ids=ITEMS.keys())
def test_items_of_responses(expected: list[tuple[str, str]], pieces: list[dict[str, Any]]) -> None:
    for typed in (True, False):
        check(read("responses", named(*pieces, typed=typed)), expected)
