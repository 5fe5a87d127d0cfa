"""Maps spans of a document's text to its pages and to the boxes of its lines."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection

from backend.documents.models import Chunk

# Written in SQL: to build the same statement of Django's ``Q`` objects takes longer than all that PostgreSQL does.
_PAGES = """
SELECT page.ingestion_id, page.number, page.char_start, page.lines
FROM unnest(%s::uuid[], %s::int[]) AS wanted(ingestion_id, number)
JOIN documents_page page USING (ingestion_id, number)
"""
_UNITS = 10_000  # Of a page's box: stored as integers, shown as fractions.


@dataclass(frozen=True, slots=True)
class PageSpan:
    """A page, where its text begins in the document's text, and its lines as ``Page.lines`` has them."""

    number: int
    char_start: int
    lines: Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True)
class Layout:
    """Consecutive pages of a document; none where its format has no pages."""

    pages: Sequence[PageSpan] = ()

    def pages_of(self, char_start: int, char_end: int) -> tuple[int, int] | None:
        """The first and the last page of a span of the document's text."""
        starts = [page.char_start for page in self.pages]
        first, last = bisect_right(starts, char_start) - 1, bisect_right(starts, char_end - 1) - 1
        return (self.pages[first].number, self.pages[last].number) if 0 <= first <= last else None

    def boxes_of(self, char_start: int, char_end: int) -> list[dict[str, Any]]:
        """The lines that overlap with the span, in the order of the pages; see ``queries.Passage.boxes``."""
        return [
            _box(page.number, line)
            for page in self.pages
            for line in page.lines
            if line[4] < char_end and line[5] > char_start
        ]


NO_LAYOUT = Layout()


def layouts_of(chunks: Iterable[Chunk]) -> dict[UUID, Layout]:
    """The pages of each chunk, with one query for all."""
    chunks = list(chunks)
    wanted = {(chunk.ingestion_id, number) for chunk in chunks for number in _numbers(chunk)}
    pages: dict[tuple[UUID, int], PageSpan] = {}
    if wanted:
        with connection.cursor() as cursor:
            cursor.execute(_PAGES, [list(column) for column in zip(*wanted, strict=True)])
            for ingestion_id, number, char_start, lines in cursor.fetchall():
                pages[ingestion_id, number] = PageSpan(number, char_start, msgspec.json.decode(lines))
    return {
        chunk.pk: Layout(
            [page for number in _numbers(chunk) if (page := pages.get((chunk.ingestion_id, number))) is not None]
        )
        for chunk in chunks
    }


def _numbers(chunk: Chunk) -> Iterable[int]:
    """The numbers of the pages that a chunk is on; none where its format has no pages."""
    if chunk.page_from is None or chunk.page_to is None:
        return ()
    return range(chunk.page_from, chunk.page_to + 1)


def _box(page: int, line: Sequence[int]) -> dict[str, Any]:
    x0, y0, x1, y1, start, end = line
    return {
        "page": page,
        "x0": x0 / _UNITS,
        "y0": y0 / _UNITS,
        "x1": x1 / _UNITS,
        "y1": y1 / _UNITS,
        "char_start": start,
        "char_end": end,
    }
