"""Compares the storage with the database in both directions, one of 256 folders at a time.

Objects without a row are removed once they are old: bytes of an upload whose process was killed, a page image that was
rendered while its document was purged. Rows without an object are logged: their bytes cannot be restored.

Keys are distributed over the folders by the end of their id. One call compares one folder; a cycle takes a day.
"""

import logging
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import CharField, QuerySet
from django.db.models.functions import Cast, Right
from django.utils import timezone

from backend.documents import storage
from backend.documents.models import Blob

logger = logging.getLogger(__name__)

FOLDERS = 256
# Younger objects may belong to an upload in progress: bytes are stored before their row is created.
MIN_AGE = timedelta(hours=24)
LISTING_SIZE = 1_000  # Objects of one listing.
MAX_LISTINGS = 10  # Listings of one call.


def reconcile(*, folder: int, after: str = "") -> str:
    """Compare one folder.

    :param after: the key to continue from, as an earlier call returned it.
    :returns: the key to continue from, if the folder has more objects than one call compares; empty at the end.
    """
    name = f"{folder:02x}"
    if not after:
        _remove_unused_rows(name)
    pages = MAX_LISTINGS
    for kind in ("blobs", "images"):
        whole = f"{kind}/{name}/"
        after = max(after, whole)
        while after.startswith(whole):  # An earlier call may have ended in the next kind.
            if not pages:
                return after
            pages -= 1
            listed = storage.list_objects(whole[:-1], after=after, limit=LISTING_SIZE)
            _remove_orphans(listed)
            if kind == "blobs":
                _report_missing(name, after=after, listed=listed)
            if len(listed) < LISTING_SIZE:
                break
            after = listed[-1].key
    return ""


def _remove_orphans(listed: list[storage.Stored]) -> None:
    ids = {stored.key: _id_of(stored.key) for stored in listed}
    wanted = [blob_id for blob_id in ids.values() if blob_id is not None]
    known = set(Blob.objects.filter(pk__in=wanted).values_list("pk", flat=True))
    old = timezone.now() - MIN_AGE
    for stored in listed:
        blob_id = ids[stored.key]
        if blob_id is not None and blob_id not in known and stored.modified_at < old:
            logger.warning("removing an object that no row names: %s", stored.key)
            storage.delete(stored.key)


def _report_missing(folder: str, *, after: str, listed: list[storage.Stored]) -> None:
    rows = _rows(folder).filter(doomed_at=None)
    if (first := _id_of(after)) is not None:
        rows = rows.filter(pk__gt=first)
    if len(listed) == LISTING_SIZE and (last := _id_of(listed[-1].key)) is not None:
        rows = rows.filter(pk__lte=last)
    there = {stored.key for stored in listed}
    for blob in rows.only("pk").iterator():
        if blob.key not in there and not storage.exists(blob.key):
            logger.error("the bytes of a document are missing: workspace=%s key=%s", blob.workspace_id, blob.key)


def _remove_unused_rows(folder: str) -> None:
    """Remove rows without documents, and their objects."""
    for blob in _rows(folder).filter(documents=None):
        with transaction.atomic():
            unused = Blob.objects.select_for_update(no_key=True).filter(pk=blob.pk)
            if not unused.exists() or blob.documents.exists():
                continue
            unused.update(doomed_at=timezone.now())
        storage.delete_folder(blob.images_folder)
        storage.delete(blob.key)
        Blob.objects.filter(pk=blob.pk, documents=None).exclude(doomed_at=None).delete()


def _rows(folder: str) -> "QuerySet[Blob]":
    rows = Blob.objects.annotate(folder=Right(Cast("pk", CharField()), 2))
    return rows.filter(folder=folder, created_at__lt=timezone.now() - MIN_AGE)


def _id_of(key: str) -> UUID | None:
    """The id of the blob that an object belongs to; None if the key has another form."""
    parts = key.split("/")
    try:
        return UUID(hex=parts[2])
    except (IndexError, ValueError):
        return None
