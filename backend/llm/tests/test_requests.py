"""The exact requests that each adapter sends."""

import json
from typing import Any

import msgspec
import pytest

from backend.llm.catalog import catalog
from backend.llm.chat import (
    Message,
    ProviderState,
    ToolCall,
    ToolDefinition,
    message_from_json,
    message_to_json,
    output_limit,
)
from backend.llm.history import NO_RESULT, make_state
from backend.llm.offline.model import reply_to
from backend.llm.tests.asking import ask, request
from backend.llm.tests.frames import MODEL
from tests.providers import FakeProvider

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
TOOL = ToolDefinition(name="search", description="Searches.", parameters=SCHEMA)
TURNS = (
    Message(role="user", text="What is x?"),
    Message(
        role="assistant",
        text="Let me look.",
        tool_calls=(
            ToolCall(id="call_1", name="search", arguments='{"query": "x"}'),
            ToolCall(id="call:2", name="search", arguments="not json"),
        ),
    ),
    Message(role="tool", text="found", tool_call_id="call_1"),
    Message(role="tool", text="", tool_call_id="call:2"),
    Message(role="assistant", text="It is [1]."),
    Message(role="user", text="And y?"),
)


def sent(provider: FakeProvider, model: str, **members: Any) -> dict[str, Any]:
    ask(model, **{"messages": TURNS, "instructions": "Be brief.", "tools": (TOOL,), "temperature": 0.5, **members})
    return provider.requests[-1].body


def test_chat_completions(provider: FakeProvider) -> None:
    assert sent(provider, "chat", max_tokens=50) == {
        "model": "chat",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What is x?"},
            {
                "role": "assistant",
                "content": "Let me look.",
                "tool_calls": [
                    {"id": "call_1", "type": "function", "function": {"name": "search", "arguments": '{"query": "x"}'}},
                    {"id": "call:2", "type": "function", "function": {"name": "search", "arguments": "not json"}},
                ],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "found"},
            {"role": "tool", "tool_call_id": "call:2", "content": ""},
            {"role": "assistant", "content": "It is [1]."},
            {"role": "user", "content": "And y?"},
        ],
        "tools": [
            {"type": "function", "function": {"name": "search", "description": "Searches.", "parameters": SCHEMA}}
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 50,
        "temperature": 0.5,
    }
    assert provider.requests[-1].path == "/v1/chat/completions"


def test_responses(provider: FakeProvider) -> None:
    call = {"type": "function_call", "name": "search"}
    assert sent(provider, "responses", max_tokens=50) == {
        "model": "responses",
        "instructions": "Be brief.",
        "input": [
            {"role": "user", "content": "What is x?"},
            {"role": "assistant", "content": "Let me look."},
            {**call, "call_id": "call_1", "arguments": '{"query": "x"}'},
            {**call, "call_id": "call:2", "arguments": "not json"},
            {"type": "function_call_output", "call_id": "call_1", "output": "found"},
            {"type": "function_call_output", "call_id": "call:2", "output": ""},
            {"role": "assistant", "content": "It is [1]."},
            {"role": "user", "content": "And y?"},
        ],
        "tools": [
            {"type": "function", "name": "search", "description": "Searches.", "parameters": SCHEMA, "strict": False}
        ],
        "stream": True,
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "max_output_tokens": 50,
        "temperature": 0.5,
    }
    assert provider.requests[-1].path == "/v1/responses"


def test_anthropic(provider: FakeProvider) -> None:
    use = {"type": "tool_use", "name": "search"}
    assert sent(provider, "claude", max_tokens=50) == {
        "model": "claude",
        "system": "Be brief.",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "What is x?"}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "Let me look."},
                    {**use, "id": "call_1", "input": {"query": "x"}},
                    {**use, "id": "call_2", "input": {"invalid": "not json"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "call_1", "content": "found"},
                    {"type": "tool_result", "tool_use_id": "call_2", "content": "(nothing)"},
                ],
            },
            {"role": "assistant", "content": [{"type": "text", "text": "It is [1]."}]},
            {"role": "user", "content": [{"type": "text", "text": "And y?"}]},
        ],
        "tools": [{"name": "search", "description": "Searches.", "input_schema": SCHEMA}],
        "stream": True,
        "max_tokens": 50,
        "temperature": 0.5,
    }
    assert provider.requests[-1].path == "/v1/messages"


