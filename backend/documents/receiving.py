"""Checks an upload and stores its bytes, before the transaction that creates its document."""

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.core.files import File
from django.db import DatabaseError
from django.utils.translation import gettext as _

from backend.accounts.actors import Actor
from backend.documents import filetypes, quota, storage
from backend.documents.models import Blob, Document
from backend.errors import FieldError
from backend.http.ids import new_id

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredUpload:
    """An upload that was checked and whose bytes are in storage.

    :ivar sha256: of its bytes, in hex.
    :ivar blob: an unsaved row, if the bytes were stored for it; None if a document of the workspace already has them.
    """

    sha256: str
    content_type: str
    size: int
    name: str
    blob: Blob | None


@contextmanager
def checked(*, actor: Actor, file: "File[Any]") -> Iterator[StoredUpload]:
    """Check a file and store its bytes. The block creates the document; if it does not, the bytes are removed.

    Storing may wait for a network, so it must not happen in the transaction that creates the document.

    :raises UnsupportedFile: the format is not supported, or differs from what its name claims.
    :raises FieldError: it is empty.
    :raises StorageQuotaExceeded: the upload would exceed it.
    :raises ServiceUnavailable: the storage did not accept it.
    """
    actor.require("documents:write")
    if not file.size:
        raise FieldError("/file", _("The file is empty."), code="empty")
    claimed = getattr(file, "content_type", None) or ""
    workspace = str(actor.workspace_id)
    content_type = filetypes.detect(file, name=file.name or "", claimed=claimed, workspace=workspace)
    sha256 = getattr(file, "sha256", "") or _sha256(file)
    with stored(actor.workspace_id, file, sha256=sha256, content_type=content_type) as upload:
        yield upload


@contextmanager
def stored(workspace_id: UUID, file: "File[Any]", *, sha256: str, content_type: str) -> Iterator[StoredUpload]:
    """Store the bytes under a new key, unless a document of the workspace already has them."""
    size, blob = file.size, None
    if not Document.objects.alive().filter(blob__workspace_id=workspace_id, blob__sha256=sha256).exists():
        quota.check(workspace_id=workspace_id, size=size)
        blob = Blob(pk=new_id(), workspace_id=workspace_id, sha256=sha256, size=size, content_type=content_type)
        file.seek(0)
        storage.save(blob.key, file)
    try:
        yield StoredUpload(
            sha256=sha256, content_type=content_type, size=size, name=getattr(file, "name", None) or "", blob=blob
        )
    finally:
        if blob is not None:
            _remove_unused(blob)


def _remove_unused(blob: Blob) -> None:
    """Remove stored bytes without a row. If the database or the storage fails now, the daily reconciliation does it."""
    try:
        if not Blob.objects.filter(pk=blob.pk).exists():
            storage.delete(blob.key)
    except (DatabaseError, *storage.OUTAGES) as error:
        logger.warning("bytes of an upload may be left over: key=%s error=%s", blob.key, error)


def _sha256(file: "File[Any]") -> str:
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    file.seek(0)
    return digest.hexdigest()
