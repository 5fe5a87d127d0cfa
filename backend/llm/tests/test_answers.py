"""What every adapter makes of a whole answer."""

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from pytest_django import Settings

from backend.llm.chat import (
    Finished,
    Message,
    ProviderError,
    ReasoningDelta,
    TextDelta,
    ToolCall,
    ToolDefinition,
    Usage,
    count_request,
    count_tokens,
    message_from_json,
    message_to_json,
)
from backend.llm.tests.asking import ask, end_of, request, text_of
from tests.providers import FakeProvider, Reply, ReplyCall
from tests.providers import Usage as Tokens

MODELS = ["chat", "responses", "claude"]
SEARCH = ToolDefinition(name="search", description="Searches.", parameters={"type": "object", "properties": {}})


@pytest.mark.parametrize("model", MODELS)
def test_text_streams_piece_by_piece_and_ends_with_the_usage(provider: FakeProvider, model: str) -> None:
    provider.script(Reply(chunks=("São ", "três 🎉 ", "linhas.\n"), usage=Tokens(100, 40, 7)))

    answer = ask(model)

    assert answer[:-1] == [TextDelta("São "), TextDelta("três 🎉 "), TextDelta("linhas.\n")]
    assert end_of(answer).reason == "stop"
    assert end_of(answer).usage == Usage(input_tokens=100, cached_input_tokens=40, output_tokens=7)


@pytest.mark.parametrize("model", MODELS)
def test_parallel_tool_calls_are_put_together(provider: FakeProvider, model: str) -> None:
    calls = (ReplyCall("search", '{"query": "ação \\"um\\""}', "call_a"), ReplyCall("search", "{}", "call_b"))
    provider.script(Reply(text="Wait.", tool_calls=calls))

    answer = ask(model, tools=(SEARCH,))

    assert text_of(answer) == "Wait."
    assert [event for event in answer if isinstance(event, ToolCall)] == [
        ToolCall(id="call_a", name="search", arguments='{"query": "ação \\"um\\""}'),
        ToolCall(id="call_b", name="search", arguments="{}"),
    ]
    assert end_of(answer).reason == "tool_calls"


@pytest.mark.parametrize("model", MODELS)
def test_reasoning_is_separate_from_text(provider: FakeProvider, model: str) -> None:
    provider.script(Reply(reasoning="Let me think.", text="Yes."))

    answer = ask(model)

    assert ReasoningDelta("Let me think.") in answer
    assert text_of(answer) == "Yes."


@pytest.mark.parametrize("model", MODELS)
def test_an_answer_at_the_limit_says_so_and_gives_no_half_call(provider: FakeProvider, model: str) -> None:
    provider.script(Reply(text="Once upon a", tool_calls=(ReplyCall("search", '{"que'),), finish="length"))

    answer = ask(model)

    assert end_of(answer).reason == "length"
    assert not any(isinstance(event, ToolCall) for event in answer)


@pytest.mark.parametrize("model", MODELS)
def test_usage_that_is_not_sent_is_estimated(provider: FakeProvider, model: str) -> None:
    provider.script(Reply(text="A fair answer of some length.", send_usage=False))

    usage = end_of(ask(model)).usage

    assert usage.estimated
    assert usage.input_tokens == count_request(request(model))
    assert usage.output_tokens == count_tokens("A fair answer of some length.")


@pytest.mark.parametrize("model", MODELS)
def test_an_empty_answer_is_an_answer(provider: FakeProvider, model: str) -> None:
    provider.script(Reply())

    answer = ask(model)

    assert [type(event) for event in answer] == [Finished]
    assert not end_of(answer).usage.estimated


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("text", ["", "Let me look."])
def test_the_state_of_each_answer_goes_back_in_a_loop_of_tools(provider: FakeProvider, model: str, text: str) -> None:
    """The fake provider refuses a request without the reasoning that it sent, as a real one does."""
    thought = {"reasoning": "First x.", "text": text}
    provider.script(
        Reply(tool_calls=(ReplyCall("search", '{"query": "x"}', "call_0"),), **thought),  # type: ignore[arg-type]
        Reply(tool_calls=(ReplyCall("search", '{"query": "y"}', "call_1"),), reasoning="Then y."),
        Reply(text="Found [1]."),
    )
    messages = [Message(role="user", text="What is x?")]
    for _ in range(3):
        answer = ask(model, messages=tuple(messages), tools=(SEARCH,))
        calls = tuple(event for event in answer if isinstance(event, ToolCall))
        message = Message(role="assistant", text=text_of(answer), tool_calls=calls, state=end_of(answer).state)
        stored = json.loads(json.dumps(message_to_json(message)))
        messages.append(message_from_json(stored))
        messages += [Message(role="tool", text='{"passages": []}', tool_call_id=call.id) for call in calls]

    assert messages[-1].text == "Found [1]."
    assert '{\\"passages\\": []}' in json.dumps(provider.requests[1].body)

    bare = [msgspec.structs.replace(message, state=None) for message in messages]
    with pytest.raises(ProviderError, match="must be given back"):
        ask(model, messages=tuple(bare), tools=(SEARCH,))


def chat_lines(*payloads: object) -> bytes:
    return b"".join(b"data: " + json.dumps(payload).encode() + b"\r\n\r\n" for payload in payloads)


