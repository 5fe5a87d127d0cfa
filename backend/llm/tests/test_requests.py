"""The exact requests that each adapter sends."""

from typing import Any

from backend.llm.catalog import catalog
from backend.llm.chat import Message, ToolCall, ToolDefinition, output_limit
from backend.llm.history import NO_RESULT, make_state
from backend.llm.tests.asking import ask, request
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
        body = sent(provider, model, instructions="", tools=(), temperature=None)
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


def test_a_record_of_reasoning_goes_back_to_its_model_alone(provider: FakeProvider) -> None:
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
    state = make_state([thought], catalog().get("claude"))
    call = ToolCall(id="call_1", name="search", arguments="{}")
    turns = (
        Message(role="user", text="What is x?"),
        Message(role="assistant", tool_calls=(call,), state=state),
        Message(role="tool", text="found", tool_call_id="call_1"),
    )

    blocks = sent(provider, "claude", messages=turns)["messages"][1]["content"]
    assert blocks[0] == thought
    assert blocks[1]["type"] == "tool_use"
    assert "Hm." not in str(sent(provider, "responses", messages=turns))
    assert "Hm." not in str(sent(provider, "chat", messages=turns))

    broken = (turns[0], Message(role="assistant", tool_calls=(call,), state="{nonsense"), turns[2])
    assert len(sent(provider, "claude", messages=broken)["messages"][1]["content"]) == 1


def test_the_limit_of_the_answer_fits_the_model_and_its_window(provider: FakeProvider) -> None:
    assert output_limit(request("chat")) == 1000
    assert output_limit(request("chat", max_tokens=10)) == 10
    assert output_limit(request("chat", max_tokens=10**9)) == 1000
    assert 256 < output_limit(request("chat", instructions="word " * 14_800)) < 1000
    assert output_limit(request("chat", instructions="word " * 100_000)) == 256


def test_results_belong_to_the_calls_before_them_though_ids_come_again(provider: FakeProvider) -> None:
    """Many servers number the calls of each answer anew."""
    calls = [ToolCall(id="call_0", name="search", arguments=f'{{"query": "{word}"}}') for word in ("x", "y", "z")]
    turns = [Message(role="user", text="What are x, y and z?")]
    for call, found in zip(calls, ("one", None, "three"), strict=True):
        turns.append(Message(role="assistant", tool_calls=(call,)))
        turns += [Message(role="tool", text=found, tool_call_id="call_0")] if found else []

    messages = sent(provider, "chat", messages=tuple(turns), instructions="")["messages"]

    assert [turn["content"] for turn in messages if turn["role"] == "tool"] == ["one", NO_RESULT, "three"]
