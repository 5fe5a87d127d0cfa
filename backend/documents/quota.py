"""The storage quota of a workspace: the bytes and the number of its documents, counted in its row of ``Usage``.

The count changes in the transaction that creates or hides the document. ``reserve`` checks the limit and adds in one
conditional UPDATE: of two uploads that fit one by one and not together, the second waits for the first one's lock, sees
its count, and is refused. A check before the UPDATE would let both pass. ``release`` runs with the tombstone, so quota
is free at once and not when the bytes are removed. Each document is released once, because only the UPDATE that sets
the tombstone (``operations.discard_document``) leads here.
"""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import F, Value
from django.db.models.functions import Greatest

from backend.documents.errors import StorageQuotaExceeded
from backend.documents.models import Usage


def usage(*, workspace_id: UUID) -> dict[str, int]:
    """The workspace's usage and its limits."""
    row = Usage.objects.filter(workspace_id=workspace_id).first() or Usage()
    return {
        "bytes": row.bytes,
        "bytes_limit": settings.WORKSPACE_STORAGE_BYTES,
        "documents": row.documents,
        "documents_limit": settings.WORKSPACE_DOCUMENTS,
    }


def check(*, workspace_id: UUID, size: int) -> None:
    """Check before bytes are stored; ``reserve`` decides.

    :raises StorageQuotaExceeded: a document of ``size`` bytes does not fit.
    """
    now = usage(workspace_id=workspace_id)
    if now["bytes"] + size > now["bytes_limit"] or now["documents"] >= now["documents_limit"]:
        raise _refusal(now)


def reserve(*, workspace_id: UUID, size: int) -> None:
    """Count a new document, in the transaction that creates it. ``Usage`` is the last row that a transaction locks.

    :raises StorageQuotaExceeded: it does not fit; the transaction must end without it.
    """
    Usage.objects.bulk_create([Usage(workspace_id=workspace_id)], ignore_conflicts=True)
    fits = Usage.objects.filter(
        workspace_id=workspace_id,
        bytes__lte=settings.WORKSPACE_STORAGE_BYTES - size,
        documents__lt=settings.WORKSPACE_DOCUMENTS,
    )
    if not fits.update(bytes=F("bytes") + size, documents=F("documents") + 1):
        raise _refusal(usage(workspace_id=workspace_id))


def release(*, workspace_id: UUID, size: int) -> None:
    """Subtract a document, in the transaction that hides it. ``Usage`` is the last row that a transaction locks."""
    Usage.objects.filter(workspace_id=workspace_id).update(
        bytes=Greatest(F("bytes") - size, Value(0)), documents=Greatest(F("documents") - 1, Value(0))
    )


def _refusal(now: dict[str, int]) -> StorageQuotaExceeded:
    extra: dict[str, Any] = {"usage": now}
    return StorageQuotaExceeded(**extra)
