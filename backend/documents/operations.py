"""Everything that changes documents."""

import hashlib
import logging
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from django.core.files import File
from django.core.files.base import ContentFile
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from backend.accounts.actors import Actor
from backend.documents import filetypes, names, progress, statistics, storage, tasks
from backend.documents.ingestion import lease
from backend.documents.models import Blob, Collection, CollectionDocument, Document, Ingestion, Language
from backend.errors import Conflict, FieldError, NotFound
from backend.http.ids import new_id

logger = logging.getLogger(__name__)

READ_AGAIN = (Ingestion.Status.FAILED, Ingestion.Status.CANCELLED)  # When the same bytes are uploaded once more.


@dataclass(frozen=True, slots=True, kw_only=True)
class _Upload:
    """A file that was checked.

    :ivar sha256: of its bytes, in hex.
    """

    file: "File[Any]"
    sha256: str
    content_type: str


def create_document(
    *,
    actor: Actor,
    file: "File[Any]",
    name: str | None = None,
    collection_id: UUID | None = None,
    metadata: dict[str, Any] | None = None,
    language: str | None = None,
) -> tuple[Document, bool]:
    """Store a file and queue its reading; whether the document is new.

    The same bytes in the same workspace are the same document: it is returned as it is, put into the collection, and
    read again only if that failed or was cancelled before.

    :raises UnsupportedFile: it cannot be read, or is not what its name says.
    :raises FieldError: it is empty.
    :raises NotFound: there is no such collection.
    :raises ServiceUnavailable: the storage does not take it.
    """
    actor.require("documents:write")
    collection = _collection(actor.workspace_id, collection_id)
    if not file.size:
        raise FieldError("/file", _("The file is empty."), code="empty")
    claimed = getattr(file, "content_type", None) or ""
    content_type = filetypes.detect(file, name=file.name or "", claimed=claimed)
    upload = _Upload(file=file, sha256=getattr(file, "sha256", "") or _sha256(file), content_type=content_type)
    return _create_or_find(
        workspace_id=actor.workspace_id,
        created_by_id=actor.user_id,
        upload=upload,
        name=names.display_name(name or file.name),
        collection=collection,
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
) -> Document:
    """Make a document of a text, as if it had been uploaded."""
    data = text.encode()
    document, _created = _create_or_find(
        workspace_id=workspace_id,
        created_by_id=created_by_id,
        upload=_Upload(file=ContentFile(data), sha256=hashlib.sha256(data).hexdigest(), content_type=content_type),
        name=names.display_name(name),
        collection=_collection(workspace_id, collection_id),
        metadata={},
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
    statistics.note_change(workspace_id=document.workspace_id)
    transaction.on_commit(partial(tasks.purge_document.delay, document_id=str(document.pk)))
    transaction.on_commit(partial(progress.announce, document.pk))


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
    locked = Document.objects.alive().select_for_update().filter(pk=document.pk).first()
    if locked is None:
        raise NotFound
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
    if not lease.cancel(document):
        raise Conflict(_("The document is not being processed."))
    transaction.on_commit(partial(progress.announce, document.pk))
    transaction.on_commit(partial(tasks.purge_replaced.delay, document_id=str(document.pk)))
    document.refresh_from_db()
    return document


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


class _TwinPurged(Conflict):
    """The same file is being deleted at this moment; upload it again."""


def _create_or_find(**given: Any) -> tuple[Document, bool]:
    """The document of these bytes and whether it is new. ``given`` is that of ``_create``."""
    try:
        return _create(**given)
    except _TwinPurged:
        return _create(**given)  # Now they are known to be gone, so these are stored.


def _create(
    *,
    workspace_id: UUID,
    created_by_id: UUID,
    upload: _Upload,
    name: str,
    collection: Collection | None,
    metadata: dict[str, Any],
    language: str | None,
) -> tuple[Document, bool]:
    stored = _store(workspace_id, upload)
    try:
        with transaction.atomic():
            blob = _blob(workspace_id, upload, stored)
            document = Document.objects.alive().filter(blob=blob).select_related("latest_ingestion").first()
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
    except BaseException:
        if stored is not None:
            storage.delete(stored.key)
        raise
    if stored is not None and blob.pk != stored.pk:
        storage.delete(stored.key)
    return document, created


def _store(workspace_id: UUID, upload: _Upload) -> Blob | None:
    """Put the bytes into storage under a name of their own; none if the workspace has them already."""
    if Blob.objects.filter(workspace_id=workspace_id, sha256=upload.sha256, doomed_at=None).exists():
        return None
    blob = Blob(
        pk=new_id(),
        workspace_id=workspace_id,
        sha256=upload.sha256,
        size=upload.file.size,
        content_type=upload.content_type,
    )
    upload.file.seek(0)
    storage.save(blob.key, upload.file)
    return blob


def _blob(workspace_id: UUID, upload: _Upload, stored: Blob | None) -> Blob:
    """The workspace's row for these bytes, locked; ``stored`` unless somebody else was faster."""
    if stored is not None:
        try:
            with transaction.atomic():
                stored.save(force_insert=True)
        except IntegrityError:
            logger.info("the same bytes were uploaded twice at once")
    mine = Blob.objects.select_for_update().filter(workspace_id=workspace_id, sha256=upload.sha256, doomed_at=None)
    blob = mine.first()
    if blob is None:
        raise _TwinPurged
    return blob


def _queue(document: Document) -> None:
    ingestion = Ingestion.objects.create(document=document)
    document.latest_ingestion = ingestion
    document.save(update_fields=["latest_ingestion", "updated_at"])
    transaction.on_commit(partial(tasks.ingest_document.delay, ingestion_id=str(ingestion.pk)))
    transaction.on_commit(partial(progress.announce, document.pk))


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
