"""Streams the text of a document as JSON while reading it from the database: never whole in memory."""

import json
from collections.abc import Iterator
from uuid import UUID

from django.db.models.functions import Length

from backend.db.connection import release_connection
from backend.documents.models import Document, Ingestion, Page

BLOCK = 256 * 1024  # Characters that are fetched at once; a longer page is fetched whole.
SPANS = 2_000  # Pages whose spans are fetched at once.


class TextPurged(Exception):
    """The reading was purged while its text was sent. Raised so that the response breaks off and does not look
    complete.
    """


def blocks(document: Document) -> Iterator[bytes]:
    """``{"document", "text", "pages": [{"page", "char_start", "char_end"}]}`` in parts.

    The database connection is released between two parts, because a client may be slow.

    :raises TextPurged: possibly after some parts.
    """
    ingestion = document.active_ingestion
    yield f'{{"document":"{document.public_id}","text":"'.encode()
    if ingestion is not None:
        yield from _text(ingestion)
    yield b'","pages":['
    if ingestion is not None and ingestion.paged:
        yield from _spans(ingestion.pk)
    yield b"]}"


def _text(ingestion: Ingestion) -> Iterator[bytes]:
    pages = Page.objects.filter(ingestion=ingestion).order_by("number")
    number, position = 0, 0
    while rows := list(
        pages.filter(number__gt=number, char_start__lt=position + BLOCK).values_list("number", "text")[:SPANS]
    ):
        release_connection()
        text = "".join(text for _number, text in rows)
        number, position = rows[-1][0], position + len(text)
        yield json.dumps(text, ensure_ascii=False)[1:-1].encode()
    if position != ingestion.text_length:
        raise TextPurged


def _spans(ingestion_id: UUID) -> Iterator[bytes]:
    pages = Page.objects.filter(ingestion=ingestion_id).order_by("number")
    number = 0
    while rows := list(pages.filter(number__gt=number).values_list("number", "char_start", Length("text"))[:SPANS]):
        release_connection()
        spans = [{"page": page, "char_start": start, "char_end": start + length} for page, start, length in rows]
        comma = "," if number else ""
        number = rows[-1][0]
        yield f"{comma}{json.dumps(spans, separators=(',', ':'))[1:-1]}".encode()
