"""Read access to documents for the apps above."""

from collections.abc import Collection as AnyOf
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, Q

from backend.documents import search as ranking
from backend.documents.models import Chunk, Collection, CollectionDocument, Document, DocumentQuerySet, Ingestion
from backend.documents.search import Scope
from backend.documents.spans import NO_LAYOUT, Layout, layouts_of

LEXICAL = "lexical"
HYBRID = "hybrid"
MODES = (HYBRID, LEXICAL)
_SHOWN = ("document", "ingestion", "text", "page_from", "page_to", "char_start", "char_end")  # Of a chunk.


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The location of a piece of a document's text; fields as of ``Passage``."""

    page_from: int | None
    page_to: int | None
    char_start: int
    char_end: int
    boxes: list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A chunk that matches a query.

    :ivar score: higher is better; comparable within one search only.
    :ivar page_from: its first page, from 1; None where the format has no pages.
    :ivar boxes: one per line, ``{"page", "x0", "y0", "x1", "y1", "char_start", "char_end"}``: fractions of the page,
        origin top left, and the line's characters in the document's text, counted as ``char_start`` is.
    :ivar layout: its pages.
    """

    document_id: UUID
    document_name: str
    chunk_id: UUID
    text: str
    score: float
    page_from: int | None
    page_to: int | None
    char_start: int
    char_end: int
    boxes: list[dict[str, Any]]
    layout: Layout = NO_LAYOUT

    @property
    def page_breaks(self) -> list[int]:
        """The offsets in the text at which its pages after the first begin."""
        return [max(0, page.char_start - self.char_start) for page in self.layout.pages[1:]]

    def place(self, start: int, end: int) -> Place:
        """The location of ``text[start:end]``: its own pages and lines, not those of the whole passage."""
        char_start, char_end = self.char_start + start, self.char_start + end
        pages = self.layout.pages_of(char_start, char_end) or (self.page_from, self.page_to)
        boxes = [box for box in self.boxes if box["char_start"] < char_end and box["char_end"] > char_start]
        return Place(page_from=pages[0], page_to=pages[1], char_start=char_start, char_end=char_end, boxes=boxes)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """:ivar degraded: a part of the requested search failed, so better passages may be missing."""

    passages: list[Passage]
    mode: str
    degraded: bool = False


def search(
    *,
    workspace_id: UUID,
    query: str,
    collection_ids: AnyOf[UUID] = (),
    document_ids: AnyOf[UUID] = (),
    limit: int = 10,
    mode: str | None = None,
    content_types: AnyOf[str] = (),
    languages: AnyOf[str] = (),
    metadata: dict[str, Any] | None = None,
) -> SearchResult:
    """The best passages for a query, best first: of these collections and documents, or of the whole workspace.

    Ids of other workspaces find nothing. While no embedding model is configured, each mode searches as ``lexical``.
    """
    scope = Scope(
        workspace_id=workspace_id,
        collection_ids=collection_ids,
        document_ids=document_ids,
        content_types=content_types,
        languages=languages,
        metadata=metadata or {},
    )
    ranked = ranking.rank(scope, query, limit=limit)
    scores = dict(ranked)
    chunks = Chunk.objects.select_related("document").only(*_SHOWN, "document__name").in_bulk(list(scores))
    layouts = layouts_of(chunks.values())
    passages = [
        Passage(
            document_id=chunk.document_id,
            document_name=chunk.document.name,
            chunk_id=chunk.pk,
            text=chunk.text,
            score=score,
            page_from=chunk.page_from,
            page_to=chunk.page_to,
            char_start=chunk.char_start,
            char_end=chunk.char_end,
            boxes=layouts[chunk.pk].boxes_of(chunk.char_start, chunk.char_end),
            layout=layouts[chunk.pk],
        )
        for chunk_id, score in ranked
        if (chunk := chunks.get(chunk_id)) is not None  # None if it was purged after the ranking.
    ]
    return SearchResult(passages=passages, mode=LEXICAL)


def boxes_of(chunks: Iterable[Chunk]) -> dict[UUID, list[dict[str, Any]]]:
    """The boxes of each chunk's lines, with one query for all."""
    chunks = list(chunks)
    layouts = layouts_of(chunks)
    return {chunk.pk: layouts[chunk.pk].boxes_of(chunk.char_start, chunk.char_end) for chunk in chunks}


