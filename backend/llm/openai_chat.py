"""The adapter of OpenAI's chat completions API, which Ollama, vLLM, llama.cpp and gateways offer too."""

from collections.abc import AsyncGenerator, Iterator
from functools import partial
from typing import Any

import msgspec

from backend.llm import refusals
from backend.llm.answer import PartialAnswer
from backend.llm.calls import Pieces
from backend.llm.catalog import Provider
from backend.llm.chat import ChatEvent, ChatRequest, Message, output_limit
from backend.llm.decoding import decoded, parsed
from backend.llm.endings import Ending, ending
from backend.llm.history import items_for, paired
from backend.llm.sse import DONE
from backend.llm.transport import Exchange, Substitutes, patience, stream_answer
from backend.llm.usage import Counts

PATH = "/chat/completions"
TEXT = ("text", "refusal", "summary", "value")  # Where the parts of a content or of a reasoning have theirs.
USAGE = frozenset({"usage", "usageMetadata", "usage_metadata", "token_usage"})


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _Call(msgspec.Struct):
    index: int | None = None
    id: str | int | None = None
    function: _Function | None = None
    name: str | None = None  # Of servers that leave out "function" around these two.
    arguments: str | dict[str, Any] | None = None


class _Delta(msgspec.Struct):
    content: Any = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    thinking: str | None = None
    reasoning_details: Any = None
    tool_calls: list[_Call] | None = None
    function_call: _Function | None = None  # Before there were tool_calls.


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: Any = None
    message: _Delta | None = None  # In an answer that is not streamed, and of servers that name the delta so.
    text: str | None = None  # In the older API of completions.
    usage: Any = None
    error: Any = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None


_DECODER = msgspec.json.Decoder(_Chunk)


