"""Ingestions, and the pages and chunks that they produce."""

from typing import Any, Self
from uuid import UUID

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from backend.documents.models.files import Document, Language
from backend.http.ids import PublicId, new_id


class IngestionQuerySet(models.QuerySet["Ingestion"]):
    def unfinished(self) -> Self:
        return self.filter(status__in=Ingestion.UNFINISHED)

    def held(self, *, ingestion_id: UUID, epoch: int) -> Self:
        """The ingestion, if the worker that claimed it with this epoch still holds it."""
        return self.unfinished().filter(pk=ingestion_id, epoch=epoch)


class Ingestion(PublicId, models.Model):
    """One reading of a document's bytes into pages and chunks. A worker holds it by lease while it reads."""

    id_prefix = "ing"

    class Status(models.TextChoices):
        QUEUED = "queued"
        SCANNING = "scanning"
        PARSING = "parsing"
        CHUNKING = "chunking"
        EMBEDDING = "embedding"
        READY = "ready"
        FAILED = "failed"
        CANCELLED = "cancelled"

    UNFINISHED = (Status.QUEUED, Status.SCANNING, Status.PARSING, Status.CHUNKING, Status.EMBEDDING)

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="ingestions")
    status = models.CharField(max_length=9, choices=Status, default=Status.QUEUED)
    language = models.CharField(max_length=3, choices=Language, null=True)  # noqa: DJ001  # None: not known yet.
    # The lease. Each claim increments the epoch, so a worker that lost the lease writes nothing
    # (``ingestion/lease.py``).
    epoch = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)  # Claims since the last progress.
    published_at = models.DateTimeField(default=timezone.now)  # When a worker was last notified.
    # The time that all its workers together have used. It is stored so that the death of a worker does not reset it.
    seconds = models.FloatField(default=0, db_default=0)  # Wall clock.
    cpu_seconds = models.FloatField(default=0, db_default=0)  # Of parser processes.
    # The cursor: what is committed. Formats without pages are stored in stretches of text, which count as pages here.
    paged = models.BooleanField(default=False)
    pages_done = models.PositiveIntegerField(default=0)
    pages_total = models.PositiveIntegerField(null=True)
    text_length = models.PositiveIntegerField(default=0)  # Characters in the committed pages.
    chunked_to = models.PositiveIntegerField(default=0)  # Of them, the characters that are in committed chunks.
    chunk_count = models.PositiveIntegerField(default=0)
    error_code = models.CharField(max_length=32, blank=True)
    error_detail = models.TextField(blank=True)
    error_retryable = models.BooleanField(default=False)
    warnings = models.JSONField(default=list)  # [{"code", "detail"}]
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    # When its pages and chunks were removed, after another reading replaced it.
    purged_at = models.DateTimeField(null=True)

    objects = IngestionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["document"],
                condition=Q(status__in=["queued", "scanning", "parsing", "chunking", "embedding"]),
                name="ingestion_one_unfinished",
            ),
            models.CheckConstraint(condition=Q(chunked_to__lte=F("text_length")), name="ingestion_chunks_within_text"),
        ]
        indexes = [
            models.Index(
                fields=["lease_until"],
                condition=Q(status__in=["queued", "scanning", "parsing", "chunking", "embedding"]),
                name="ingestion_unfinished",
            )
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def progress(self) -> dict[str, int | None]:
        """``pages_total`` is None for formats without pages, and until it is known."""
        ready = self.status == self.Status.READY
        percent = 100 if ready else min(99, 100 * self.pages_done // self.pages_total) if self.pages_total else 0
        return {
            "pages_done": self.pages_done if self.paged else 0,
            "pages_total": self.pages_total if self.paged else None,
            "percent": percent,
        }

    @property
    def error(self) -> dict[str, Any] | None:
        if self.status != self.Status.FAILED:
            return None
        return {"code": self.error_code, "detail": self.error_detail, "retryable": self.error_retryable}


class Page(models.Model):
    """The text of one page and the boxes of its lines; of formats without pages, one stretch of text without lines.

    ``lines`` holds ``[x0, y0, x1, y1, char_start, char_end]`` per line: a box in 1/10,000 of the page, origin at the
    top left, and the line's characters in the document's text, which is the texts of all pages in order.
    """

    id = models.BigAutoField(primary_key=True)
    ingestion = models.ForeignKey(Ingestion, on_delete=models.CASCADE, related_name="pages")
    number = models.PositiveIntegerField()  # From 1.
    char_start = models.PositiveIntegerField()  # In the document's text.
    text = models.TextField(blank=True)
    lines = models.JSONField(default=list)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["ingestion", "number"], name="page_unique")]

    def __str__(self) -> str:
        return f"page {self.number}"


class Chunk(PublicId, models.Model):
    """A passage, which search finds and agents cite. ``text`` is exactly that span of the document's text."""

    id_prefix = "chk"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.ForeignKey("accounts.Workspace", on_delete=models.PROTECT, related_name="+", db_index=False)
    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="chunks", db_index=False)
    ingestion = models.ForeignKey(Ingestion, on_delete=models.CASCADE, related_name="chunks", db_index=False)
    index = models.PositiveIntegerField()  # From 0, in reading order.
    text = models.TextField()
    page_from = models.PositiveIntegerField(null=True)
    page_to = models.PositiveIntegerField(null=True)
    char_start = models.PositiveIntegerField()
    char_end = models.PositiveIntegerField()
    language = models.CharField(max_length=3, choices=Language)
    words = SearchVectorField()  # Made by the SQL function documents_words().
    length = models.PositiveIntegerField()  # In words, as BM25 counts.

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["ingestion", "index"], name="chunk_unique"),
            models.CheckConstraint(condition=Q(char_end__gt=F("char_start")), name="chunk_span_not_empty"),
            models.CheckConstraint(
                condition=Q(page_from=None, page_to=None) | Q(page_to__gte=F("page_from")), name="chunk_pages_in_order"
            ),
        ]
        indexes = [
            GinIndex(fields=["words"], name="chunk_words", fastupdate=False),
            models.Index(fields=["document"], name="chunk_of_document"),
            models.Index(fields=["workspace"], name="chunk_of_workspace"),
        ]

    def __str__(self) -> str:
        return f"chunk {self.index}"
