"""The rows of a batch, and the one statement that writes them."""

from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from psycopg.types.json import Json

from backend.documents.errors import LeaseLost
from backend.documents.ingestion import lease
from backend.documents.models import Ingestion


class PageRow(NamedTuple):
    """A page. ``lines`` is JSON, as in the model ``Page``."""

    number: int
    char_start: int
    text: str
    lines: str


class ChunkRow(NamedTuple):
    """A chunk. ``words`` has the accents of the text, ``folded`` has none: the arguments of documents_words()."""

    id: UUID
    position: int
    text: str
    page_from: int | None
    page_to: int | None
    char_start: int
    char_end: int
    words: str
    folded: str
    length: int


# One statement is one round trip and one transaction. ``held`` is the ingestion if its lease and epoch are still those
# of the caller. Without a row in it nothing is inserted, so a worker that lost its lease cannot add pages twice.
_COMMIT = """
WITH held AS (
    UPDATE documents_ingestion SET
        lease_until = %(lease_until)s, pages_done = %(pages_done)s, text_length = %(text_length)s,
        chunked_to = %(chunked_to)s, chunk_count = %(chunk_count)s, language = %(language)s,
        warnings = %(warnings)s::jsonb, seconds = %(seconds)s, cpu_seconds = %(cpu_seconds)s, attempts = 0
    WHERE id = %(id)s AND epoch = %(epoch)s AND status = ANY(%(unfinished)s)
    RETURNING id, document_id
), new_pages AS (
    INSERT INTO documents_page (ingestion_id, number, char_start, text, lines)
    SELECT held.id, given.number, given.char_start, given.text, given.lines::jsonb
    FROM held, unnest(%(page_number)s::int[], %(page_char_start)s::int[], %(page_text)s::text[], %(page_lines)s::text[])
        AS given(number, char_start, text, lines)
), new_chunks AS (
    INSERT INTO documents_chunk (
        id, workspace_id, document_id, ingestion_id, index, text, page_from, page_to, char_start, char_end, language,
        words, length
    )
    SELECT
        given.id, %(workspace_id)s, held.document_id, held.id, given.position, given.text, given.page_from,
        given.page_to, given.char_start, given.char_end, %(language)s,
        documents_words(%(language)s, given.words, given.folded), given.length
    FROM held, unnest(
        %(chunk_id)s::uuid[], %(chunk_position)s::int[], %(chunk_text)s::text[], %(chunk_page_from)s::int[],
        %(chunk_page_to)s::int[], %(chunk_char_start)s::int[], %(chunk_char_end)s::int[], %(chunk_words)s::text[],
        %(chunk_folded)s::text[], %(chunk_length)s::int[]
    ) AS given(id, position, text, page_from, page_to, char_start, char_end, words, folded, length)
)
SELECT count(*) FROM held
"""


class Cursor(NamedTuple):
    """How far the document is committed after the batch; fields of the model ``Ingestion``."""

    pages_done: int
    text_length: int
    chunked_to: int
    chunk_count: int
    language: str | None
    warnings: list[dict[str, str]]


def commit(ingestion: Ingestion, cursor: Cursor, *, pages: Sequence[PageRow], chunks: Sequence[ChunkRow]) -> None:
    """Insert pages and chunks, advance the cursor and renew the lease, all or nothing.

    :raises LeaseLost: another worker claimed the ingestion, or it was cancelled; nothing was changed.
    """
    parameters = {
        "id": ingestion.pk,
        "epoch": ingestion.epoch,
        "unfinished": list(Ingestion.UNFINISHED),
        "lease_until": lease.lease_end(),
        "seconds": ingestion.seconds,
        "cpu_seconds": ingestion.cpu_seconds,
        "workspace_id": ingestion.document.workspace_id,
        **cursor._asdict(),
        "warnings": Json(cursor.warnings),
        **_columns("page", PageRow._fields, pages),
        **_columns("chunk", ChunkRow._fields, chunks),
    }
    with connection.cursor() as sql:
        sql.execute(_COMMIT, parameters)
        if sql.fetchone() != (1,):
            raise LeaseLost
    for name, value in cursor._asdict().items():
        setattr(ingestion, name, value)
    ingestion.attempts = 0


def _columns(prefix: str, names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> dict[str, list[Any]]:
    columns: Iterable[tuple[Any, ...]] = zip(*rows, strict=True) if rows else repeat(())
    return {f"{prefix}_{name}": list(column) for name, column in zip(names, columns, strict=False)}
