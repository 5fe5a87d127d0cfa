"""Changes documents and collections."""

import hashlib
import logging
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.core.files.base import ContentFile
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from backend.accounts.actors import Actor
from backend.documents import filetypes, names, progress, quota, receiving, statistics, tasks
from backend.documents.ingestion import lease
from backend.documents.models import Blob, Collection, CollectionDocument, Document, Ingestion, Language
from backend.documents.receiving import StoredUpload
from backend.errors import Conflict, NotFound

logger = logging.getLogger(__name__)

RETRIED = (Ingestion.Status.FAILED, Ingestion.Status.CANCELLED)  # Read again when the same bytes are uploaded again.


def create_document(
    *,
    actor: Actor,
    upload: StoredUpload,
    name: str | None = None,
    collection_id: UUID | None = None,
    metadata: dict[str, Any] | None = None,
    language: str | None = None,
) -> tuple[Document, bool]:
    """Create a document from a stored upload and queue its ingestion; returns it, and whether it is new.

    The same bytes in the same workspace are the same document: it is returned unchanged, added to the collection, and
    read again only if reading it failed or was cancelled before.

    :raises NotFound: there is no such collection.
    :raises StorageQuotaExceeded: the document would exceed the quota.
    :raises Conflict: the document with the same bytes was deleted after they were received.
    """
    actor.require("documents:write")
    return _create(
        workspace_id=actor.workspace_id,
        created_by_id=actor.user_id,
        upload=upload,
        name=names.display_name(name or upload.name),
        collection=_collection(actor.workspace_id, collection_id),
        metadata=metadata or {},
        language=language,
    )


def import_text(
    *,
    workspace_id: UUID,
    created_by_id: UUID,
    name: str,
    text: str,
    content_type: str = filetypes.MARKDOWN,
    collection_id: UUID | None = None,
    metadata: dict[str, Any] | None = None,
) -> Document:
    """Create a document from a text, as if it were uploaded. It stores bytes, so it must not run in a transaction."""
    data = text.encode()
    digest = hashlib.sha256(data).hexdigest()
    with receiving.stored(workspace_id, ContentFile(data), sha256=digest, content_type=content_type) as upload:
        document, _created = _create(
            workspace_id=workspace_id,
            created_by_id=created_by_id,
            upload=upload,
            name=names.display_name(name),
            collection=_collection(workspace_id, collection_id),
            metadata=metadata or {},
            language=None,
        )
    return document


def update_document(*, actor: Actor, document: Document, **changes: Any) -> Document:
    """Change ``name`` or ``metadata``.

    :raises NotFound: it was deleted meanwhile.
    """
    actor.require("documents:write")
    if "name" in changes:
        changes["name"] = names.display_name(changes["name"])
    changes["updated_at"] = timezone.now()
    # Conditional, because the document may have been deleted or purged since it was fetched. Saving it by its id would
    # change a deleted document, and fail with an error of the server if it was purged.
    if not Document.objects.alive().filter(pk=document.pk).update(**changes):
        raise NotFound
    for field, value in changes.items():
        setattr(document, field, value)
    return document


@transaction.atomic
def delete_document(*, actor: Actor, document: Document) -> None:
    """Hide the document at once, cancel its ingestion, and queue its purge."""
    actor.require("documents:write")
    discard_document(document=document)


@transaction.atomic
def discard_document(*, document: Document) -> None:
    """As ``delete_document``, for operators and the system: without a check of permissions."""
    # Of two deletions at the same time, one sets the tombstone; only that one releases the quota.
    if not Document.objects.alive().filter(pk=document.pk).update(deleted_at=timezone.now()):
        return
    lease.cancel(document)
    CollectionDocument.objects.filter(document=document).delete()
    statistics.record_change(workspace_id=document.workspace_id)
    quota.release(workspace_id=document.workspace_id, size=document.blob.size)
    _after_commit(tasks.purge_document.delay, document_id=str(document.pk))
    _after_commit(progress.publish, document.pk)


@transaction.atomic
def reprocess_document(*, actor: Actor, document: Document) -> Document:
    """Read the document again; search uses the earlier ingestion until the new one is ready.

    :raises Conflict: it is being read now.
    """
    actor.require("documents:write")
    return read_again(document=document)


@transaction.atomic
def read_again(*, document: Document) -> Document:
    """As ``reprocess_document``, for operators: without a check of permissions."""
    locked = _locked(document)
    if Ingestion.objects.unfinished().filter(document=locked).exists():
        raise Conflict(_("The document is being processed; cancel that first."))
    _queue(locked)
    return locked


@transaction.atomic
def cancel_processing(*, actor: Actor, document: Document) -> Document:
    """Cancel the document's ingestion.

    :raises Conflict: it is not being read.
    """
    actor.require("documents:write")
    locked = _locked(document)
    if not lease.cancel(locked):
        raise Conflict(_("The document is not being processed."))
    _after_commit(progress.publish, locked.pk)
    _after_commit(tasks.purge_replaced.delay, document_id=str(locked.pk))
    return locked


