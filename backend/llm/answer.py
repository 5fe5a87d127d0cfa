"""Collects one answer while it streams: the tool calls in pieces, and what usage is estimated from if none is sent."""

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


class Answer:
    def __init__(self, request: ChatRequest) -> None:
        self.request = request
        self.usage: Usage | None = None
        self.calls: list[PartialCall] = []
        self.offered = frozenset(tool.name for tool in request.tools)
        self.own: list[dict[str, Any] | PartialCall | None] = []  # The provider's parts; None is the text's place.
        self.said: list[str] = []
        self.thought: list[str] = []
        self._thoughts = Thoughts()

    @property
    def empty(self) -> bool:
        return not (self.said or self.thought or self.calls)

    @property
    def asks(self) -> bool:
        """It calls tools, and every call is there to its last bracket."""
        return bool(self.calls) and all(call.name and call.whole for call in self.calls)

    def text(self, delta: str) -> list[ChatEvent]:
        """What the model says; its reasoning, if the text begins with reasoning between tags."""
        if not delta:
            return []
        if not self.said:
            self.own.append(None)
        self.said.append(delta)
        if self._thoughts.over:
            return [TextDelta(storable(delta))]
        return [_delta(*part) for part in self._thoughts.feed(delta)]

    def reasoning(self, delta: str) -> ReasoningDelta:
        self.thought.append(delta)
        return ReasoningDelta(storable(delta))

    def call(self, id: str | None, name: str) -> PartialCall:
        """A tool call begins. Servers that give none an id get one that is unique in this answer."""
        started = PartialCall(
            id or f"call_{len(self.calls)}_{len(self.said) + len(self.thought)}", name, [], given=bool(id)
        )
        self.calls.append(started)
        self.own.append(started)
        return started

    def finish(self, reason: FinishReason) -> Iterator[ChatEvent]:
        """The tool calls and the end. A call that the limit may have cut off is not given on."""
        calls = list(finished(self.calls, offered=self.offered))
        if reason != "length":
            reason = "tool_calls" if calls else "stop"
        ended = Finished(reason=reason, usage=self._usage(calls), state=self._state())
        held = [_delta(*part) for part in self._thoughts.end()]
        return itertools.chain(held, calls if reason == "tool_calls" else (), (ended,))

    def spent(self) -> Iterator[ChatEvent]:
        """What an answer that is withheld has cost; nothing where the provider does not say."""
        if self.usage is not None:
            yield Spent(self.usage)

    def _state(self) -> ProviderState | None:
        places = (
            TEXT if part is None else CALL + storable(part.id) if isinstance(part, PartialCall) else part
            for part in self.own
        )
        return make_state(list(places), self.request.model)

    def _usage(self, calls: list[ToolCall]) -> Usage:
        """What the provider says, as far as it does. An answer of no tokens that says something was not counted."""
        counted = self.usage
        if counted is None or not counted.input_tokens:
            counted = Usage(input_tokens=count_request(self.request), cached_input_tokens=0, output_tokens=0)
        elif counted.output_tokens or self.empty:
            return counted
        written = count_tokens("".join((*self.thought, *self.said))) + count_calls(calls)
        return msgspec.structs.replace(counted, output_tokens=max(1, written), estimated=True)


def _delta(reasoning: bool, text: str) -> TextDelta | ReasoningDelta:
    return ReasoningDelta(storable(text)) if reasoning else TextDelta(storable(text))
