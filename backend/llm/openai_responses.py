"""The adapter of OpenAI's responses API, used without storage there: each request holds the whole conversation."""

from collections.abc import AsyncGenerator, Iterator
from functools import partial
from typing import Any

import msgspec

from backend.llm import refusals
from backend.llm.answer import PartialAnswer
from backend.llm.calls import PartialCall
from backend.llm.catalog import Model, Provider
from backend.llm.chat import ChatEvent, ChatRequest, Message, ToolCall, output_limit
from backend.llm.decoding import decoded, parsed
from backend.llm.endings import ending
from backend.llm.history import ordered_parts, paired
from backend.llm.sse import DONE
from backend.llm.transport import Exchange, patience, stream_answer
from backend.llm.usage import Counts

PATH = "/responses"
ENDS = frozenset(f"response.{end}" for end in ("completed", "incomplete", "failed", "cancelled", "done"))
REASONING = "reasoning.encrypted_content"
SUBSTITUTES: dict[str, dict[str, Any]] = {
    "temperature": {},
    "include": {},
    "store": {},
    "max_output_tokens": {},
    "tool_choice": {},
}


class _Part(msgspec.Struct):
    type: str | None = None
    text: str | None = None
    refusal: str | None = None


class _Item(msgspec.Struct):
    type: str | None = None
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | dict[str, Any] | None = None
    encrypted_content: str | None = None
    summary: Any = None
    content: list[_Part] | str | None = None


class _Incomplete(msgspec.Struct):
    reason: Any = None


class _Response(msgspec.Struct):
    object: str | None = None
    status: str | None = None
    usage: Any = None
    incomplete_details: _Incomplete | None = None
    error: Any = None
    output: list[_Item] | None = None


class _Event(msgspec.Struct):
    type: str = ""
    delta: Any = None
    output_index: int | None = None
    item_id: str | None = None
    item: _Item | None = None
    arguments: str | dict[str, Any] | None = None
    response: _Response | None = None
    usage: Any = None
    error: Any = None


_DECODER = msgspec.json.Decoder(_Event)
_RESPONSE = msgspec.json.Decoder(_Response)


class Chat:
    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        read_by = partial(_Reader, PartialAnswer(request))
        return stream_answer(self.provider, PATH, body_of(request), substitutes=SUBSTITUTES, read_by=read_by)


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
        if request.tool_choice == "none":
            body["tool_choice"] = "none"
    if request.temperature is not None and request.model.temperature:
        body["temperature"] = request.temperature
    return body


def _items(turn: Message, model: Model) -> Iterator[dict[str, Any]]:
    if turn.role == "tool":
        yield {"type": "function_call_output", "call_id": turn.tool_call_id, "output": turn.text}
        return
    for part in ordered_parts(turn, model):
        if isinstance(part, ToolCall):
            yield {"type": "function_call", "call_id": part.id, "name": part.name, "arguments": part.arguments}
        else:
            yield part if isinstance(part, dict) else {"role": turn.role, "content": part}