def create_collection(*, actor: Actor, name: str, language: str | None = None) -> Collection:
    actor.require("documents:write")
    return Collection.objects.create(
        workspace_id=actor.workspace_id, created_by_id=actor.user_id, name=name, language=language
    )


def import_collection(*, workspace_id: UUID, created_by_id: UUID, name: str) -> Collection:
    """Create a collection for the system: without a check of permissions."""
    return Collection.objects.create(workspace_id=workspace_id, created_by_id=created_by_id, name=name)


def update_collection(*, actor: Actor, collection: Collection, **changes: Any) -> Collection:
    """Change ``name`` or ``language``, the default of documents that are uploaded into it afterwards.

    :raises NotFound: it was deleted meanwhile.
    """
    actor.require("documents:write")
    for field, value in changes.items():
        setattr(collection, field, value)
    collection.updated_at = timezone.now()
    values = {field: getattr(collection, field) for field in (*changes, "updated_at")}
    if not Collection.objects.filter(pk=collection.pk).update(**values):
        raise NotFound
    return collection


def delete_collection(*, actor: Actor, collection: Collection) -> None:
    """Delete the collection; its documents stay."""
    actor.require("documents:write")
    collection.delete()


def add_to_collection(*, actor: Actor, collection: Collection, document_id: UUID) -> None:
    """:raises NotFound: there is no such document."""
    actor.require("documents:write")
    document = Document.objects.visible_to(actor).filter(pk=document_id).first()
    if document is None:
        raise NotFound
    _add(collection, document)


def remove_from_collection(*, actor: Actor, collection: Collection, document_id: UUID) -> None:
    """:raises NotFound: the document is not in it."""
    actor.require("documents:write")
    deleted, _rows = CollectionDocument.objects.filter(collection=collection, document_id=document_id).delete()
    if not deleted:
        raise NotFound


@transaction.atomic
def _create(
    *,
    workspace_id: UUID,
    created_by_id: UUID,
    upload: StoredUpload,
    name: str,
    collection: Collection | None,
    metadata: dict[str, Any],
    language: str | None,
) -> tuple[Document, bool]:
    blob = _blob(workspace_id, upload)
    # Its ingestion is fetched by a later statement: joined here, it would be as it was before the wait for the lock.
    document = Document.objects.alive().select_for_update(no_key=True).filter(blob=blob).first()
    created = document is None
    if document is None:
        claimed = language or (collection.language if collection else None)
        document = Document.objects.create(
            workspace_id=workspace_id,
            blob=blob,
            name=name,
            metadata=metadata,
            claimed_language=Language(claimed) if claimed else None,
            created_by_id=created_by_id,
        )
    if document.latest_ingestion is None or document.latest_ingestion.status in RETRIED:
        _queue(document)
    if collection is not None:
        _add(collection, document)
    if created:
        quota.reserve(workspace_id=workspace_id, size=blob.size)
    return document, created


def _blob(workspace_id: UUID, upload: StoredUpload) -> Blob:
    """The workspace's row for these bytes, locked: the new one, unless another upload of the same bytes came first.

    :raises Conflict: the row was removed after the upload was checked, so no bytes were stored for a new one.
    """
    if upload.blob is not None:
        try:
            with transaction.atomic():
                upload.blob.save(force_insert=True)
        except IntegrityError:
            logger.info("the same bytes were uploaded twice at the same time")
    known = Blob.objects.select_for_update(no_key=True)
    blob = known.filter(workspace_id=workspace_id, sha256=upload.sha256, doomed_at=None).first()
    if blob is None:
        raise Conflict(_("The same file is being deleted at this moment; upload it again."))
    return blob


def _locked(document: Document) -> Document:
    """The document, locked. Every transaction locks a document before its ingestions, which prevents deadlocks.

    :raises NotFound: it was deleted.
    """
    locked = Document.objects.alive().select_for_update(no_key=True).filter(pk=document.pk).first()
    if locked is None:
        raise NotFound
    return locked


def _queue(document: Document) -> None:
    ingestion = Ingestion.objects.create(document=document)
    document.latest_ingestion = ingestion
    document.save(update_fields=["latest_ingestion", "updated_at"])
    _after_commit(tasks.ingest_document.delay, ingestion_id=str(ingestion.pk))
    _after_commit(progress.publish, document.pk)


def _after_commit(notify: Callable[..., object], *args: object, **kwargs: object) -> None:
    """Notify after the commit. If the broker does not respond, the operation stands, and the sweep notifies again."""

    def call() -> None:  # Django logs a failure by its name, which a partial does not have.
        notify(*args, **kwargs)

    transaction.on_commit(call, robust=True)


def _collection(workspace_id: UUID, collection_id: UUID | None) -> Collection | None:
    if collection_id is None:
        return None
    collection = Collection.objects.filter(workspace_id=workspace_id, pk=collection_id).first()
    if collection is None:
        raise NotFound
    return collection


def _add(collection: Collection, document: Document) -> None:
    CollectionDocument.objects.bulk_create(
        [CollectionDocument(collection=collection, document=document)], ignore_conflicts=True
    )
