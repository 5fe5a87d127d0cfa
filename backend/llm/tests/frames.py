"""Read the body of an answer with an adapter, without a server: frames in, what comes of them out."""

import json
from decimal import Decimal
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple, cast

from backend.llm import anthropic, openai_chat, openai_responses
from backend.llm.answer import PartialAnswer
from backend.llm.catalog import Model, Provider
from backend.llm.chat import (
    ChatRequest,
    Finished,
    Message,
    ProviderError,
    ReasoningDelta,
    TextDelta,
    ToolCall,
    ToolDefinition,
    Usage,
)
from backend.llm.clients import Client
from backend.llm.sse import Payloads
from backend.llm.transport import Exchange

READERS: dict[str, ModuleType] = {"chat": openai_chat, "responses": openai_responses, "claude": anthropic}
DONE = b"data: [DONE]\n\n"
MODEL = Model(
    id="m",
    name="m",
    provider="odd",
    kind="chat",
    input_price=Decimal(1),
    cached_input_price=Decimal(1),
    output_price=Decimal(1),
    context_window=100_000,
    max_output_tokens=2048,
    dimensions=None,
    temperature=True,
    available=True,
    unavailable_reason=None,
)
PROVIDER = Provider(
    name="odd",
    kind="openai-chat",
    base_url=None,
    api_key_env=None,
    connect_timeout=1,
    read_timeout=1,
    total_timeout=10,
    max_tokens_field="max_tokens",
    tokens_per_second=1,
    send_reasoning=False,
    models=(MODEL,),
)


class Outcome(NamedTuple):
    text: str = ""
    reasoning: str = ""
    calls: tuple[tuple[str, str], ...] = ()  # Names and arguments.
    ids: tuple[str, ...] = ()
    usage: tuple[int, int, int] | None = None  # Input, cached input, output; None where any is estimated.
    reason: str = ""
    error: str = ""
    patience: float | None = None  # After the last frame, before the body ended.
    end: Finished | None = None


def frames(*payloads: object) -> bytes:
    return b"".join(b"data: " + json.dumps(payload).encode() + b"\n\n" for payload in payloads)


def named(*payloads: dict[str, Any], typed: bool = True) -> bytes:
    """As Anthropic and OpenAI's responses API send them; untyped, the name is in the line ``event:`` alone."""
    made = []
    for payload in payloads:
        kept = payload if typed else {key: value for key, value in payload.items() if key != "type"}
        made.append(f"event: {payload['type']}\ndata: {json.dumps(kept)}\n\n".encode())
    return b"".join(made)


def chunk(finish: object = None, **delta: object) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def spent(**counts: object) -> dict[str, Any]:
    return {"choices": [], "usage": counts}


def called(arguments: object = None, index: object = None, id: object = None, name: object = None) -> dict[str, Any]:
    """A chunk with one piece of a call, of which nothing is sent that is not given."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    place = {key: value for key, value in (("index", index), ("id", id)) if value is not None}
    return chunk(tool_calls=[{**place, "type": "function", "function": function}])


def read(kind: str, body: bytes, *, cut: int = 0, tools: tuple[str, ...] = ("search", "look_up")) -> Outcome:
    """What the adapter makes of the body, received in pieces of ``cut`` bytes."""
    offered = tuple(ToolDefinition(name=name, description="", parameters={}) for name in tools)
    request = ChatRequest(model=MODEL, messages=(Message(role="user", text="Go."),), tools=offered)
    current = Exchange(PROVIDER, cast(Client, SimpleNamespace(key=None)))
    reader = READERS[kind]._Reader(PartialAnswer(request), current)
    pieces = [body[at : at + cut] for at in range(0, len(body), cut)] if cut else [body]
    payloads, events = Payloads(), list[Any]()
    waits: float | None = None
    try:
        for piece in pieces:
            for current.event, payload in payloads.feed(piece):
                events += reader.read(payload)
        waits = reader.patience
        for current.event, payload in payloads.end():
            events += reader.read(payload)
        events += reader.end()
        error = ""
    except ProviderError as refused:
        error = f"{refused.code}: {refused.detail}"
    calls = [event for event in events if isinstance(event, ToolCall)]
    end = next((event for event in events if isinstance(event, Finished)), None)
    return Outcome(
        text="".join(event.text for event in events if isinstance(event, TextDelta)),
        reasoning="".join(event.text for event in events if isinstance(event, ReasoningDelta)),
        calls=tuple((call.name, call.arguments) for call in calls),
        ids=tuple(call.id for call in calls),
        usage=_reported(end.usage) if end is not None else None,
        reason=end.reason if end is not None else "",
        error=error,
        patience=waits,
        end=end,
    )


def _reported(usage: Usage) -> tuple[int, int, int] | None:
    return None if usage.estimated else (usage.input_tokens, usage.cached_input_tokens, usage.output_tokens)
