"""Collects one answer while it streams: its tool calls, the provider's state, and the text to estimate usage from."""

import itertools
from collections.abc import Iterator
from typing import Any

import msgspec

from backend.llm.calls import PartialCall, finished, storable
from backend.llm.chat import (
    ChatEvent,
    ChatRequest,
    Finished,
    FinishReason,
    ProviderState,
    ReasoningDelta,
    Spent,
    TextDelta,
    ToolCall,
    Usage,
    count_calls,
    count_request,
    count_tokens,
)
from backend.llm.history import CALL, TEXT, make_state
from backend.llm.thoughts import Thoughts


class PartialAnswer:
    def __init__(self, request: ChatRequest) -> None:
        self.request = request
        self.usage: Usage | None = None
        self.calls: list[PartialCall] = []
        self.offered = frozenset(tool.name for tool in request.tools)
        self.parts: list[dict[str, Any] | PartialCall | None] = []  # A dict is the provider's; None is the text.
        self.texts: list[str] = []
        self.reasonings: list[str] = []
        self._thoughts = Thoughts()

    @property
    def empty(self) -> bool:
        return not (self.texts or self.reasonings or self.calls)

    @property
    def has_whole_calls(self) -> bool:
        """It calls tools, and the arguments of every call are complete."""
        return bool(self.calls) and all(call.name and call.whole for call in self.calls)

    def text(self, delta: str) -> list[ChatEvent]:
        """The events of a piece of text, which is reasoning if the answer began with a tag of reasoning."""
        if not delta:
            return []
        if not self.texts:
            self.parts.append(None)
        self.texts.append(delta)
        if self._thoughts.over:
            return [TextDelta(storable(delta))]
        return [_delta(*part) for part in self._thoughts.feed(delta)]

    def reasoning(self, delta: str) -> ReasoningDelta:
        self.reasonings.append(delta)
        return ReasoningDelta(storable(delta))

    def call(self, id: str | None, name: str) -> PartialCall:
        """Begin a tool call. Without an id from the server it gets one that is unique in this answer."""
        started = PartialCall(
            id or f"call_{len(self.calls)}_{len(self.texts) + len(self.reasonings)}", name, [], given=bool(id)
        )
        self.calls.append(started)
        self.parts.append(started)
        return started

    def finish(self, reason: FinishReason) -> Iterator[ChatEvent]:
        """The tool calls and the end. A call that the limit may have cut off is left out."""
        calls = list(finished(self.calls, offered=self.offered))
        if reason != "length":
            reason = "tool_calls" if calls else "stop"
        ended = Finished(reason=reason, usage=self._usage(calls), state=self._state())
        held = [_delta(*part) for part in self._thoughts.end()]
        return itertools.chain(held, calls if reason == "tool_calls" else (), (ended,))

    def withheld_cost(self) -> Iterator[ChatEvent]:
        """What an answer that is withheld has cost; nothing where the provider sent no usage."""
        if self.usage is not None:
            yield Spent(self.usage)

    def _state(self) -> ProviderState | None:
        places = (
            TEXT if part is None else CALL + storable(part.id) if isinstance(part, PartialCall) else part
            for part in self.parts
        )
        return make_state(list(places), self.request.model)

    def _usage(self, calls: list[ToolCall]) -> Usage:
        """The provider's usage; what it did not count is estimated, such as zero tokens for an answer with text."""
        counted = self.usage
        if counted is None or not counted.input_tokens:
            counted = Usage(input_tokens=count_request(self.request), cached_input_tokens=0, output_tokens=0)
        elif counted.output_tokens or self.empty:
            return counted
        written = count_tokens("".join((*self.reasonings, *self.texts))) + count_calls(calls)
        return msgspec.structs.replace(counted, output_tokens=max(1, written), estimated=True)


def _delta(reasoning: bool, text: str) -> TextDelta | ReasoningDelta:
    return ReasoningDelta(storable(text)) if reasoning else TextDelta(storable(text))
