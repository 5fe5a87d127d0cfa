"""Collects one answer while it streams: the tool calls in pieces, and what usage is estimated from if none is sent."""

import itertools
from collections.abc import Iterator

import msgspec

from backend.llm.chat import (
    ChatEvent,
    ChatRequest,
    Finished,
    FinishReason,
    ReasoningDelta,
    Spent,
    TextDelta,
    ToolCall,
    Usage,
    count_calls,
    count_request,
    count_tokens,
)


class PartialCall(msgspec.Struct):
    id: str
    name: str
    arguments: list[str]


class Answer:
    def __init__(self, request: ChatRequest) -> None:
        self.request = request
        self.usage: Usage | None = None
        self.calls: list[PartialCall] = []
        self._written: list[str] = []

    @property
    def empty(self) -> bool:
        return not self._written and not self.calls

    def text(self, delta: str) -> TextDelta:
        self._written.append(delta)
        return TextDelta(storable(delta))

    def reasoning(self, delta: str) -> ReasoningDelta:
        self._written.append(delta)
        return ReasoningDelta(storable(delta))

    def call(self, *, id: str | None, name: str) -> PartialCall:
        """A tool call begins. Servers that give none an id get one that is unique in this answer."""
        started = PartialCall(id or f"call_{len(self.calls)}_{len(self._written)}", name, [])
        self.calls.append(started)
        return started

    def finish(self, reason: FinishReason, *, state: str | None = None) -> Iterator[ChatEvent]:
        """The tool calls and the end. A call that the limit may have cut off is not given on."""
        calls = [
            ToolCall(id=storable(call.id), name=name, arguments=storable("".join(call.arguments)).strip() or "{}")
            for call in self.calls
            if (name := storable(call.name))
        ]
        if reason != "length":
            reason = "tool_calls" if calls else "stop"
        ended = Finished(reason=reason, usage=self._usage(calls), state=state)
        return itertools.chain(calls if reason == "tool_calls" else (), (ended,))

    def spent(self) -> Iterator[ChatEvent]:
        """What an answer that is withheld has cost; nothing where the provider does not say."""
        if self.usage is not None:
            yield Spent(self.usage)

    def _usage(self, calls: list[ToolCall]) -> Usage:
        if self.usage is not None and self.usage.input_tokens and (self.usage.output_tokens or self.empty):
            return self.usage
        written = count_tokens("".join(self._written)) + count_calls(calls)
        return Usage(
            input_tokens=count_request(self.request),
            cached_input_tokens=0,
            output_tokens=max(1, written),
            estimated=True,
        )


def storable(text: str) -> str:
    """The text without NUL, which PostgreSQL does not store."""
    return text.replace("\x00", "")