def test_what_is_not_asked_for_is_not_sent(provider: FakeProvider) -> None:
    for model in ("chat", "responses", "claude"):
        body = sent(provider, model, messages=TURNS[-1:], instructions="", tools=(), temperature=None)
        assert {"tools", "temperature", "system", "instructions"}.isdisjoint(body)
        assert all(turn.get("role") != "system" for turn in body.get("messages", []))


def test_a_call_without_a_result_gets_one_and_a_result_without_a_call_is_left_out(provider: FakeProvider) -> None:
    turns = (
        Message(role="tool", text="stray", tool_call_id="call_0"),
        Message(role="user", text="What is x?"),
        Message(role="assistant", tool_calls=(ToolCall(id="call_1", name="search", arguments="{}"),)),
        Message(role="assistant"),
        Message(role="user", text="Hello?"),
    )
    chat = sent(provider, "chat", messages=turns, instructions="")["messages"]
    assert [turn["role"] for turn in chat] == ["user", "assistant", "tool", "user"]
    assert chat[2] == {"role": "tool", "tool_call_id": "call_1", "content": NO_RESULT}

    claude = sent(provider, "claude", messages=turns)["messages"]
    assert [turn["role"] for turn in claude] == ["user", "assistant", "user"]
    assert [block["type"] for block in claude[2]["content"]] == ["tool_result", "text"]


def test_a_question_without_an_answer_is_joined_with_the_next(provider: FakeProvider) -> None:
    turns = (Message(role="user", text="One?"), Message(role="assistant"), Message(role="user", text="Two?"))
    for model in ("chat", "claude"):
        [only] = sent(provider, model, messages=turns, instructions="")["messages"]
        told = only["content"] if model == "chat" else only["content"][0]["text"]
        assert (only["role"], told) == ("user", "One?\n\nTwo?")


def test_a_conversation_that_the_assistant_begins_is_given_a_beginning(provider: FakeProvider) -> None:
    turns = (Message(role="assistant", text="Welcome."), Message(role="user", text="Hi."))

    assert [turn["role"] for turn in sent(provider, "claude", messages=turns)["messages"]] == [
        "user",
        "assistant",
        "user",
    ]


def test_a_state_is_sent_to_its_provider_and_model_alone(provider: FakeProvider) -> None:
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
    call = ToolCall(id="call_1", name="search", arguments="{}")

    def blocks(model: str, state: ProviderState | None) -> Any:
        turns = (
            Message(role="user", text="What is x?"),
            Message(role="assistant", text="Let me look.", tool_calls=(call,), state=state),
            Message(role="tool", text="found", tool_call_id="call_1"),
        )
        return sent(provider, model, messages=turns)

    own = make_state([thought, "text", "call:call_1"], catalog().get("claude"))
    assert own is not None
    kinds = [block["type"] for block in blocks("claude", own)["messages"][1]["content"]]
    assert kinds == ["thinking", "text", "tool_use"]
    for model, state in (
        ("responses", own),
        ("chat", own),
        ("claude", msgspec.structs.replace(own, model="claude-2")),
        ("claude", msgspec.structs.replace(own, provider="another")),
    ):
        assert "Hm." not in json.dumps(blocks(model, state))


def test_the_limit_of_the_answer_fits_the_model_and_its_window(provider: FakeProvider) -> None:
    assert output_limit(request("chat")) == 1000
    assert output_limit(request("chat", max_tokens=10)) == 10
    assert output_limit(request("chat", max_tokens=10**9)) == 1000
    assert 256 < output_limit(request("chat", instructions="word " * 14_800)) < 1000
    assert output_limit(request("chat", instructions="word " * 100_000)) == 256