class _Reader:
    """Converts the API's events into chat events."""

    def __init__(self, answer: PartialAnswer, current: Exchange) -> None:
        self.answer = answer
        self.current = current
        self.over = self.ended = False
        self.response: _Response | None = None  # The whole, once it has ended.
        self._calls: dict[int | str, PartialCall] = {}  # By the index and by the id of their items.
        self._reasoned: set[str] = set()  # Encrypted contents: the last event repeats what earlier ones held.
        self._counts = Counts()

    @property
    def whole(self) -> bool:
        return self.response is not None

    @property
    def patience(self) -> float | None:
        ended = self.ended or self.whole
        return patience(whole=ended, ended=ended, counted=bool(self._counts))

    def read(self, line: bytes) -> Iterator[ChatEvent]:
        if line == DONE:
            self.ended = self.over = True
            return
        event = decoded(_DECODER, line, provider=self.current.name)
        if event.error:
            raise self.current.failure(event.error)
        kind = event.type or self.current.event.decode("ascii", "replace")
        match kind:
            case "response.output_text.delta" | "response.refusal.delta" if event.delta:
                yield from self.answer.text(_json(event.delta))
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" if event.delta:
                yield self.answer.reasoning(_json(event.delta))
            case "response.output_item.added" | "response.output_item.done" if event.item is not None:
                self._item(event.output_index, event.item, done=kind.endswith("done"))
            case "response.function_call_arguments.delta" if (call := self._called(event)) is not None:
                call.arguments.append(_json(event.delta))
            case "response.function_call_arguments.done" if (call := self._called(event)) and event.arguments:
                call.arguments = [_json(event.arguments)]
            case _ if kind in ENDS:
                self._counts.add(event.usage)
                yield from self._end(event.response or _Response())
            case "error":
                value = parsed(line, provider=self.current.name)
                self.current.refuse(value)
                raise self.current.failure(value)
            case "":
                yield from self._unnamed(line)

    def _unnamed(self, line: bytes) -> Iterator[ChatEvent]:
        """No event: an error, or the answer in one piece, of servers that ignore that a stream was asked for."""
        response = decoded(_RESPONSE, line, provider=self.current.name)
        if response.object == "response" or response.output:
            yield from self._end(response)
        else:
            self.current.refuse(parsed(line, provider=self.current.name))

    def _called(self, event: _Event) -> PartialCall | None:
        """The call that a piece of arguments belongs to; the last one where the piece has no reference."""
        for key in (event.item_id, event.output_index):
            if key is not None and key in self._calls:
                return self._calls[key]
        return self.answer.calls[-1] if self.answer.calls else None

    def _item(self, index: int | None, item: _Item, *, done: bool) -> None:
        if item.type == "reasoning" and done and item.encrypted_content not in self._reasoned | {None, ""}:
            self._reasoned.add(item.encrypted_content or "")
            kept = {"type": "reasoning", "summary": item.summary or [], "encrypted_content": item.encrypted_content}
            self.answer.parts.append({"id": item.id, **kept} if item.id else kept)
        if item.type != "function_call":
            return
        keys = [key for key in (item.call_id, item.id, index) if key is not None]
        call = next((self._calls[key] for key in keys if key in self._calls), None)
        if call is None:
            call = self.answer.call(id=item.call_id or item.id, name=item.name or "")
        self._calls.update(dict.fromkeys(keys, call))
        call.name = call.name or item.name or ""
        if done and item.arguments:
            call.arguments = [_json(item.arguments)]

    def _end(self, response: _Response) -> Iterator[ChatEvent]:
        """The whole answer: what of it did not come as events is taken from here."""
        self.response, self.over = response, True
        self._counts.add(response.usage)
        silent = not self.answer.texts
        for item in response.output or ():
            self._item(None, item, done=True)
            parts = [_Part(text=item.content)] if isinstance(item.content, str) else item.content or ()
            for part in parts if silent and item.type == "message" else ():
                if text := part.text or part.refusal:
                    yield from self.answer.text(text)

    def end(self) -> Iterator[ChatEvent]:
        response = self.response
        if response is None:
            if not self.ended or self.answer.empty:
                raise refusals.broken("ended the answer in the middle", provider=self.current.name)
            response = _Response()
        if response.error or response.status in ("failed", "cancelled"):
            raise self.current.failure(response.error or {})
        self.answer.usage = self._counts.usage(limit=output_limit(self.answer.request))
        cut = ending(response.incomplete_details.reason) if response.incomplete_details else None
        if cut == "filtered":
            yield from self.answer.withheld_cost()
            raise refusals.filtered(self.current.name)
        yield from self.answer.finish("length" if response.status == "incomplete" or cut else "stop")


def _json(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return msgspec.json.encode(value).decode()
