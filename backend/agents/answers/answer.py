"""An answer while it grows: its parts and citations, in the shape that a message keeps."""

import copy
from collections.abc import Iterable
from threading import Lock
from typing import Any, TypeAlias

from backend.agents.stream.events import Event

Part: TypeAlias = dict[str, Any]
Citation: TypeAlias = dict[str, Any]


class Answer:
    """Parts are only ever appended, and only the last text grows. Written by one thread at a time, copied by any."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._parts: list[Part] = []
        self._citations: list[Citation] = []
        self.changes = 0  # Counts every change, so that an unchanged answer is not stored again.

    def add_text(self, text: str, *, kind: str = "text", new: bool = False) -> int:
        """Append to the last part if it is of this kind, else begin one; returns the part's index."""
        with self._lock:
            if new or not self._parts or self._parts[-1]["type"] != kind:
                self._parts.append({"type": kind, "text": ""})
            self._parts[-1]["text"] += text
            self.changes += 1
            return len(self._parts) - 1

    def add_call(self, *, id: str, name: str, arguments: Any) -> None:
        with self._lock:
            self._parts.append({"type": "tool_call", "id": id, "name": name, "arguments": arguments})
            self.changes += 1

    def add_result(self, *, id: str, **result: Any) -> None:
        """``output`` or ``error`` of the call with this id."""
        with self._lock:
            for part in self._parts:
                if part["type"] == "tool_call" and part["id"] == id:
                    part.update(result)
            self.changes += 1

    def add_citation(self, citation: Citation) -> None:
        with self._lock:
            self._citations.append(citation)
            self.changes += 1

    def replace(self, *, parts: list[Part], citations: list[Citation]) -> None:
        with self._lock:
            self._parts, self._citations = copy.deepcopy(parts), copy.deepcopy(citations)
            self.changes += 1

    def parts(self) -> list[Part]:
        with self._lock:
            return copy.deepcopy(self._parts)

    def citations(self) -> list[Citation]:
        with self._lock:
            return copy.deepcopy(self._citations)


def replay(events: Iterable[Event]) -> Answer | None:
    """The answer that a run's events add up to; None if the first of them are missing."""
    answer, whole = Answer(), False
    for event in events:
        data = event.payload
        match event.name:
            case "message.started":
                answer, whole = Answer(), True
            case "snapshot":
                mine = [message for message in data["messages"] if message["role"] == "assistant"]
                if mine:
                    answer.replace(parts=mine[-1]["parts"], citations=mine[-1]["citations"])
                    whole = True
            case "text.delta" | "reasoning.delta":
                count = len(answer.parts())
                kind = "text" if event.name == "text.delta" else "reasoning"
                answer.add_text(data["delta"], kind=kind, new=data["part"] >= count)
            case "tool.call":
                answer.add_call(id=data["id"], name=data["name"], arguments=data["arguments"])
            case "tool.result":
                result = {name: data[name] for name in ("output", "error") if name in data}
                answer.add_result(id=data["id"], **result)
            case "citation.added":
                answer.add_citation(data["citation"])
    return answer if whole else None
