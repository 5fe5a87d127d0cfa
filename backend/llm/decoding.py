"""Decodes the events of providers: in one step where they are as specified, else member by member."""

import json
from inspect import isclass
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin

import msgspec

from backend.llm import refusals

Event = TypeVar("Event", bound=msgspec.Struct)

NOTHING: Any = object()  # The value cannot be read as the type.


def decoded(decoder: msgspec.json.Decoder[Event], line: bytes, *, provider: str) -> Event:
    """The event that a line holds. A member of another type than specified costs that member, never the event.

    :raises ProviderError: the line is no JSON object.
    """
    try:
        return decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    event = _read(decoder.type, parsed(line, provider=provider))
    if event is NOTHING:
        raise refusals.broken("sent an event that is not valid", provider=provider)
    return event  # type: ignore[no-any-return]  # _read gives the decoder's type.


def parsed(line: bytes, *, provider: str) -> Any:
    """The JSON value of a line, with the slips of servers: NaN, raw control characters, halves of characters.

    Half of a surrogate pair becomes U+FFFD: servers that cut text by UTF-16 send it, and it is valid JSON (RFC 8259,
    8.2) but no text. So does a byte that is not UTF-8.

    :raises ProviderError: the line is no JSON.
    """
    try:
        value = json.loads(line.decode("utf-8", "replace"), strict=False)
        if b"\\ud" not in line.lower():
            return value
        text = json.dumps(value, ensure_ascii=False)
        return json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    except (ValueError, RecursionError):
        raise refusals.broken("sent an event that is not valid", provider=provider) from None


def _read(type: Any, value: Any) -> Any:
    """The value as the type, without the members that cannot be read as theirs; NOTHING if it cannot be at all."""
    try:
        return msgspec.convert(value, type, strict=False)
    except (msgspec.ValidationError, RecursionError):
        pass
    for option in get_args(type) if isinstance(type, UnionType) else (type,):
        if get_origin(option) is list:
            items = value if isinstance(value, list) else [value]
            return [item for each in items if (item := _read(get_args(option)[0], each)) is not NOTHING]
        if isinstance(value, dict) and isclass(option) and issubclass(option, msgspec.Struct):
            members = ((field, value.get(field.encode_name)) for field in msgspec.structs.fields(option))
            read = {field.name: _read(field.type, member) for field, member in members if member is not None}
            return option(**{name: member for name, member in read.items() if member is not NOTHING})
    return NOTHING