def existing_documents(workspace_id: UUID, ids: AnyOf[UUID]) -> dict[UUID, str]:
    """The names of those documents that this workspace has, by id."""
    documents = Document.objects.alive().filter(workspace_id=workspace_id, pk__in=ids)
    return dict(documents.values_list("pk", "name"))


def existing_collections(workspace_id: UUID, ids: AnyOf[UUID]) -> dict[UUID, str]:
    """The names of those collections that this workspace has, by id."""
    return dict(Collection.objects.filter(workspace_id=workspace_id, pk__in=ids).values_list("pk", "name"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """How many documents are searchable. One that is being read again counts as ready: its earlier reading is searched.

    :ivar failed: documents that are neither searchable nor being read: they failed or were cancelled.
    :ivar pending_names: names of some that are still being read; ``failed_names`` likewise.
    """

    total: int
    ready: int
    failed: int
    pending_names: list[str] = field(default_factory=list)
    failed_names: list[str] = field(default_factory=list)

    @property
    def pending(self) -> int:
        return self.total - self.ready - self.failed


MAX_NAMES = 3
_FAILED = Q(latest_ingestion__status__in=[Ingestion.Status.FAILED, Ingestion.Status.CANCELLED])


def readiness(
    workspace_id: UUID,
    collection_ids: AnyOf[UUID] = (),
    document_ids: AnyOf[UUID] = (),
    *,
    without: dict[str, Any] | None = None,
) -> Readiness:
    """The readiness of the documents that a search would cover; without ids, of the whole workspace.

    :param without: leave out documents with this metadata.
    """
    documents = _scope(workspace_id, collection_ids, document_ids, without)
    ready, failed = Q(active_ingestion__isnull=False), Q(active_ingestion=None) & _FAILED
    counts = documents.aggregate(total=Count("pk"), ready=Count("pk", filter=ready), failed=Count("pk", filter=failed))
    found = Readiness(**counts)
    if found.ready == found.total:
        return found
    return replace(
        found,
        pending_names=list(_names(documents.exclude(ready).exclude(failed)) if found.pending else ()),
        failed_names=list(_names(documents.filter(failed)) if found.failed else ()),
    )


def ready_documents(
    workspace_id: UUID,
    collection_ids: AnyOf[UUID],
    document_ids: AnyOf[UUID],
    *,
    without: dict[str, Any],
) -> list[UUID]:
    """The searchable documents among these, without those with this metadata."""
    documents = _scope(workspace_id, collection_ids, document_ids, without)
    return list(documents.exclude(active_ingestion=None).values_list("pk", flat=True))


def workspace_of(document_id: UUID) -> UUID | None:
    """The document's workspace; None if the document was purged."""
    return Document.objects.filter(pk=document_id).values_list("workspace_id", flat=True).first()


def _scope(
    workspace_id: UUID, collection_ids: AnyOf[UUID], document_ids: AnyOf[UUID], without: dict[str, Any] | None
) -> DocumentQuerySet:
    documents = Document.objects.alive().filter(workspace_id=workspace_id)
    if collection_ids or document_ids:
        members = CollectionDocument.objects.filter(collection__in=collection_ids, document=OuterRef("pk"))
        documents = documents.filter(Q(Exists(members)) | Q(pk__in=document_ids))
    return documents.exclude(metadata__contains=without) if without else documents


def _names(documents: DocumentQuerySet) -> Iterable[str]:
    return documents.order_by("pk").values_list("name", flat=True)[:MAX_NAMES]
