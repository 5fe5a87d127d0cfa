"""From the markers ``[1]`` in an answer to the sentences of the passages behind them."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from backend.http.ids import encode
from backend.llm.offline.sentences import abbreviated

MARKER = re.compile(r"\[(\d{1,3}(?:\s?[,;]\s?\d{1,3})*)\]", re.ASCII)
OPEN_MARKER = re.compile(r"\[[\d,;\s]*\Z", re.ASCII)  # What may still become one.
LONGEST_MARKER = 40
LONGEST_CLAIM = 1000  # Characters before a marker in which its sentence is looked for.
LONGEST_HEADING = 60  # Characters.

_END = re.compile(r"[.!?…][\"”’»)\]]*(?=\s)|\n\s*\n|\n(?=[ \t]*[^\W\d_a-zà-öø-ÿ]|[ \t]*[§•*#–-])|\Z")
_WORD = re.compile(r"\w+")
_STOP = re.compile(r"[.!?…](?= )|\n")
_QUOTATION = re.compile(r"[“\"«][^“”\"«»]{8,400}[”\"»][.!?…]*\Z")
_QUOTED = re.compile(r"[“\"«]([^”\"»]{8,400})[”\"»]")


@dataclass(frozen=True, slots=True)
class Source:
    """A passage that the model was given, with the number it is cited by."""

    n: int
    document_id: UUID
    document_name: str
    chunk_id: UUID
    text: str
    page_from: int | None
    page_to: int | None

    def citation(self, claim: str) -> dict[str, Any]:
        """As a message keeps it; the quote is a literal piece of the passage."""
        return {
            "n": self.n,
            "document": encode("doc", self.document_id),
            "document_name": self.document_name,
            "chunk": encode("chk", self.chunk_id),
            "page_from": self.page_from,
            "page_to": self.page_to,
            "quote": quote_for(claim, self.text),
        }


class CitationTracker:
    """Reads an answer as it arrives, in pieces cut anywhere, and reports each source the first time it is cited.

    Numbers that name no source are text and stay text.
    """

    def __init__(self) -> None:
        self._sources: dict[int, Source] = {}
        self._by_chunk: dict[UUID, Source] = {}
        self._cited: set[int] = set()
        self._text = ""  # The end of the answer: what a claim may reach back to, and what has not been read.
        self._read = 0  # Up to here every marker has been seen.

    def number(self, chunk_id: UUID) -> int:
        """The number of a passage: its own if it was found before, else the next."""
        known = self._by_chunk.get(chunk_id)
        return known.n if known else len(self._sources) + 1

    def add_source(self, source: Source) -> None:
        self._sources[source.n] = source
        self._by_chunk[source.chunk_id] = source

    def feed(self, delta: str) -> list[dict[str, Any]]:
        """The citations that this piece of text completes."""
        self._text += delta
        found: list[dict[str, Any]] = []
        for marker in MARKER.finditer(self._text, self._read):
            for number in re.findall(r"\d+", marker[1]):
                found += self._cite(int(number), claim=claim_before(self._text, marker.start()))
            self._read = marker.end()
        rest = OPEN_MARKER.search(self._text, max(self._read, len(self._text) - LONGEST_MARKER))
        self._read = rest.start() if rest else len(self._text)
        self._forget()
        return found

    def _forget(self) -> None:
        """Drop what no claim reaches back to, so that a piece of a long answer costs no more than one of a short."""
        unused = self._read - LONGEST_CLAIM
        if unused > LONGEST_CLAIM:
            self._text = self._text[unused:]
            self._read = LONGEST_CLAIM

    def _cite(self, number: int, *, claim: str) -> list[dict[str, Any]]:
        source = self._sources.get(number)
        if source is None or number in self._cited:
            return []
        self._cited.add(number)
        return [source.citation(claim)]


def claim_before(text: str, end: int) -> str:
    """The sentence that a marker at ``end`` stands behind, without other markers."""
    before = MARKER.sub("", text[max(0, end - LONGEST_CLAIM) : end]).rstrip()
    body = before.rstrip('.!?…"”’»)] ')
    if quotation := _QUOTATION.search(before):
        body = before[: quotation.start()]  # What is quoted may be several sentences; they belong together.
    return before[_last_end(body) :].strip()


def _last_end(text: str) -> int:
    """Where the last whole sentence of the text ends."""
    ends = [end.end() for end in _STOP.finditer(text) if end[0] != "." or not abbreviated(text[: end.start()])]
    return ends[-1] if ends else 0


def quote_for(claim: str, passage: str) -> str:
    """The sentence of the passage that the claim rests on: the words it quotes, else those nearest to it."""
    quoted = [found for words in _QUOTED.findall(claim) if (found := _literally(words, passage))]
    if quoted:
        return max(quoted, key=len)
    sentences = sentences_of(passage)
    wanted = _words(claim)
    if not sentences:
        return passage.strip()

    def likeness(sentence: str) -> float:
        words = _words(sentence)
        return len(words & wanted) / (len(words) + 8) ** 0.5 if words else -1.0

    return max(sentences, key=likeness)


def _literally(words: str, passage: str) -> str | None:
    """The piece of the passage that reads so; line breaks and runs of spaces count as one space."""
    pattern = r"\s+".join(re.escape(word) for word in words.split())
    found = re.search(pattern, passage) if pattern else None
    return found[0] if found else None


def sentences_of(text: str) -> Sequence[str]:
    """Literal pieces of the text. A line break ends one only behind a short line such as a heading's: PDFs break long
    sentences over several lines."""
    pieces: list[str] = []
    start = 0
    for end in _END.finditer(text):
        line = text[max(start, text.rfind("\n", 0, end.start()) + 1) : end.start()]
        if end[0] == "\n" and len(line) > LONGEST_HEADING:
            continue
        if end[0] == "." and abbreviated(text[start : end.start()]):
            continue
        if piece := text[start : end.end()].strip():
            pieces.append(piece)
        start = end.end()
    return pieces


def _words(text: str) -> set[str]:
    folded = unicodedata.normalize("NFD", text.casefold())
    return set(_WORD.findall("".join(mark for mark in folded if not unicodedata.combining(mark))))
