"""The adapter of Anthropic's messages API."""

import re
from collections.abc import AsyncGenerator, Iterable, Iterator
from functools import partial
from typing import Any

import msgspec

from backend.llm import refusals
from backend.llm.answer import PartialAnswer
from backend.llm.calls import PartialCall
from backend.llm.catalog import Model, Provider
from backend.llm.chat import ChatEvent, ChatRequest, Message, ToolCall, ToolDefinition, output_limit
from backend.llm.decoding import decoded, parsed
from backend.llm.endings import Ending, ending
from backend.llm.history import ordered_parts, paired
from backend.llm.sse import DONE
from backend.llm.transport import Exchange, patience, stream_answer
from backend.llm.usage import Counts

PATH = "/v1/messages"
SUBSTITUTES: dict[str, dict[str, Any]] = {"temperature": {}, "tool_choice": {}}
NOTHING = "(nothing)"  # Empty texts are refused.


class _Block(msgspec.Struct):
    type: str = ""
    id: str | None = None
    name: str | None = None
    input: Any = None
    text: str | None = None
    data: str | None = None
    thinking: str | None = None
    signature: str | None = None


class _Message(msgspec.Struct):
    """At the start without content; the whole answer where it is not streamed."""

    content: list[_Block] | None = None
    stop_reason: Any = None
    usage: Any = None


class _Delta(msgspec.Struct):
    type: str = ""
    text: str | None = None
    partial_json: str | dict[str, Any] | None = None
    thinking: str | None = None
    signature: str | None = None
    stop_reason: Any = None


class _Event(msgspec.Struct):
    type: str = ""
    index: int = 0
    message: _Message | str | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: Any = None
    error: Any = None


_DECODER = msgspec.json.Decoder(_Event)
_MESSAGE = msgspec.json.Decoder(_Message)


class Chat:
    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        read_by = partial(_Reader, PartialAnswer(request))
        return stream_answer(self.provider, PATH, body_of(request), substitutes=SUBSTITUTES, read_by=read_by)


def body_of(request: ChatRequest) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": request.model.name,
        "max_tokens": output_limit(request),
        "messages": _turns(paired(request.messages, usable=_id), request.model),
        "stream": True,
    }
    if request.instructions:
        body["system"] = request.instructions
    if tools := request.tools or tuple(_tools_called(request)):
        body["tools"] = [
            {"name": tool.name, "description": tool.description, "input_schema": tool.parameters} for tool in tools
        ]
        if request.tool_choice == "none" or not request.tools:
            body["tool_choice"] = {"type": "none"}
    if request.temperature is not None and request.model.temperature:
        body["temperature"] = min(request.temperature, 1.0)  # Their scale ends at 1, others' at 2.
    return body


