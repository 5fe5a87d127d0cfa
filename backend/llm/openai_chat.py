"""OpenAI's chat completions, and the many servers that speak them: Ollama, vLLM, llama.cpp, gateways."""

from collections.abc import AsyncGenerator, Iterator
from functools import partial
from typing import Any

import msgspec

from backend.llm import refusals
from backend.llm.answer import Answer, PartialCall
from backend.llm.catalog import Provider
from backend.llm.chat import ChatEvent, ChatRequest, Message, Usage, output_limit
from backend.llm.history import paired
from backend.llm.transport import Exchange, Substitutes, converse, decoded

PATH = "/chat/completions"


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _Call(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct):
    content: str | list[dict[str, Any]] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    prompt_cache_hit_tokens: int | None = None  # DeepSeek's name for the cached ones.


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None
    message: Any = None  # Beside no choices: an error that is not wrapped.


_decode = msgspec.json.Decoder(_Chunk).decode


class Chat:
    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        body = self.body(request)
        read_by = partial(_Reader, Answer(request))
        return converse(self.provider, PATH, body, substitutes=self.substitutes(body), read_by=read_by)

    def body(self, request: ChatRequest) -> dict[str, Any]:
        system = [{"role": "system", "content": request.instructions}] if request.instructions else []
        body: dict[str, Any] = {
            "model": request.model.name,
            "messages": system + [_message(turn) for turn in paired(request.messages)],
            "stream": True,
            "stream_options": {"include_usage": True},
            self.provider.max_tokens_field: output_limit(request),
        }
        if request.tools:
            body["tools"] = [
                {
                    "type": "function",
                    "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
                }
                for tool in request.tools
            ]
        if request.temperature is not None and request.model.temperature:
            body["temperature"] = request.temperature
        return body

    def substitutes(self, body: dict[str, Any]) -> Substitutes:
        """What some servers refuse, and what they may take instead."""
        field = self.provider.max_tokens_field
        other = "max_tokens" if field == "max_completion_tokens" else "max_completion_tokens"
        return {"stream_options": {}, "temperature": {}, field: {other: body[field]}, other: {}}


def _message(turn: Message) -> dict[str, Any]:
    if turn.role == "tool":
        return {"role": "tool", "tool_call_id": turn.tool_call_id, "content": turn.text}
    message: dict[str, Any] = {"role": turn.role, "content": turn.text}
    if turn.tool_calls:
        message["content"] = turn.text or None
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in turn.tool_calls
        ]
    return message


class _Reader:
    """Turns chunks into events."""

    def __init__(self, answer: Answer, current: Exchange) -> None:
        self.answer = answer
        self.current = current
        self.finish_reason: str | None = None
        self.ended = False
        self._calls: dict[int, PartialCall] = {}
        self._names: dict[int, str | None] = {}

    @property
    def whole(self) -> bool:
        return self.finish_reason is not None

    def read(self, line: bytes) -> Iterator[ChatEvent]:
        if line == b"[DONE]":
            self.ended = True
            return
        chunk = decoded(_decode, line, provider=self.current.name)
        if chunk.error or (chunk.message and not chunk.choices):
            error = chunk.error or {"message": chunk.message}
            raise refusals.from_event({"error": error}, client=self.current.client, provider=self.current.name)
        if chunk.usage is not None:
            self.answer.usage = _usage(chunk.usage) or self.answer.usage
        for choice in (chunk.choices or ())[:1]:
            if choice.delta is not None:
                yield from self._delta(choice.delta)
            if choice.finish_reason:
                self.finish_reason = choice.finish_reason

    def _delta(self, delta: _Delta) -> Iterator[ChatEvent]:
        if thought := delta.reasoning_content or delta.reasoning:
            yield self.answer.reasoning(thought)
        if isinstance(delta.content, list):
            yield from self._parts(delta.content)
        elif delta.content:
            yield self.answer.text(delta.content)
        if delta.refusal:
            yield self.answer.text(delta.refusal)
        for call in delta.tool_calls or ():
            self._call(call)

    def _parts(self, parts: list[dict[str, Any]]) -> Iterator[ChatEvent]:
        """Content in parts, as Mistral sends it: text, or thinking that holds text."""
        for part in parts:
            thinking = part.get("thinking")
            if isinstance(text := part.get("text"), str) and text:
                yield self.answer.text(text)
            for inner in thinking if isinstance(thinking, list) else ():
                if isinstance(inner, dict) and isinstance(text := inner.get("text"), str) and text:
                    yield self.answer.reasoning(text)

    def _call(self, piece: _Call) -> None:
        """Pieces belong together by index. Some servers give all calls one index, and each an id of its own."""
        function = piece.function or _Function()
        index = piece.index if piece.index is not None else max(self._calls, default=0)
        known = self._calls.get(index)
        another = piece.id and piece.id != self._names.get(index) and bool(function.name)
        if known is None or another:
            known = self._calls[index] = self.answer.call(id=piece.id, name="")
            self._names[index] = piece.id
        if function.name and not known.name:
            known.name = function.name
        if isinstance(function.arguments, dict):
            known.arguments.append(msgspec.json.encode(function.arguments).decode())
        elif function.arguments:
            known.arguments.append(function.arguments)

    def end(self) -> Iterator[ChatEvent]:
        reason = self.finish_reason
        if reason is None and not (self.ended and not self.answer.empty):
            raise refusals.broken("ended the answer in the middle", provider=self.current.name)
        if reason == "content_filter":
            yield from self.answer.spent()
            raise refusals.filtered(self.current.name)
        if reason == "error":
            raise refusals.broken("broke off", provider=self.current.name)
        yield from self.answer.finish("length" if reason == "length" else "stop")


def _usage(usage: _Usage) -> Usage | None:
    given, written = usage.prompt_tokens or 0, usage.completion_tokens or 0
    if given < 0 or written < 0:
        return None
    details = usage.prompt_tokens_details
    cached = (details and details.cached_tokens) or usage.prompt_cache_hit_tokens or 0
    # Some leave reasoning out of completion_tokens and count it in the total alone.
    written = max(written, (usage.total_tokens or 0) - given)
    return Usage(input_tokens=given, cached_input_tokens=max(0, min(cached, given)), output_tokens=written)
