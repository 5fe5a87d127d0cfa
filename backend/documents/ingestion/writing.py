"""Turns parsed pages into rows of pages and chunks, and commits them with the cursor."""

import bisect
from collections.abc import Iterator, Sequence
from itertools import pairwise

import msgspec
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from backend.documents import statistics
from backend.documents.ingestion import chunker, lease, reading_warnings
from backend.documents.ingestion.language import detect
from backend.documents.ingestion.parsers.frames import PageText
from backend.documents.ingestion.rows import ChunkRow, Cursor, PageRow, commit
from backend.documents.models import Document, Ingestion, Language, Page
from backend.documents.words import folded_for_index, index_words
from backend.http.ids import new_id


class Writer:
    """Receives pages in order and commits rows, batch by batch.

    Text that is not split into chunks yet is kept in ``pending``; after a restart it is loaded from the pages.
    """

    def __init__(self, ingestion: Ingestion) -> None:
        self.ingestion = ingestion
        self.starts: list[int] = []  # The offset of each known page in the document's text.
        self.numbers: list[int] = []
        self.pending = ""  # The text from ``chunked_to`` on.
        if ingestion.pages_done:
            self._resume()

    def _resume(self) -> None:
        pages = Page.objects.filter(ingestion=self.ingestion)
        chunked_to = self.ingestion.chunked_to
        first = pages.filter(char_start__lte=chunked_to).aggregate(start=Max("char_start"))["start"] or 0
        for page in pages.filter(char_start__gte=first).order_by("number").only("number", "char_start", "text"):
            self._add_page(page.number, page.char_start)
            self.pending += page.text[max(0, chunked_to - page.char_start) :]

    def add(self, pages: Sequence[PageText], warnings: Sequence[tuple[str, str]]) -> None:
        """Commit a batch.

        :raises LeaseLost: nothing was committed.
        """
        ingestion = self.ingestion
        rows: list[PageRow] = []
        length = ingestion.text_length
        for page in pages:
            self._add_page(page.number, length)
            lines = [(a, b, c, d, start + length, end + length) for a, b, c, d, start, end in page.lines]
            rows.append(PageRow(page.number, length, page.text, msgspec.json.encode(lines).decode()))
            self.pending += page.text
            length += len(page.text)
        all_warnings = [*ingestion.warnings, *({"code": code, "detail": detail} for code, detail in warnings)]
        unreadable = [page.number for page in pages if page.unreadable]
        chunks, chunked_to = self._chunks(final=False)
        cursor = Cursor(
            pages_done=ingestion.pages_done + len(pages),
            text_length=length,
            chunked_to=chunked_to,
            chunk_count=ingestion.chunk_count + len(chunks),
            language=ingestion.language,
            warnings=reading_warnings.add_unreadable_pages(all_warnings, unreadable, paged=ingestion.paged),
        )
        commit(ingestion, cursor, pages=rows, chunks=chunks)

    def finish(self) -> None:
        """Commit the last chunks and make this the active ingestion of the document, in one transaction.

        :raises LeaseLost: nothing was committed.
        """
        ingestion = self.ingestion
        chunks, chunked_to = self._chunks(final=True)
        warnings = ingestion.warnings
        if not ingestion.chunk_count + len(chunks):
            warnings = [*warnings, {"code": "no_text", "detail": "No text was found in this document."}]
        cursor = Cursor(
            pages_done=ingestion.pages_done,
            text_length=ingestion.text_length,
            chunked_to=chunked_to,
            chunk_count=ingestion.chunk_count + len(chunks),
            language=ingestion.language,
            warnings=warnings,
        )
        with transaction.atomic():
            # The document is locked before the ingestion, as everywhere: a deletion at the same time would otherwise
            # lock them in the opposite order, and each would wait for the other.
            Document.objects.select_for_update(no_key=True).filter(pk=ingestion.document_id).first()
            commit(ingestion, cursor, pages=(), chunks=chunks)
            lease.write(
                ingestion,
                status=Ingestion.Status.READY,
                finished_at=timezone.now(),
                lease_until=None,
                error_code="",
                error_detail="",
            )
            activated = Document.objects.alive().filter(pk=ingestion.document_id)
            activated.update(active_ingestion=ingestion, updated_at=timezone.now())
            statistics.record_change(workspace_id=ingestion.document.workspace_id)

    def _add_page(self, number: int, start: int) -> None:
        self.numbers.append(number)
        self.starts.append(start)

    def _chunks(self, *, final: bool) -> tuple[list[ChunkRow], int]:
        """The rows of the passages that further text cannot change, and the offset at which the last of them ends."""
        ingestion = self.ingestion
        text, offset = self.pending, ingestion.chunked_to
        if ingestion.language is None and (final or len(text) >= chunker.LOOKAHEAD):
            claimed = ingestion.document.claimed_language
            ingestion.language = claimed or detect(text)
        rows: list[ChunkRow] = []
        done = 0
        for start, end in self._spans(final=final):
            passage = text[start:end]
            words, length = index_words(passage)
            written = " ".join(words)
            first, last = self._pages(offset + start, offset + end) if ingestion.paged else (None, None)
            rows.append(
                ChunkRow(
                    id=new_id(),
                    position=ingestion.chunk_count + len(rows),
                    text=passage,
                    page_from=first,
                    page_to=last,
                    char_start=offset + start,
                    char_end=offset + end,
                    words=written,
                    folded=folded_for_index(written, stemmed=ingestion.language != Language.UNDETERMINED),
                    length=length,
                )
            )
            done = end
        if final:
            done = len(text)
        elif ingestion.paged and ingestion.language:
            done = max(self._page_ends(final=False), default=0)
        self.pending = text[done:]
        return rows, offset + done

    def _spans(self, *, final: bool) -> Iterator[chunker.Span]:
        """The passages of the pending text. They end with the page, so that each is cited with its own page; only a
        sentence that continues on the next page is kept whole.
        """
        if not self.ingestion.language:
            return  # Too little text so far to detect the language.
        if not self.ingestion.paged:
            yield from chunker.split(self.pending, final=final)
            return
        begin = 0
        for end in self._page_ends(final=final):
            if end > begin:
                yield from ((begin + a, begin + b) for a, b in chunker.split(self.pending[begin:end], final=True))
                begin = end

    def _page_ends(self, *, final: bool) -> Iterator[int]:
        """The offset in the pending text at which each page ends, including the rest of its last sentence. The parser
        ends a page with an empty line unless its last sentence continues on the next page.
        """
        text = self.pending
        starts = [start - self.ingestion.chunked_to for start in self.starts[1:]]
        for end, next_end in pairwise([*starts, len(text)]):
            if end > 0:
                yield end if text.endswith("\n\n", 0, end) else chunker.sentence_end(text, end, next_end)
        if final or text.endswith("\n\n"):
            yield len(text)

    def _pages(self, start: int, end: int) -> tuple[int, int]:
        """The first and the last page of a span."""
        first = bisect.bisect_right(self.starts, start) - 1
        last = bisect.bisect_right(self.starts, end - 1) - 1
        return self.numbers[first], self.numbers[last]
