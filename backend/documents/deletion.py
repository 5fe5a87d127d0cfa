"""Purges deleted documents and replaced ingestions. Every step may be repeated after a crash.

The race of a purge with an upload of the same bytes: the upload must not refer to a blob whose bytes are being removed.
Both lock the blob's row. If the upload comes first, ``_doom`` sees its document and keeps the bytes. If the purge comes
first, ``_doom`` sets ``doomed_at``; the upload then does not find the row (``operations``: it looks for ``doomed_at``
of None) and stores its bytes under a new blob. ``doomed_at`` is never reset, so the bytes are removed after the
transaction, without a lock during the calls of the storage.
"""

from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from backend.documents import storage
from backend.documents.models import Blob, Chunk, Document, Ingestion, Page

BATCH = 2_000  # Rows per statement, so that no statement holds its locks for long.
AGAIN_AFTER = timedelta(minutes=1)


def purge_document(document_id: UUID) -> None:
    """Remove a deleted document.

    1. Its chunks and pages.
    2. Its bytes and page images, unless another document that is not deleted has the same bytes.
    3. Its row, and the blob's row after its last document.
    """
    document = Document.objects.exclude(deleted_at=None).filter(pk=document_id).select_related("blob").first()
    if document is None:
        return
    _delete_in_batches(ingestions=list(document.ingestions.values_list("pk", flat=True)))
    if _doom(document):
        storage.delete_folder(document.blob.images_folder)
        storage.delete(document.blob.key)
    with transaction.atomic():
        Document.objects.filter(pk=document.pk).update(latest_ingestion=None, active_ingestion=None)
        Document.objects.filter(pk=document.pk).delete()
        Blob.objects.filter(pk=document.blob_id, documents=None).exclude(doomed_at=None).delete()


def purge_replaced(document_id: UUID) -> None:
    """Remove the chunks and pages of ingestions that another one replaced, or that ended without becoming active.

    No ingestion becomes active after it has ended (``Writer.finish`` does both in one transaction), so what is selected
    here stays unused.
    """
    for ingestion in _replaced().filter(document_id=document_id):
        _delete_in_batches(ingestions=[ingestion.pk])
        Ingestion.objects.filter(pk=ingestion.pk).update(purged_at=timezone.now())


def left_over() -> tuple[list[UUID], list[UUID]]:
    """Deleted documents whose purge did not end, and documents with replaced ingestions that were not purged.

    At most a hundred of each, in random order: those whose purge always fails do not block the others.
    """
    since = timezone.now() - AGAIN_AFTER
    deleted = Document.objects.filter(deleted_at__lt=since).order_by("?").values_list("pk", flat=True)
    replaced = _replaced().filter(finished_at__lt=since).order_by("?").values_list("document_id", flat=True)
    return list(deleted[:100]), list(set(replaced[:100]))


def _replaced() -> "QuerySet[Ingestion]":
    ended = Ingestion.objects.exclude(status__in=Ingestion.UNFINISHED).filter(purged_at=None)
    active = Q(document__active_ingestion=F("pk"))
    return ended.filter(document__deleted_at=None).exclude(active)


def _doom(document: Document) -> bool:
    """Mark the bytes for removal unless a document that is not deleted has them; no upload uses them from then on.

    Another deleted document with the same bytes does not keep them: its purge may see this one and wait likewise.
    """
    with transaction.atomic():
        blob = Blob.objects.select_for_update(no_key=True).get(pk=document.blob_id)
        if Document.objects.alive().filter(blob=blob).exists():
            return False
        if blob.doomed_at is None:
            Blob.objects.filter(pk=blob.pk).update(doomed_at=timezone.now())
        return True


def _delete_in_batches(*, ingestions: list[UUID]) -> None:
    """Delete their chunks, then their pages."""
    chunks = Chunk.objects.filter(ingestion__in=ingestions)
    while Chunk.objects.filter(pk__in=list(chunks.values_list("pk", flat=True)[:BATCH])).delete()[0]:
        pass
    pages = Page.objects.filter(ingestion__in=ingestions)
    while Page.objects.filter(pk__in=list(pages.values_list("pk", flat=True)[:BATCH])).delete()[0]:
        pass
