"""What one event is, in Redis and on the wire."""

import json
import re
from collections.abc import Mapping
from typing import Any, TypeAlias
from uuid import UUID

import msgspec

from backend.http.ids import encode

Position: TypeAlias = tuple[int, int]  # (epoch, seq), ordered as Redis orders ids.
START: Position = (0, 0)
TERMINAL = frozenset({"run.completed", "run.failed", "run.cancelled"})

_ID = re.compile(r"(\d{1,9})-(\d{1,9})", re.ASCII)


class Event(msgspec.Struct, frozen=True):
    """One event. ``data`` is JSON on one line, as it is stored; no reader decodes it to send it."""

    position: Position
    name: str
    data: bytes

    @property
    def id(self) -> str:
        return text_of(self.position)

    @property
    def is_terminal(self) -> bool:
        return self.name in TERMINAL

    @property
    def payload(self) -> Any:
        return msgspec.json.decode(self.data)

    @property
    def frame(self) -> bytes:
        """The event as clients receive it."""
        return b"id: %d-%d\nevent: %b\ndata: %b\n\n" % (*self.position, self.name.encode(), self.data)


def text_of(position: Position) -> str:
    return f"{position[0]}-{position[1]}"


def position_of(text: str | None) -> Position:
    """The position that a client names as its last; any text that is not one of our ids means the start."""
    found = _ID.fullmatch(text or "")
    return (int(found[1]), int(found[2])) if found else START


def key_of(run_id: UUID) -> str:
    return f"run:{encode('run', run_id)}"


def json_of(data: Mapping[str, Any]) -> bytes:
    """JSON on one line. Text never makes it fail: half of a surrogate pair becomes a question mark."""
    try:
        return msgspec.json.encode(data)
    except UnicodeEncodeError:
        return json.dumps(data, ensure_ascii=False, default=str).encode("utf-8", "replace")


def fields_of(name: str, data: bytes) -> dict[str, str | bytes]:
    """The fields of a stream entry."""
    return {"e": name, "d": data}


def event_of(entry: tuple[bytes, Mapping[bytes, bytes]]) -> Event:
    """An entry as redis-py returns it."""
    identity, fields = entry
    return Event(position_of(identity.decode()), fields.get(b"e", b"").decode(), fields.get(b"d", b"{}"))
