"""OpenAI's responses API, stateless: nothing is kept at the provider, the whole conversation is sent each time."""

from collections.abc import AsyncGenerator, Iterator
from functools import partial
from typing import Any

import msgspec

from backend.llm import refusals
from backend.llm.answer import Answer, PartialCall
from backend.llm.catalog import Model, Provider
from backend.llm.chat import ChatEvent, ChatRequest, Message, Usage, output_limit
from backend.llm.history import make_state, paired, state_of
from backend.llm.transport import Exchange, converse, decoded

PATH = "/responses"
REASONING = "reasoning.encrypted_content"
SUBSTITUTES: dict[str, dict[str, Any]] = {"temperature": {}, "include": {}, "store": {}, "max_output_tokens": {}}


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: _Details | None = None


class _Incomplete(msgspec.Struct):
    reason: str | None = None


class _Response(msgspec.Struct):
    status: str | None = None
    usage: _Usage | None = None
    incomplete_details: _Incomplete | None = None
    error: Any = None


class _Item(msgspec.Struct):
    type: str | None = None
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    encrypted_content: str | None = None
    summary: Any = None


class _Event(msgspec.Struct):
    type: str = ""
    delta: Any = None
    output_index: int = 0
    item: _Item | None = None
    response: _Response | None = None
    code: str | None = None
    message: str | None = None
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
        "input": [item for turn in paired(request.messages) for item in _items(turn, request.model)],
        "stream": True,
        "store": False,
        "include": [REASONING],
        "max_output_tokens": max(16, output_limit(request)),  # Fewer are refused.
    }
    if request.instructions:
        body["instructions"] = request.instructions
    if request.tools:
        body["tools"] = [
            {
                "type": "function",
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters,
                "strict": False,
            }
            for tool in request.tools
        ]
    if request.temperature is not None and request.model.temperature:
        body["temperature"] = request.temperature
    return body


def _items(turn: Message, model: Model) -> Iterator[dict[str, Any]]:
    if turn.role == "tool":
        yield {"type": "function_call_output", "call_id": turn.tool_call_id, "output": turn.text}
        return
    yield from state_of(turn, model)
    if turn.text:
        yield {"role": turn.role, "content": turn.text}
    for call in turn.tool_calls:
        yield {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments}


class _Reader:
    """Turns events of the API into ours."""

    def __init__(self, answer: Answer, current: Exchange) -> None:
        self.answer = answer
        self.current = current
        self.response: _Response | None = None  # The whole, once it has ended.
        self._calls: dict[int, PartialCall] = {}
        self._reasoning: list[dict[str, Any]] = []

    @property
    def ended(self) -> bool:
        return self.response is not None

    @property
    def whole(self) -> bool:
        return self.response is not None

    def read(self, line: bytes) -> Iterator[ChatEvent]:
        if line == b"[DONE]":
            return
        event = decoded(_decode, line, provider=self.current.name)
        match event.type:
            case "response.output_text.delta" | "response.refusal.delta" if event.delta:
                yield self.answer.text(str(event.delta))
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" if event.delta:
                yield self.answer.reasoning(str(event.delta))
            case "response.output_item.added" | "response.output_item.done" if event.item is not None:
                self._item(event.output_index, event.item, done=event.type.endswith("done"))
            case "response.function_call_arguments.delta" if event.output_index in self._calls:
                self._calls[event.output_index].arguments.append(str(event.delta or ""))
            case "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled":
                self.response = event.response or _Response()
            case "error" | "":
                error = event.error or {"code": event.code, "message": event.message}
                raise refusals.from_event({"error": error}, client=self.current.client, provider=self.current.name)

    def _item(self, index: int, item: _Item, *, done: bool) -> None:
        if item.type == "reasoning" and done and item.encrypted_content:
            kept = {"type": "reasoning", "summary": item.summary or [], "encrypted_content": item.encrypted_content}
            self._reasoning.append({"id": item.id, **kept} if item.id else kept)
        if item.type != "function_call":
            return
        if index not in self._calls:
            self._calls[index] = self.answer.call(id=item.call_id or item.id, name=item.name or "")
        if done and item.arguments:
            self._calls[index].arguments = [item.arguments]

    def end(self) -> Iterator[ChatEvent]:
        response = self.response
        if response is None:
            raise refusals.broken("ended the answer in the middle", provider=self.current.name)
        if response.error or response.status in ("failed", "cancelled"):
            error = {"error": response.error or {}}
            raise refusals.from_event(error, client=self.current.client, provider=self.current.name)
        if response.usage is not None:
            self.answer.usage = _usage(response.usage)
        cut = response.incomplete_details.reason if response.incomplete_details else None
        if cut == "content_filter":
            yield from self.answer.spent()
            raise refusals.filtered(self.current.name)
        state = make_state(self._reasoning, self.answer.request.model)
        yield from self.answer.finish("length" if response.status == "incomplete" or cut else "stop", state=state)


def _usage(usage: _Usage) -> Usage | None:
    given, written = usage.input_tokens or 0, usage.output_tokens or 0
    if given < 0 or written < 0:
        return None
    cached = (usage.input_tokens_details and usage.input_tokens_details.cached_tokens) or 0
    return Usage(input_tokens=given, cached_input_tokens=max(0, min(cached, given)), output_tokens=written)
