"""Uploaded files, the progress of reading them, and the passages that search finds."""

from typing import Any, Self
from uuid import UUID

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from backend.accounts.actors import Actor
from backend.http.ids import PublicId, new_id


class Language(models.TextChoices):
    """A language whose words search stems; ``und`` (undetermined, RFC 5646) is matched word for word."""

    PORTUGUESE = "pt"
    ENGLISH = "en"
    UNDETERMINED = "und"


class Blob(models.Model):
    """The stored bytes of an upload. The same bytes are stored once per workspace and never shared between two."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.ForeignKey("accounts.Workspace", on_delete=models.PROTECT, related_name="+")
    sha256 = models.CharField(max_length=64)  # In hex.
    size = models.BigIntegerField()  # Bytes.
    content_type = models.CharField(max_length=128)  # Detected from the bytes; the client's claim is only checked.
    # Set before the bytes are removed; from then on no new document may refer to it.
    doomed_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "sha256"], condition=Q(doomed_at=None), name="blob_unique_in_workspace"
            ),
            models.CheckConstraint(condition=Q(size__gt=0), name="blob_not_empty"),
        ]

    def __str__(self) -> str:
        return self.sha256

    @property
    def key(self) -> str:
        """The key of the object in storage. No part of it comes from a client."""
        return f"blobs/{self.pk.hex[-2:]}/{self.pk.hex}"

    @property
    def images_folder(self) -> str:
        """The folder in storage of its cached page images."""
        return f"images/{self.pk.hex[-2:]}/{self.pk.hex}"


class CollectionQuerySet(models.QuerySet["Collection"]):
    def visible_to(self, actor: Actor) -> Self:
        return self.filter(workspace_id=actor.workspace_id)


class Collection(PublicId, models.Model):
    """A named set of documents that an agent can search as one."""

    id_prefix = "col"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.ForeignKey("accounts.Workspace", on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=200)
    language = models.CharField(max_length=3, choices=Language, null=True)  # noqa: DJ001  # None: of each document.
    created_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    objects = CollectionQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["workspace", "-id"], name="collection_of_workspace")]

    def __str__(self) -> str:
        return self.name


class DocumentQuerySet(models.QuerySet["Document"]):
    def alive(self) -> Self:
        return self.filter(deleted_at=None)

    def visible_to(self, actor: Actor) -> Self:
        return self.alive().filter(workspace_id=actor.workspace_id)


class Document(PublicId, models.Model):
    """An uploaded file with its name and metadata."""

    id_prefix = "doc"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.ForeignKey("accounts.Workspace", on_delete=models.PROTECT, related_name="+")
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="documents")
    name = models.CharField(max_length=255)
    metadata = models.JSONField(default=dict)
    claimed_language = models.CharField(max_length=3, choices=Language, null=True)  # noqa: DJ001  # None: detect it.
    collections = models.ManyToManyField(Collection, through="CollectionDocument", related_name="documents")
    latest_ingestion = models.ForeignKey("Ingestion", null=True, on_delete=models.SET_NULL, related_name="+")
    active_ingestion = models.ForeignKey("Ingestion", null=True, on_delete=models.SET_NULL, related_name="+")
    created_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)
    deleted_at = models.DateTimeField(null=True)  # The tombstone: hides the document at once; a task purges it.

    objects = DocumentQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["blob"], condition=Q(deleted_at=None), name="document_unique_per_blob"),
        ]
        indexes = [
            models.Index(fields=["workspace", "-id"], condition=Q(deleted_at=None), name="document_of_workspace"),
            models.Index(fields=["deleted_at"], condition=~Q(deleted_at=None), name="document_deleted"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def status(self) -> str:
        if self.deleted_at is not None:
            return "deleting"
        return self.latest_ingestion.status if self.latest_ingestion else Ingestion.Status.QUEUED


class CollectionDocument(models.Model):
    """The membership of a document in a collection."""

    collection = models.ForeignKey(Collection, on_delete=models.CASCADE, related_name="+")
    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="collection_documents")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["collection", "document"], name="collection_document_unique")]

    def __str__(self) -> str:
        return f"{self.document_id} in {self.collection_id}"


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


class Usage(models.Model):
    """The bytes and documents of a workspace that count against its quota, and when its queue was last served.

    Deleted documents do not count. The row is the last that a transaction locks: document, ingestion, usage.
    """

    workspace = models.OneToOneField("accounts.Workspace", primary_key=True, on_delete=models.CASCADE, related_name="+")
    bytes = models.PositiveBigIntegerField(default=0)
    documents = models.PositiveIntegerField(default=0)
    served_at = models.DateTimeField(null=True)  # When a worker last claimed one of its ingestions.

    class Meta:
        verbose_name_plural = "usage"

    def __str__(self) -> str:
        return str(self.workspace)


class Corpus(models.Model):
    """The counted size of a workspace's search index. Searches in small workspaces count by themselves instead."""

    workspace = models.OneToOneField("accounts.Workspace", primary_key=True, on_delete=models.CASCADE, related_name="+")
    chunks = models.PositiveIntegerField(default=0)
    words = models.PositiveBigIntegerField(default=0)  # The sum of the chunks' lengths.
    counted_at = models.DateTimeField(null=True)  # The ``changed_at`` that the counts include.
    changed_at = models.DateTimeField(default=timezone.now)  # When chunks were last added or removed.

    def __str__(self) -> str:
        return f"{self.chunks} chunks"


class WordFrequency(models.Model):
    """In how many chunks of a large workspace a lexeme of a language occurs."""

    id = models.BigAutoField(primary_key=True)
    workspace = models.ForeignKey("accounts.Workspace", on_delete=models.CASCADE, related_name="+", db_index=False)
    language = models.CharField(max_length=3, choices=Language)
    lexeme = models.TextField()
    chunks = models.PositiveIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace", "language", "lexeme"], name="word_frequency_unique")
        ]

    def __str__(self) -> str:
        return self.lexeme