def _tools_called(request: ChatRequest) -> Iterator[ToolDefinition]:
    """The tools that the conversation calls: a request with a call in it is refused unless it declares tools."""
    for name in sorted({call.name for message in request.messages for call in message.tool_calls}):
        yield ToolDefinition(name=name, description="", parameters={"type": "object"})


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
        yield {"type": "tool_result", "tool_use_id": message.tool_call_id, "content": message.text or NOTHING}
    elif not message.text.strip() and not message.tool_calls:
        yield {"type": "text", "text": NOTHING}
    else:
        for part in ordered_parts(message, model):
            if isinstance(part, ToolCall):
                yield {"type": "tool_use", "id": part.id, "name": part.name, "input": _arguments(part.arguments)}
            elif isinstance(part, dict):
                yield part
            elif part.strip():
                yield {"type": "text", "text": part}


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
    """Converts the API's events into chat events."""

    def __init__(self, answer: PartialAnswer, current: Exchange) -> None:
        self.answer = answer
        self.current = current
        self.over = False
        self.ending: Ending | None = None
        self.ended = False
        self._calls: dict[int, PartialCall] = {}
        self._inputs: list[tuple[PartialCall, str]] = []  # Sent with the call and not after it.
        self._thinking: dict[int, dict[str, Any]] = {}
        self._counts = Counts(beside=True)

    @property
    def whole(self) -> bool:
        return self.ended or self.ending is not None

    @property
    def patience(self) -> float | None:
        return patience(whole=self.whole, ended=self.ended, counted=bool(self._counts))

    def read(self, line: bytes) -> Iterator[ChatEvent]:
        if line == DONE:
            self.ended = self.over
            return
        event = decoded(_DECODER, line, provider=self.current.name)
        if event.error:
            raise self.current.failure(event.error)
        match event.type or self.current.event.decode("ascii", "replace"):
            case "content_block_delta" if event.delta is not None:
                yield from self._delta(event.index, event.delta)
            case "content_block_start" if event.content_block is not None:
                yield from self._block(event.index, event.content_block)
            case "message_start" if isinstance(event.message, _Message):
                self._count_start(event.message.usage)
            case "message_delta":
                self.ending = ending(event.delta and event.delta.stop_reason) or self.ending
                self.over = self.whole
                self._counts.add(event.usage)
            case "message_stop":
                self.ended = self.over = True
            case "message":
                yield from self._whole(decoded(_MESSAGE, line, provider=self.current.name))
            case "error" | "":
                self.current.refuse(parsed(line, provider=self.current.name))

    def _count_start(self, usage: Any) -> None:
        """At the start the input is known; the output is what was written until then, and counted again at the end."""
        if isinstance(usage, dict):
            self._counts.add({key: count for key, count in usage.items() if key != "output_tokens"})

    def _whole(self, message: _Message) -> Iterator[ChatEvent]:
        """The answer in one piece, of servers that ignore that a stream was asked for."""
        for index, block in enumerate(message.content or ()):
            yield from self._block(index, block)
        self._counts.add(message.usage)
        self.ending, self.ended = ending(message.stop_reason) or "stop", True
        self.over = True

    def _block(self, index: int, block: _Block) -> Iterator[ChatEvent]:
        if block.type == "tool_use":
            call = self._calls[index] = self.answer.call(id=block.id, name=block.name or "")
            if block.input:
                self._inputs.append((call, _json(block.input)))
        elif block.type in ("thinking", "redacted_thinking"):
            self._thinking[index] = kept = {"type": block.type}
            kept |= (
                {"data": block.data or ""} if block.type == "redacted_thinking" else {"thinking": "", "signature": ""}
            )
            self.answer.parts.append(kept)
            yield from self._delta(index, _Delta(thinking=block.thinking))
            yield from self._delta(index, _Delta(signature=block.signature))
        elif block.text:
            yield from self.answer.text(block.text)

    def _delta(self, index: int, delta: _Delta) -> Iterator[ChatEvent]:
        if delta.text:
            yield from self.answer.text(delta.text)
        elif delta.partial_json:
            call = self._calls.get(index) or (self.answer.calls[-1] if self.answer.calls else None)
            if call is not None:
                call.arguments.append(_json(delta.partial_json))
        elif delta.thinking:
            if "thinking" in self._thinking.get(index, {}):
                self._thinking[index]["thinking"] += delta.thinking
            yield self.answer.reasoning(delta.thinking)
        elif delta.signature and "signature" in self._thinking.get(index, {}):
            self._thinking[index]["signature"] += delta.signature

    def end(self) -> Iterator[ChatEvent]:
        if not self.whole:
            raise refusals.broken("ended the answer in the middle", provider=self.current.name)
        for call, arguments in self._inputs:
            call.arguments = call.arguments or [arguments]
        self.answer.usage = self._counts.usage(limit=output_limit(self.answer.request))
        if self.ending == "filtered":
            yield from self.answer.withheld_cost()
            raise refusals.filtered(self.current.name)
        if self.ending == "failed":
            raise refusals.broken("broke off", provider=self.current.name)
        self.answer.parts = [part for part in self.answer.parts if not isinstance(part, dict) or _returnable(part)]
        yield from self.answer.finish("length" if self.ending == "length" else "stop")


def _returnable(block: dict[str, Any]) -> bool:
    """A block of thinking is refused without its signature, which servers that only speak this API do not send."""
    return bool(block.get("signature") or block.get("data"))


def _json(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
