"""Makes citations of the markers ``[1]`` in an answer: each with the sentence of the passage that it refers to."""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from backend.agents.answers.markers import MARKER, Marker, MarkerScanner
from backend.agents.answers.quotes import MAX_CLAIM_CHARACTERS, claim_before, quote_span, shares_a_word
from backend.documents.queries import Passage
from backend.http.ids import encode
from backend.llm.prose import over_pages

MAX_CITATIONS = 300  # Of one answer; what it cites beyond them stays text.
MAX_AFTER_CHARACTERS = 300  # Characters after a marker in which the rest of its sentence is looked for.

_SENTENCE_END = re.compile(r"[.!?…](?=\s)|\n")


@dataclass(frozen=True, slots=True)
class Source:
    """A passage that the model was given, with the number it is cited by."""

    n: int
    passage: Passage

    def citation(self, claim: str, *, context: str = "") -> dict[str, Any]:
        """As a message keeps it, without where its marker stands; the quote is a literal piece of the passage."""
        passage = self.passage
        start, end = quote_span(claim, over_pages(passage.text, passage.page_breaks), context=context)
        place = passage.place(start, end)
        return {
            "n": self.n,
            "document": encode("doc", passage.document_id),
            "document_name": passage.document_name,
            "chunk": encode("chk", passage.chunk_id),
            "page_from": place.page_from,
            "page_to": place.page_to,
            "char_start": place.char_start,
            "char_end": place.char_end,
            "boxes": place.boxes,
            "quote": passage.text[start:end],
        }


class CitationTracker:
    """Reads the texts of an answer as they arrive, in pieces cut anywhere, and finds what each marker cites.

    Every number in a marker is a citation of its own: two may rest on two sentences of one passage. Numbers that name
    no source are text and stay text.
    """

    def __init__(self) -> None:
        self._sources: dict[int, Source] = {}
        self._by_chunk: dict[UUID, Source] = {}
        self._count = 0
        self._begin(part=0)

    def _begin(self, part: int) -> None:
        self._part = part
        self._scanner = MarkerScanner()
        self._text, self._base = "", 0  # The end of the part, and where in the part it begins.
        self._undecided: deque[Marker] = deque()  # Markers whose sentence may continue after them.

    def number(self, chunk_id: UUID) -> int:
        """The number of a passage: its own if it was found before, else the next."""
        known = self._by_chunk.get(chunk_id)
        return known.n if known else len(self._sources) + 1

    def add_source(self, source: Source) -> None:
        self._sources[source.n] = source
        self._by_chunk[source.passage.chunk_id] = source

    def resume(self, sources: Iterable[Source], *, cited: int) -> None:
        """Continue an answer that another worker began and that has ``cited`` citations."""
        for source in sources:
            self.add_source(source)
        self._count = cited

    def feed(self, delta: str, *, part: int = 0) -> list[dict[str, Any]]:
        """The citations that are certain with this piece of a part's text, in the order of their markers."""
        found = self.finish() if part != self._part else []
        if part != self._part:
            self._begin(part)
        self._text += delta
        self._undecided += self._scanner.feed(delta)
        found += self._decide(final=False)
        self._forget()
        return found

    def finish(self) -> list[dict[str, Any]]:
        """The citations that were uncertain until the text ended."""
        self._undecided += self._scanner.finish()
        found = self._decide(final=True)
        self._begin(self._part + 1)  # What follows is no part of this text.
        return found

    def _decide(self, *, final: bool) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while self._undecided:
            marker = self._undecided[0]
            cited = list(self._cite(marker, self._sources_of(marker), final=final))
            if None in cited:
                break
            self._undecided.popleft()
            found += [citation for citation in cited if citation is not None]
            self._count += len(cited)
        return found

    def _sources_of(self, marker: Marker) -> list[Source]:
        sources = [self._sources[number] for number in marker.numbers if number in self._sources]
        if marker.is_range and len(sources) < len(marker.numbers):
            return []
        return sources[: MAX_CITATIONS - self._count]

    def _cite(self, marker: Marker, sources: list[Source], *, final: bool) -> Iterator[dict[str, Any] | None]:
        """A citation for each source; None for one whose sentence depends on text that has not arrived."""
        if not sources:
            return
        claim, context = claim_before(self._text, marker.start - self._base), self._sentence_before(marker)
        for source in sources:
            statement = claim
            if not shares_a_word(claim, source.passage.text):  # "According to [1], the deposit …"
                after = self._after(marker, final=final)
                if after is None:
                    yield None
                    return
                statement = after if shares_a_word(after, source.passage.text) else f"{claim} {after}"
            where = {"part": self._part, "start": marker.start, "end": marker.end}
            yield {**source.citation(statement, context=context), **where}

    def _sentence_before(self, marker: Marker) -> str:
        before = self._text[max(0, marker.start - self._base - MAX_CLAIM_CHARACTERS) : marker.start - self._base]
        return claim_before(MARKER.sub("", before), MAX_CLAIM_CHARACTERS)

    def _after(self, marker: Marker, *, final: bool) -> str | None:
        """The rest of the sentence after a marker; None while it has not arrived."""
        start = marker.end - self._base
        rest = self._text[start : start + MAX_AFTER_CHARACTERS]
        end = _SENTENCE_END.search(rest)
        if end is None and len(rest) < MAX_AFTER_CHARACTERS and not final:
            return None
        return MARKER.sub("", rest[: end.start()] if end else rest).strip()

    def _forget(self) -> None:
        """Drop what no claim reaches back to, so that a piece of a long answer costs no more than one of a short."""
        needed = min([self._scanner.needed_from, *(marker.start for marker in self._undecided)])
        unused = needed - MAX_CLAIM_CHARACTERS - self._base
        if unused > MAX_CLAIM_CHARACTERS:
            self._text, self._base = self._text[unused:], self._base + unused
