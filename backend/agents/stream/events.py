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
    """One event; ``data`` is JSON text."""

    position: Position
    name: str
    data: str

    @property
    def id(self) -> str:
        return text_of(self.position)

    @property
    def is_terminal(self) -> bool:
        return self.name in TERMINAL

    @property
    def payload(self) -> Any:
        return msgspec.json.decode(self.data)


def text_of(position: Position) -> str:
    return f"{position[0]}-{position[1]}"


def position_of(text: str | None) -> Position:
    """Where a reader says that it stopped; anything that is not one of our ids means the start."""
    found = _ID.fullmatch(text or "")
    return (int(found[1]), int(found[2])) if found else START


def key_of(run_id: UUID) -> str:
    return f"run:{encode('run', run_id)}"


def json_of(data: Mapping[str, Any]) -> str:
    """Never fails over text: what is no text (half a surrogate pair) becomes a question mark."""
    try:
        return msgspec.json.encode(data).decode()
    except UnicodeEncodeError:
        return json.dumps(data, ensure_ascii=False, default=str).encode("utf-8", "replace").decode()


def fields_of(name: str, data: str) -> dict[str, str]:
    """The fields of a stream entry."""
    return {"e": name, "d": data}


def event_of(entry: tuple[bytes | str, Mapping[bytes | str, bytes | str]]) -> Event:
    """An entry as redis-py returns it."""
    identity, fields = entry
    values = {_text(name): _text(value) for name, value in fields.items()}
    return Event(position_of(_text(identity)), values.get("e", ""), values.get("d", "{}"))


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
