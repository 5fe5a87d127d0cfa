"""Everything that changes documents."""

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.core.files import File
from django.core.files.base import ContentFile
from django.db import DatabaseError, IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from backend.accounts.actors import Actor
from backend.documents import filetypes, names, progress, quota, statistics, storage, tasks
from backend.documents.ingestion import lease
from backend.documents.models import Blob, Collection, CollectionDocument, Document, Ingestion, Language
from backend.errors import Conflict, FieldError, NotFound
from backend.http.ids import new_id

logger = logging.getLogger(__name__)

READ_AGAIN = (Ingestion.Status.FAILED, Ingestion.Status.CANCELLED)  # When the same bytes are uploaded once more.


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A file that was checked and whose bytes are in storage.

    :ivar sha256: of its bytes, in hex.
    :ivar stored: the row to be, if the bytes were stored for it; none if a document of the workspace has them.
    """

    sha256: str
    content_type: str
    size: int
    name: str
    stored: Blob | None


@contextmanager
def received(*, actor: Actor, file: "File[Any]") -> Iterator[Received]:
    """Check a file and store its bytes for a document that the block makes of it; without one, they are removed.

    Storing may take as long as a network does, so this begins before the transaction that makes the document.

    :raises UnsupportedFile: it cannot be read, or is not what its name says.
    :raises FieldError: it is empty.
    :raises StorageQuotaExceeded: the workspace has no room for it.
    :raises ServiceUnavailable: the storage does not take it.
    """
    actor.require("documents:write")
    if not file.size:
        raise FieldError("/file", _("The file is empty."), code="empty")
    claimed = getattr(file, "content_type", None) or ""
    workspace = str(actor.workspace_id)
    content_type = filetypes.detect(file, name=file.name or "", claimed=claimed, workspace=workspace)
    sha256 = getattr(file, "sha256", "") or _sha256(file)
    with _stored(actor.workspace_id, file, sha256=sha256, content_type=content_type) as upload:
        yield upload


def create_document(
    *,
    actor: Actor,
    upload: Received,
    name: str | None = None,
    collection_id: UUID | None = None,
    metadata: dict[str, Any] | None = None,
    language: str | None = None,
) -> tuple[Document, bool]:
    """Make a document of a received file and queue its reading; whether the document is new.

    The same bytes in the same workspace are the same document: it is returned as it is, put into the collection, and
    read again only if that failed or was cancelled before.

    :raises NotFound: there is no such collection.
    :raises StorageQuotaExceeded: the workspace has no room for it.
    :raises Conflict: the document of the same bytes was deleted since they were received.
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
    """Make a document of a text, as if it had been uploaded. Not within a transaction: it stores bytes."""
    data = text.encode()
    digest = hashlib.sha256(data).hexdigest()
    with _stored(workspace_id, ContentFile(data), sha256=digest, content_type=content_type) as upload:
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
    """Change ``name`` or ``metadata``."""
    actor.require("documents:write")
    if "name" in changes:
        changes["name"] = names.display_name(changes["name"])
    for field, value in changes.items():
        setattr(document, field, value)
    document.save(update_fields=[*changes, "updated_at"])
    return document


@transaction.atomic
def delete_document(*, actor: Actor, document: Document) -> None:
    """Hide the document at once, stop reading it, and have the rest removed soon."""
    actor.require("documents:write")
    discard_document(document=document)


@transaction.atomic
def discard_document(*, document: Document) -> None:
    """As ``delete_document``, for those who may do everything."""
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
    """Read the bytes again; what search finds stays until the new reading is ready.

    :raises Conflict: it is being read now.
    """
    actor.require("documents:write")
    return read_again(document=document)


@transaction.atomic
def read_again(*, document: Document) -> Document:
    """As ``reprocess_document``, for those who may do everything."""
    locked = _locked(document)
    if Ingestion.objects.unfinished().filter(document=locked).exists():
        raise Conflict(_("The document is being processed; cancel that first."))
    _queue(locked)
    return locked


@transaction.atomic
def cancel_processing(*, actor: Actor, document: Document) -> Document:
    """Stop reading the document.

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
    """Make a collection on behalf of the system."""
    return Collection.objects.create(workspace_id=workspace_id, created_by_id=created_by_id, name=name)


def update_collection(*, actor: Actor, collection: Collection, **changes: Any) -> Collection:
    """Change ``name`` or ``language``; the language is that of documents uploaded into it from now on.

    :raises NotFound: somebody deleted it meanwhile.
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
    """Its documents stay."""
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


@contextmanager
def _stored(workspace_id: UUID, file: "File[Any]", *, sha256: str, content_type: str) -> Iterator[Received]:
    """Put the bytes into storage under a name of their own, unless a document has them already."""
    size, stored = file.size, None
    if not Document.objects.alive().filter(blob__workspace_id=workspace_id, blob__sha256=sha256).exists():
        quota.check(workspace_id=workspace_id, size=size)
        stored = Blob(pk=new_id(), workspace_id=workspace_id, sha256=sha256, size=size, content_type=content_type)
        file.seek(0)
        storage.save(stored.key, file)
    try:
        yield Received(
            sha256=sha256, content_type=content_type, size=size, name=getattr(file, "name", None) or "", stored=stored
        )
    finally:
        if stored is not None:
            _remove_unused(stored)


def _remove_unused(stored: Blob) -> None:
    """Remove stored bytes that no row names. Where that cannot be known now, the daily search for orphans does it."""
    try:
        if not Blob.objects.filter(pk=stored.pk).exists():
            storage.delete(stored.key)
    except (DatabaseError, *storage.OUTAGES) as error:
        logger.warning("bytes of an upload may be left over: key=%s error=%s", stored.key, error)


@transaction.atomic
def _create(
    *,
    workspace_id: UUID,
    created_by_id: UUID,
    upload: Received,
    name: str,
    collection: Collection | None,
    metadata: dict[str, Any],
    language: str | None,
) -> tuple[Document, bool]:
    blob = _blob(workspace_id, upload)
    # Its ingestion is fetched after the lock: joined, it would be as it was before the wait for the lock.
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
    if document.latest_ingestion is None or document.latest_ingestion.status in READ_AGAIN:
        _queue(document)
    if collection is not None:
        _add(collection, document)
    if created:
        quota.reserve(workspace_id=workspace_id, size=blob.size)
    return document, created


def _blob(workspace_id: UUID, upload: Received) -> Blob:
    """The workspace's row for these bytes, locked: the one to be, unless another upload or document was earlier.

    :raises Conflict: there is none any more, and no bytes were stored for a new one.
    """
    if upload.stored is not None:
        try:
            with transaction.atomic():
                upload.stored.save(force_insert=True)
        except IntegrityError:
            logger.info("the same bytes were uploaded twice at once")
    known = Blob.objects.select_for_update(no_key=True)
    blob = known.filter(workspace_id=workspace_id, sha256=upload.sha256, doomed_at=None).first()
    if blob is None:
        raise Conflict(_("The same file is being deleted at this moment; upload it again."))
    return blob


def _locked(document: Document) -> Document:
    """The document, locked: before its ingestions, as everywhere, so that no two transactions wait for each other.

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
    """Notify once the transaction has committed. A broker that does not answer undoes nothing: the sweep repeats it."""

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


def _sha256(file: "File[Any]") -> str:
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    file.seek(0)
    return digest.hexdigest()
