"""Anthropic's messages API."""

import re
from collections.abc import AsyncGenerator, Iterable, Iterator
from functools import partial
from typing import Any

import msgspec

from backend.llm import refusals
from backend.llm.answer import Answer, PartialCall
from backend.llm.catalog import Model, Provider
from backend.llm.chat import ChatEvent, ChatRequest, Message, Usage, output_limit
from backend.llm.history import make_state, paired, state_of
from backend.llm.transport import Exchange, converse, decoded

PATH = "/v1/messages"
SUBSTITUTES: dict[str, dict[str, Any]] = {"temperature": {}}
NOTHING = "(nothing)"  # Empty texts are refused.
CUT = frozenset({"max_tokens", "model_context_window_exceeded"})


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


class _Message(msgspec.Struct):
    usage: _Usage | None = None


class _Block(msgspec.Struct):
    type: str = ""
    id: str | None = None
    name: str | None = None
    input: Any = None
    text: str | None = None
    data: str | None = None
    thinking: str | None = None


class _Delta(msgspec.Struct):
    type: str = ""
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    stop_reason: str | None = None


class _Event(msgspec.Struct):
    type: str = ""
    index: int = 0
    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: _Usage | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Event).decode


class Chat:
    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        read_by = partial(_Reader, Answer(request))
        return converse(self.provider, PATH, body_of(request), substitutes=SUBSTITUTES, read_by=read_by)


def body_of(request: ChatRequest) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": request.model.name,
        "max_tokens": output_limit(request),
        "messages": _turns(paired(request.messages), request.model),
        "stream": True,
    }
    if request.instructions:
        body["system"] = request.instructions
    if request.tools:
        body["tools"] = [
            {"name": tool.name, "description": tool.description, "input_schema": tool.parameters}
            for tool in request.tools
        ]
    if request.temperature is not None and request.model.temperature:
        body["temperature"] = min(request.temperature, 1.0)  # Their scale ends at 1, others' at 2.
    return body


def _turns(messages: Iterable[Message], model: Model) -> list[dict[str, Any]]:
    """User and assistant by turns, the user first: neighbours of one role become one turn of several blocks."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        role = "assistant" if message.role == "assistant" else "user"
        if not turns and role == "assistant":
            turns.append({"role": "user", "content": [{"type": "text", "text": NOTHING}]})
        if not turns or turns[-1]["role"] != role:
            turns.append({"role": role, "content": []})
        turns[-1]["content"] += _blocks(message, model)
    return turns


def _blocks(message: Message, model: Model) -> Iterator[dict[str, Any]]:
    if message.role == "tool":
        tool_use_id = _id(message.tool_call_id or "")
        yield {"type": "tool_result", "tool_use_id": tool_use_id, "content": message.text or NOTHING}
        return
    if message.role == "assistant":
        yield from state_of(message, model)
    if message.text.strip() or not message.tool_calls:
        yield {"type": "text", "text": message.text if message.text.strip() else NOTHING}
    for call in message.tool_calls:
        yield {"type": "tool_use", "id": _id(call.id), "name": call.name, "input": _arguments(call.arguments)}


def _id(id: str) -> str:
    """Ids that other providers made may hold characters that are refused here."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", id) or "_"


def _arguments(text: str) -> dict[str, Any]:
    try:
        arguments = msgspec.json.decode(text)
    except msgspec.MsgspecError:
        arguments = None
    return arguments if isinstance(arguments, dict) else {"invalid": text}


class _Reader:
    """Turns events of the API into ours."""

    def __init__(self, answer: Answer, current: Exchange) -> None:
        self.answer = answer
        self.current = current
        self.stop_reason: str | None = None
        self.ended = False
        self._calls: dict[int, PartialCall] = {}
        self._thinking: dict[int, dict[str, Any]] = {}
        self._usage = _Usage()

    @property
    def whole(self) -> bool:
        return self.ended or self.stop_reason is not None

    def read(self, line: bytes) -> Iterator[ChatEvent]:
        event = decoded(_decode, line, provider=self.current.name)
        match event.type:
            case "content_block_delta" if event.delta is not None:
                yield from self._delta(event.index, event.delta)
            case "content_block_start" if event.content_block is not None:
                yield from self._block(event.index, event.content_block)
            case "message_start" if event.message is not None and event.message.usage is not None:
                self._usage = event.message.usage
            case "message_delta":
                self.stop_reason = (event.delta and event.delta.stop_reason) or self.stop_reason
                if event.usage is not None:
                    self._count(event.usage)
            case "message_stop":
                self.ended = True
            case "error":
                error = {"error": event.error or {}}
                raise refusals.from_event(error, client=self.current.client, provider=self.current.name)

    def _block(self, index: int, block: _Block) -> Iterator[ChatEvent]:
        if block.type == "tool_use":
            call = self._calls[index] = self.answer.call(id=block.id, name=block.name or "")
            if block.input:
                call.arguments.append(msgspec.json.encode(block.input).decode())
        elif block.type == "thinking":
            self._thinking[index] = {"type": "thinking", "thinking": block.thinking or "", "signature": ""}
        elif block.type == "redacted_thinking":
            self._thinking[index] = {"type": "redacted_thinking", "data": block.data or ""}
        elif block.text:
            yield self.answer.text(block.text)

    def _delta(self, index: int, delta: _Delta) -> Iterator[ChatEvent]:
        if delta.text:
            yield self.answer.text(delta.text)
        elif delta.partial_json and index in self._calls:
            self._calls[index].arguments.append(delta.partial_json)
        elif delta.thinking:
            if index in self._thinking:
                self._thinking[index]["thinking"] += delta.thinking
            yield self.answer.reasoning(delta.thinking)
        elif delta.signature and index in self._thinking:
            self._thinking[index]["signature"] += delta.signature

    def _count(self, later: _Usage) -> None:
        """The counts at the end are whole; what they leave out stands as at the start."""
        for field in _Usage.__struct_fields__:
            if (count := getattr(later, field)) is not None:
                setattr(self._usage, field, count)

    def end(self) -> Iterator[ChatEvent]:
        if not self.whole:
            raise refusals.broken("ended the answer in the middle", provider=self.current.name)
        self.answer.usage = _total(self._usage)
        if self.stop_reason == "refusal":
            yield from self.answer.spent()
            raise refusals.filtered(self.current.name)
        signed = [block for block in self._thinking.values() if block.get("signature") or block.get("data")]
        state = make_state(signed, self.answer.request.model)
        yield from self.answer.finish("length" if self.stop_reason in CUT else "stop", state=state)


def _total(usage: _Usage) -> Usage | None:
    """Theirs counts the cached tokens beside the input; ours counts them within it."""
    fresh, written = usage.input_tokens or 0, usage.output_tokens or 0
    read, stored = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    if min(fresh, written, read, stored) < 0:
        return None
    return Usage(input_tokens=fresh + read + stored, cached_input_tokens=read, output_tokens=written)