class Chat:
    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        body = self.body(request)
        read_by = partial(_Reader, PartialAnswer(request))
        return stream_answer(self.provider, PATH, body, substitutes=self.substitutes(body), read_by=read_by)

    def body(self, request: ChatRequest) -> dict[str, Any]:
        system = [{"role": "system", "content": request.instructions}] if request.instructions else []
        body: dict[str, Any] = {
            "model": request.model.name,
            "messages": system + [self.message(turn, request) for turn in paired(request.messages)],
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
            if request.tool_choice == "none":
                body["tool_choice"] = "none"
        if request.temperature is not None and request.model.temperature:
            body["temperature"] = request.temperature
        return body

    def message(self, turn: Message, request: ChatRequest) -> dict[str, Any]:
        message = _message(turn)
        if turn.tool_calls and self.provider.send_reasoning:
            for item in items_for(turn, request.model):
                message |= item if isinstance(item, dict) else {}
        return message

    def substitutes(self, body: dict[str, Any]) -> Substitutes:
        """Parameters that some servers refuse, and what they may accept instead."""
        field = self.provider.max_tokens_field
        other = "max_tokens" if field == "max_completion_tokens" else "max_completion_tokens"
        return {"stream_options": {}, "temperature": {}, "tool_choice": {}, field: {other: body[field]}, other: {}}


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
    """Converts chunks into chat events."""

    def __init__(self, answer: PartialAnswer, current: Exchange) -> None:
        self.answer = answer
        self.current = current
        self.over = False
        self.ending: Ending | None = None
        self.ended = False
        self._counts = Counts()
        self._pieces = Pieces(answer.call, offered=answer.offered)
        self._message: str | None = None  # The text so far, of messages in place of deltas.
        self._went_on = False  # After its end: not every end that this server announces is one.
        self._reasoning: list[str] | None = None  # To be sent back.
        self._counted_last = False  # The usage came in a chunk of its own, which is the last one.

    @property
    def whole(self) -> bool:
        return self.ending is not None or self._counted_last

    @property
    def patience(self) -> float | None:
        doubtful = self._went_on or self.ending is None
        return patience(whole=self.whole, ended=self.ended, counted=bool(self._counts), doubtful=doubtful)

    def read(self, line: bytes) -> list[ChatEvent]:
        """Lists, not generators: this runs for every token of every answer."""
        if line == DONE:
            self.ended = self.over = True
            return []
        chunk = decoded(_DECODER, line, provider=self.current.name)
        if chunk.error:
            raise self.current.failure(chunk.error)
        if chunk.usage is not None:
            self._counts.add(chunk.usage)
        if not chunk.choices:
            self._aside(line)
            return []
        choice = chunk.choices[0]
        delta = choice.delta
        events = self._delta(delta) if delta is not None else []
        if events and self.ending is not None:
            self._went_on = True
        if choice.message is not None:
            events += self._in_message(choice.message)
        elif choice.text and delta is None:
            events += self.answer.text(choice.text)
        if choice.usage is not None:
            self._counts.add(choice.usage)
        if choice.error:
            raise self.current.failure(choice.error)
        if choice.finish_reason:
            self.ending = ending(choice.finish_reason) or self.ending
            self.over = self.whole
            if not self._counts:
                self._count_elsewhere(parsed(line, provider=self.current.name))
        return events

    def _aside(self, line: bytes) -> None:
        """A chunk without choices: the usage, an error that is not wrapped, or nothing of use."""
        value = parsed(line, provider=self.current.name)
        self.current.refuse(value)
        self._count_elsewhere(value)
        self._counted_last = bool(self._counts) and not self.answer.empty
        self.over = self.over or self.whole

    def _count_elsewhere(self, value: Any, depth: int = 4) -> None:
        """Usage that is not where it belongs: in Groq's own member, in a delta, under Gemini's name."""
        for key, inner in value.items() if isinstance(value, dict) else ():
            if key in USAGE:
                self._counts.add(inner)
            elif depth and isinstance(inner, dict | list):
                for each in inner if isinstance(inner, list) else (inner,):
                    self._count_elsewhere(each, depth - 1)

    def _delta(self, delta: _Delta) -> list[ChatEvent]:
        events: list[ChatEvent] = []
        content = delta.content
        if delta.reasoning_content is not None and self.current.provider.send_reasoning:
            self._reasoning = self._reasoning or []
            self._reasoning.append(delta.reasoning_content)
        if thought := delta.reasoning_content or delta.reasoning or delta.thinking:
            events = [self.answer.reasoning(thought)]
        elif delta.reasoning_details is not None:
            events = [*self._parts(delta.reasoning_details, thought=True)]
        if isinstance(content, str):
            texts = self.answer.text(content)
            events = [*events, *texts] if events else texts
        elif content is not None:
            events += self._parts(content)
        if delta.refusal:
            events += self.answer.text(delta.refusal)
        if delta.tool_calls:
            for call in delta.tool_calls:
                self._call(call, call.function or call)
        elif delta.function_call is not None:
            self._call(_Call(), delta.function_call)
        return events

    def _in_message(self, message: _Delta) -> list[ChatEvent]:
        """A message in place of a delta. Beside deltas it repeats them, and some servers send it whole each time."""
        if self.answer.reasonings:
            message.reasoning_content = message.reasoning = message.thinking = message.reasoning_details = None
        if self.answer.calls:
            message.tool_calls = message.function_call = None
        if self._message is None and self.answer.texts:
            message.content = message.refusal = None
        elif isinstance(message.content, str):
            begun = self._message or ""
            whole = message.content if message.content.startswith(begun) else begun + message.content
            self._message, message.content = whole, whole[len(begun) :]
        return self._delta(message)

    def _parts(self, parts: Any, *, thought: bool = False, depth: int = 4) -> Iterator[ChatEvent]:
        """Content in parts: text, or thinking that holds text (Mistral), or a summary of it (OpenRouter)."""
        for part in parts if isinstance(parts, list) else (parts,):
            if isinstance(part, int | float | str) and not isinstance(part, bool):
                text = str(part)
                yield from (self.answer.reasoning(text),) if thought and text else self.answer.text(text)
            elif isinstance(part, dict) and depth:
                thinks = thought or str(part.get("type")).startswith(("thinking", "reasoning"))
                inner = next((part[key] for key in TEXT if part.get(key)), "")
                yield from self._parts(inner, thought=thinks, depth=depth - 1)
                yield from self._parts(part.get("thinking"), thought=True, depth=depth - 1)

    def _call(self, piece: _Call, function: "_Function | _Call") -> None:
        arguments = function.arguments or ""
        if isinstance(arguments, dict):
            arguments = msgspec.json.encode(arguments).decode()
        self._pieces.add(index=piece.index, id=str(piece.id or ""), name=function.name or "", arguments=arguments)

    def end(self) -> Iterator[ChatEvent]:
        self.answer.usage = self._counts.usage(limit=output_limit(self.answer.request))
        finished = self.ended or self._counted_last or self._message is not None
        if self.ending is None and not (finished and not self.answer.empty) and not self.answer.has_whole_calls:
            raise refusals.broken("ended the answer in the middle", provider=self.current.name)
        if self.ending == "filtered":
            yield from self.answer.withheld_cost()
            raise refusals.filtered(self.current.name)
        if self.ending == "failed":
            raise refusals.broken("broke off", provider=self.current.name)
        if self._reasoning is not None:  # Also where it is empty: the field itself is required.
            self.answer.parts.insert(0, {"reasoning_content": "".join(self._reasoning)})
        yield from self.answer.finish("length" if self.ending == "length" else "stop")
