"""Assembles the tool calls of an answer from pieces, however a server numbers, names and repeats them."""

import json
from collections.abc import Callable, Collection, Iterator

import msgspec

from backend.llm.chat import ToolCall

MAX_CHECKED_CHARACTERS = 65536  # Longer arguments are not parsed on arrival of each piece.
NOTHING = frozenset({"", "null", "None"})


class PartialCall(msgspec.Struct):
    """A call that is being received. ``given`` is whether the server sent the id."""

    id: str
    name: str
    arguments: list[str]
    given: bool = True

    @property
    def text(self) -> str:
        return "".join(self.arguments).strip()

    @property
    def whole(self) -> bool:
        """The arguments are a complete JSON object."""
        if not self.arguments or not self.arguments[-1].rstrip().endswith("}"):
            return False
        if sum(map(len, self.arguments)) > MAX_CHECKED_CHARACTERS:
            return False
        return _objects(self.text) is not None


class Pieces:
    """Finds the call that each piece of a streamed answer belongs to.

    As specified, a call's first piece has an index, an id and a name, and the others have the index. Servers give all
    calls one index, or none, or a later index to the rest of a call; they leave ids empty, repeat them, or make one for
    each piece; they repeat the name in every piece, or cut it. So: an id or a name that cannot belong to the call at
    that index begins another, and a piece with neither belongs to the call at its index, or to the one that is open.
    """

    def __init__(self, begin: Callable[[str, str], PartialCall], *, offered: Collection[str]) -> None:
        """``begin`` makes a call of an id, which may be empty, and a name; ``offered`` are the names of the tools."""
        self._begin = begin
        self._offered = offered
        self._last: PartialCall | None = None
        self._at: dict[int, PartialCall] = {}
        self._named: dict[str, PartialCall] = {}

    def add(self, *, index: int | None, id: str, name: str, arguments: str) -> None:
        call = self._owner(index, id, name, arguments)
        if call is None:
            call = self._last = self._begin(id, name)
        elif name:
            call.name = self._name(call.name, name)
        if index is not None:
            self._at[index] = call
        if id:
            self._named[id] = call
        if arguments:
            call.arguments.append(arguments)

    def _owner(self, index: int | None, id: str, name: str, arguments: str) -> PartialCall | None:
        """The call that a piece goes on with; None when it begins another."""
        last = self._last
        here = self._at.get(index) if index is not None else last
        if not name:
            if id and id in self._named:
                return here if here is not None and here.id == id else self._named[id]
            if here is None:
                return None if id and index is not None else last
            return last if here is not last and here.whole else here
        if id and id in self._named and index is None:
            here = self._named[id]
        if here is None or self._begins(here, name):
            return None
        if not id or id in self._named or not (here.given or here.arguments):
            return here
        return here if here.arguments and arguments.lstrip()[:1] not in ("", "{") else None  # An id for each piece.

    def _begins(self, call: PartialCall, name: str) -> bool:
        """The name cannot belong to the call: its arguments are whole, or it has another name."""
        return bool(call.name) and (call.whole or (name != call.name and self._name(call.name, name) == call.name))

    def _name(self, begun: str, more: str) -> str:
        """The name of a call after another piece of it: the rest of the name, the whole name, or the same again."""
        for name in (begun + more, more):
            if name.startswith(begun) and any(tool.startswith(name) for tool in self._offered):
                return name
        return begun or more


def finished(calls: list[PartialCall], *, offered: Collection[str]) -> Iterator[ToolCall]:
    """The calls that have a name, each with arguments and an id of its own.

    Several objects in one call's arguments are as many calls that the server ran together, or one that it repeated.
    """
    ids: set[str] = set()
    filled = {call.name for call in calls if call.text not in NOTHING}
    for call in calls:
        name, text = _name(call.name, offered), call.text
        if not name or (text in NOTHING and call.name in filled):
            continue  # The latter only named a call that other pieces hold.
        for arguments in _arguments(text):
            id = base = storable(call.id)
            while id in ids:
                id = f"{base}_{len(ids)}"
            ids.add(id)
            yield ToolCall(id=id, name=name, arguments=arguments)


def _name(name: str, offered: Collection[str]) -> str:
    """As it was offered: some models put a name space before it, or leave a token of their template after it."""
    name = storable(name).strip()
    if name in offered:
        return name
    short = name.partition("<|")[0].replace(":", ".").rpartition(".")[2].strip()
    return short if short in offered else name


def _arguments(text: str) -> list[str]:
    if text in NOTHING:
        return ["{}"]
    if text.startswith('"'):  # JSON in JSON.
        try:
            inner = msgspec.json.decode(text, type=str).strip()
        except (msgspec.MsgspecError, UnicodeError):
            inner = ""
        text = inner if inner.startswith("{") else text
    objects = _objects(text) or []
    if len(objects) < 2:
        return [storable(text)]
    distinct = {json.dumps(_DECODER.decode(one), sort_keys=True): one for one in reversed(objects)}
    distinct.pop("{}", None)
    return [storable(one) for one in reversed(distinct.values())] or ["{}"]


def _objects(text: str) -> list[str] | None:
    """The JSON objects that the text is made of; None when it is made of anything else."""
    found, at = [], 0
    while at < len(text):
        if text[at] != "{":
            return None
        try:
            _, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            return None
        found.append(text[at:end])
        while end < len(text) and text[end].isspace():
            end += 1
        at = end
    return found


def storable(text: str) -> str:
    """The text without NUL, which PostgreSQL does not store."""
    return text.replace("\x00", "")


_DECODER = json.JSONDecoder(strict=False)