def pretty_lines(*payloads: object) -> bytes:
    """Each payload over several ``data:`` lines, as the standard of server-sent events allows."""
    lines = ([b"data: " + line for line in json.dumps(payload, indent=1).encode().split(b"\n")] for payload in payloads)
    return b"".join(b"\n".join([b"event: message", *event]) + b"\n\n" for event in lines)


def unparted_lines(*payloads: object) -> bytes:
    """No blank line between events, which no standard allows and some servers do."""
    return b"".join(b"data: " + json.dumps(payload).encode() + b"\n" for payload in payloads)


def chunk(finish: str | None = None, **delta: object) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def called(index: int | None, id: str | None, name: str | None, arguments: object) -> dict[str, object]:
    place = {} if index is None else {"index": index}
    return {**place, "id": id, "function": {"name": name, "arguments": arguments}}


def test_half_of_a_surrogate_pair_does_not_break_an_answer(provider: FakeProvider) -> None:
    raw = chat_lines(chunk(content="half \ud83c"), chunk(content="\udf89 done \U0001f389"), chunk("stop"))
    assert b"\\ud83c" in raw
    provider.script(Reply(raw=raw + b"data: [DONE]\n\n"))

    assert text_of(ask("chat")) == "half \ufffd\ufffd done \U0001f389"


@pytest.mark.parametrize("lines", [chat_lines, pretty_lines, unparted_lines])
def test_the_ways_in_which_servers_part_events(provider: FakeProvider, lines: Callable[..., bytes]) -> None:
    usage = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}
    pieces = [chunk(content="Whole "), chunk(content='"}".'), chunk("stop"), usage]
    provider.script(Reply(raw=lines(*pieces) + b"data: [DONE]\n\n"))

    answer = ask("chat")

    assert text_of(answer) == 'Whole "}".'
    assert (end_of(answer).usage.input_tokens, end_of(answer).usage.output_tokens) == (7, 2)


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ([called(0, "a", "one", "{}"), called(0, "b", "two", "{}")], [("a", "one", "{}"), ("b", "two", "{}")]),
        ([called(None, "a", "one", {"x": 1})], [("a", "one", '{"x":1}')]),
        ([called(0, "a", "one", '{"x'), called(0, "a", "one", '":1}')], [("a", "one", '{"x":1}')]),
        ([called(0, "", "one", ""), called(0, None, None, "")], [("call_0_0", "one", "{}")]),
        ([called(3, "a", "one", "{}"), called(7, "b", "two", None)], [("a", "one", "{}"), ("b", "two", "{}")]),
    ],
)
def test_the_ways_in_which_compatible_servers_write_tool_calls(
    provider: FakeProvider, calls: list[dict[str, object]], expected: list[tuple[str, str, str]]
) -> None:
    pieces = [chunk(tool_calls=[call]) for call in calls]
    provider.script(Reply(raw=chat_lines(*pieces, chunk("stop")) + b"data: [DONE]\n\n"))

    answer = ask("chat")

    found = [(event.id, event.name, event.arguments) for event in answer if isinstance(event, ToolCall)]
    assert found == expected
    assert end_of(answer).reason == "tool_calls"


def test_the_ways_in_which_compatible_servers_write_text(provider: FakeProvider) -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "One"}]
    provider.script(
        Reply(
            raw=b": comment\n\n"
            + chat_lines(
                {"choices": [], "prompt_filter_results": []},
                {"choices": None},
                chunk(role="assistant", content=None, tool_calls=None),
                chunk(content=parts),
                chunk(content=" tw\u0000o", reasoning="And."),
                {**chunk("stop"), "usage": {"prompt_tokens": 5, "completion_tokens": 2, "prompt_cache_hit_tokens": 9}},
            ),
            content_type="text/plain",
        )
    )

    answer = ask("chat")

    assert text_of(answer) == "One two"
    assert [event.text for event in answer if isinstance(event, ReasoningDelta)] == ["Hm.", "And."]
    assert end_of(answer).usage == Usage(input_tokens=5, cached_input_tokens=5, output_tokens=2)


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 0, "completion_tokens": 0},
        {"prompt_tokens": -5, "completion_tokens": 3},
        {"prompt_tokens": None, "completion_tokens": None},
    ],
)
def test_usage_that_cannot_be_true_is_estimated(provider: FakeProvider, usage: dict[str, object]) -> None:
    provider.script(Reply(raw=chat_lines(chunk(content="Hello."), {**chunk("stop"), "usage": usage})))

    assert end_of(ask("chat")).usage == Usage(
        input_tokens=count_request(request("chat")),
        cached_input_tokens=0,
        output_tokens=count_tokens("Hello."),
        estimated=True,
    )


def test_reasoning_that_is_only_in_the_total_is_counted(provider: FakeProvider) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 40}
    provider.script(Reply(raw=chat_lines(chunk(content="Hello."), {**chunk("stop"), "usage": usage})))

    assert end_of(ask("chat")).usage.output_tokens == 30


def test_reasoning_is_not_kept_for_a_server_that_does_not_want_it_back(
    provider: FakeProvider, settings: Settings, tmp_path: Path
) -> None:
    text = settings.MODELS_FILE.read_text().replace("send_reasoning = true", "")
    settings.MODELS_FILE = tmp_path / "other.toml"
    settings.MODELS_FILE.write_text(text)
    provider.script(Reply(text="Yes.", reasoning="Hm."))

    assert end_of(ask("chat")).state is None
