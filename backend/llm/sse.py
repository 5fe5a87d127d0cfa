"""Splits a body into the JSON of its events: server-sent events (HTML standard, 9.2.6), and what servers send instead.

Those are events without blank lines between them, JSON over several lines with or without ``data:`` before each, one
JSON document in place of a stream, and JSON lines.
"""

import json
from collections.abc import Iterator
from typing import Any

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
DONE = b"[DONE]"
END_MARKS = frozenset({DONE, b"DONE"})
OTHER_FIELDS = (b":", b"event:", b"id:", b"retry:")


class Payloads:
    """Takes a body in pieces that may end anywhere; gives objects of JSON, not decoded, and ``[DONE]``.

    Each is paired with the name of its event, which is empty where the server sends none.
    """

    def __init__(self) -> None:
        self._event = b""
        self._rest: list[bytes] = []  # The line that has not ended yet.
        self._kept = 0  # Its bytes.
        self._begun = bytearray()  # JSON that has not ended on its line.
        self._bare = False  # It stands there without "data:": blank lines do not end it.
        self._opening = True
        self._after_return = False

    @property
    def pending(self) -> int:
        """Bytes that are kept because what they belong to has not ended."""
        return self._kept + len(self._begun)

    def feed(self, piece: bytes) -> list[tuple[bytes, bytes]]:
        found: list[tuple[bytes, bytes]] = []
        for line in self._lines(piece):
            if self._begun:
                found += self._unusual(line)
            elif line.startswith(b"data:"):
                payload = line[5:].strip()
                if payload[:1] == b"{" and payload[-1:] == b"}":
                    found.append((self._event, payload))
                else:
                    found += self._unusual(line)
            elif not line:
                self._event = b""
            elif line.startswith(b"event:"):
                self._event = line[6:].strip()
            else:
                found += self._unusual(line)
        return found

    def _lines(self, piece: bytes) -> list[bytes]:
        """The lines that the piece ends."""
        if self._after_return or b"\r" in piece:
            piece = self._with_line_feeds(piece)
        if b"\n" not in piece:
            self._rest.append(piece)
            self._kept += len(piece)
            return []
        if self._rest:
            piece = b"".join((*self._rest, piece))
            self._rest.clear()
        if self._opening:
            self._opening = False
            piece = piece.removeprefix(BYTE_ORDER_MARK)
        lines = piece.split(b"\n")
        rest = lines.pop()
        self._kept = len(rest)
        if rest:
            self._rest.append(rest)
        return lines

    def end(self) -> Iterator[tuple[bytes, bytes]]:
        """What the end of the body ends."""
        yield from self.feed(b"\n")
        yield from self._document()

    def _with_line_feeds(self, piece: bytes) -> bytes:
        """A line ends with CR, LF or both, and the two may come in two pieces."""
        if not piece:
            return piece
        begun, self._after_return = self._after_return, piece.endswith(b"\r")
        if begun and piece.startswith(b"\n"):
            piece = piece[1:]
        return piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _unusual(self, line: bytes) -> Iterator[tuple[bytes, bytes]]:
        """A line that is neither one whole object after ``data:`` nor blank between two of them."""
        text, payload = line.strip(), data_of(line)
        if not text:
            if not self._bare:
                yield from self._document()
            self._event = b""
        elif self._begun:
            if payload or not text.startswith((*OTHER_FIELDS, b"data:")):
                self._begun += (payload or text) + b"\n"
        elif payload or text.startswith((b"{", b"[")):
            yield from self._beginning(payload or text, bare=not payload)

    def _beginning(self, text: bytes, *, bare: bool) -> Iterator[tuple[bytes, bytes]]:
        while text.startswith(b"data:"):  # Twice, by a proxy.
            text = text[len(b"data:") :].strip()
        if text.strip(b'"').upper() in END_MARKS:
            yield self._event, DONE
        elif text.startswith((b"{", b"[")):
            self._begun += text + b"\n"
            self._bare = bare
            if text.endswith((b"}", b"]")) and (not bare or _value(text) is not None):
                yield from self._document()
        # Else a remark, as proxies send to keep the connection.

    def _document(self) -> Iterator[tuple[bytes, bytes]]:
        """The objects in what was begun. What is no JSON is given as it is: the reader refuses it."""
        text = bytes(self._begun).strip()
        self._begun.clear()
        self._bare = False
        if not text.startswith(b"["):
            if text:
                yield self._event, text
            return
        items = _value(text)
        if isinstance(items, list) and all(isinstance(item, dict) for item in items):
            yield from ((self._event, json.dumps(item).encode()) for item in items)
        else:
            yield self._event, text


def data_of(line: bytes) -> bytes:
    """The payload of a line, empty for comments and other fields. Some servers send ``error:`` lines too."""
    if line.startswith((b"data:", b"error:")):
        return line[line.index(b":") + 1 :].strip()
    return b""


def _value(text: bytes) -> Any:
    """The JSON value that the text is; None when it is none."""
    try:
        return json.loads(text.decode("utf-8", "replace"), strict=False)
    except (ValueError, RecursionError):
        return None
