"""Uploaded files: their bytes, documents and collections."""

from typing import Self

from django.db import models
from django.db.models import Q
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
        return self.latest_ingestion.status if self.latest_ingestion else "queued"


class CollectionDocument(models.Model):
    """The membership of a document in a collection."""

    collection = models.ForeignKey(Collection, on_delete=models.CASCADE, related_name="+")
    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="collection_documents")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["collection", "document"], name="collection_document_unique")]

    def __str__(self) -> str:
        return f"{self.document_id} in {self.collection_id}"
