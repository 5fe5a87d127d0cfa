"""Removes what deleted documents and replaced readings left. Every step may be repeated; none touches what lives."""

from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from backend.documents import storage
from backend.documents.models import Blob, Chunk, Document, Ingestion, Page

BATCH = 2_000  # Rows per statement, so that no deletion holds its locks for long.
AGAIN_AFTER = timedelta(minutes=1)


def purge_document(document_id: UUID) -> None:
    """Remove a deleted document: its chunks, its pages, its row, and its bytes if no other document has them."""
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
    """Remove the chunks and pages of readings that another one replaced, or that ended without being used."""
    for ingestion in _replaced().filter(document_id=document_id):
        _delete_in_batches(ingestions=[ingestion.pk])
        Ingestion.objects.filter(pk=ingestion.pk).update(purged_at=timezone.now())


def left_over() -> tuple[list[UUID], list[UUID]]:
    """Documents whose purge did not end, and documents with replaced readings that were not purged.

    At most a hundred of each, in random order: those whose purge always fails do not keep the others back.
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
    """Claim the bytes for removal unless a living document has them; from then on no upload takes them up again.

    Another deleted document that has them does not keep them: it may be waiting for this one.
    """
    with transaction.atomic():
        blob = Blob.objects.select_for_update(no_key=True).get(pk=document.blob_id)
        if Document.objects.alive().filter(blob=blob).exists():
            return False
        if blob.doomed_at is None:
            Blob.objects.filter(pk=blob.pk).update(doomed_at=timezone.now())
        return True


def _delete_in_batches(*, ingestions: list[UUID]) -> None:
    """Their chunks, then their pages."""
    chunks = Chunk.objects.filter(ingestion__in=ingestions)
    while Chunk.objects.filter(pk__in=list(chunks.values_list("pk", flat=True)[:BATCH])).delete()[0]:
        pass
    pages = Page.objects.filter(ingestion__in=ingestions)
    while Page.objects.filter(pk__in=list(pages.values_list("pk", flat=True)[:BATCH])).delete()[0]:
        pass