@pytest.mark.parametrize(
    ("model", "first", "second"),
    [("chat", "call.0", "call_0"), ("responses", "call.0", "call_0"), ("claude", "call_0", "call_0_3")],
)
def test_ids_of_calls_are_unique_in_a_request_and_results_keep_their_calls(
    provider: FakeProvider, model: str, first: str, second: str
) -> None:
    """Many servers number the calls of each answer anew, and Anthropic takes not every character."""
    ids = ("call.0", "call.0", "call_0")
    calls = [
        ToolCall(id=id, name="search", arguments=f'{{"query": "{word}"}}') for id, word in zip(ids, "xyz", strict=True)
    ]
    turns = [Message(role="user", text="What are x, y and z?")]
    for call, found in zip(calls, ("one", None, "three"), strict=True):
        turns.append(Message(role="assistant", tool_calls=(call,)))
        turns += [Message(role="tool", text=found, tool_call_id=call.id)] if found else []

    body = sent(provider, model, messages=tuple(turns), instructions="")

    assert results_by_id(body) == {first: "one", f"{first}_2": NO_RESULT, second: "three"}


def results_by_id(body: dict[str, Any]) -> dict[str, str]:
    """The results of a request of any protocol by the ids of their calls."""
    parts = [*body.get("input", []), *body.get("messages", [])]
    parts += [block for turn in parts if isinstance(turn.get("content"), list) for block in turn["content"]]
    found = {}
    for part in parts:
        if part.get("role") == "tool" or part.get("type") in ("tool_result", "function_call_output"):
            id = part.get("tool_call_id") or part.get("call_id") or part.get("tool_use_id")
            found[str(id)] = str(part.get("output") or part.get("content"))
    return found


@pytest.mark.parametrize(
    ("model", "none"), [("chat", "none"), ("responses", "none"), ("claude", {"type": "none"}), ("offline", None)]
)
def test_tools_stay_declared_where_calls_are_forbidden(provider: FakeProvider, model: str, none: object) -> None:
    if model == "offline":
        search = ToolDefinition(name="search_knowledge", description="", parameters={})
        answer = reply_to(request("chat", tools=(search,), tool_choice="none"))
        assert isinstance(answer, str)
        return
    body = sent(provider, model, tool_choice="none")
    assert (body["tool_choice"], len(body["tools"])) == (none, 1)
    assert "tool_choice" not in sent(provider, model)
    assert "tool_choice" not in sent(provider, model, tool_choice="none", tools=()) or model == "claude"


def test_anthropic_is_given_the_tools_that_the_conversation_calls(provider: FakeProvider) -> None:
    """It refuses calls in a request that declares no tools."""
    body = sent(provider, "claude", tools=())

    assert [tool["name"] for tool in body["tools"]] == ["search"]
    assert body["tool_choice"] == {"type": "none"}


@pytest.mark.parametrize(
    "message",
    [
        Message(role="user", text='Café ☕ "x"\n'),
        Message(
            role="assistant",
            tool_calls=(ToolCall(id="a", name="search", arguments="not json"),),
            state=ProviderState(provider="p", model="m", items=[{"type": "thinking", "n": [1, 0.5, None]}, "call:a"]),
        ),
        Message(role="tool", text="found", tool_call_id="a"),
    ],
)
def test_a_message_comes_back_exactly_from_what_is_stored(message: Message) -> None:
    stored = json.loads(json.dumps(message_to_json(message)))

    assert message_from_json(stored) == message
    assert message_from_json({**stored, "of_a_later_version": {"x": 1}}) == message


@pytest.mark.parametrize("thought", ["x" * 256 * 1024, "a\x00b"])
def test_a_state_that_cannot_be_kept_is_dropped_as_a_whole(thought: str) -> None:
    items = [{"thinking": "kept otherwise"}, {"thinking": thought}]

    assert make_state(items, MODEL) is None
    assert make_state([{"thinking": r"\u0000"}, *items[:1]], MODEL) is not None
