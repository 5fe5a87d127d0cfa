"""Who reads a document: one worker at a time, for as long as it renews its lease.

PostgreSQL decides, by conditional updates alone. A worker that lost its lease, or whose document was cancelled or
deleted, learns it at its next write, which then writes nothing.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Case, Exists, F, OuterRef, Q, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from backend.documents.errors import LeaseLost
from backend.documents.models import Document, Ingestion

MAX_ATTEMPTS = 3  # Claims without any progress in between.
RENOTIFY_AFTER = timedelta(minutes=1)  # A queued ingestion whose task was lost, or whose workers are all busy.
RETRY_DELAY = timedelta(seconds=10)  # After an unexpected error.
WORKER_LOST = "The document was begun several times, and each time the worker that read it was lost."


def claim(ingestion_id: UUID) -> Ingestion | None:
    """Take the ingestion if it is unfinished and nobody holds it; none otherwise.

    One that was claimed too often without progress fails instead: it may be what kills the workers.
    """
    now = timezone.now()
    # Another transaction may hold the row's lock to cancel it. PostgreSQL then looks at the row again after the wait,
    # but only at conditions on its own columns. A condition across a join becomes ``id IN (SELECT …)``, of which the
    # answer from before the wait stays: the claim would bring a cancelled ingestion back. Hence EXISTS.
    alive = Document.objects.alive().filter(pk=OuterRef("document_id"))
    free = Ingestion.objects.unfinished().filter(
        Q(lease_until=None) | Q(lease_until__lt=now), Exists(alive), pk=ingestion_id
    )
    exhausted = free.filter(attempts__gte=MAX_ATTEMPTS).update(
        status=Ingestion.Status.FAILED,
        error_code="worker_lost",
        error_detail=WORKER_LOST,
        error_retryable=True,
        finished_at=now,
        lease_until=None,
        epoch=F("epoch") + 1,
    )
    claimed = not exhausted and free.update(
        epoch=F("epoch") + 1,
        attempts=F("attempts") + 1,
        lease_until=lease_end(),
        started_at=Coalesce(F("started_at"), now),
        status=Case(When(pages_done=0, then=Value(Ingestion.Status.SCANNING)), default=F("status")),
    )
    if not claimed:
        return None
    return Ingestion.objects.select_related("document__blob", "document").get(pk=ingestion_id)


def write(ingestion: Ingestion, **values: Any) -> None:
    """Change the ingestion and renew the lease.

    :raises LeaseLost: it is not ours any more; nothing was changed.
    """
    held = Ingestion.objects.held(ingestion_id=ingestion.pk, epoch=ingestion.epoch)
    spent = {"seconds": ingestion.seconds, "cpu_seconds": ingestion.cpu_seconds}
    if not held.update(**{"lease_until": lease_end(), **spent, **values}):
        raise LeaseLost
    for name, value in values.items():
        setattr(ingestion, name, value)


def release(ingestion: Ingestion) -> None:
    """Let another worker try, after a pause: what interrupted this one may not be over yet."""
    held = Ingestion.objects.held(ingestion_id=ingestion.pk, epoch=ingestion.epoch)
    held.update(lease_until=timezone.now() + RETRY_DELAY, seconds=ingestion.seconds, cpu_seconds=ingestion.cpu_seconds)


def end_turn(ingestion: Ingestion) -> None:
    """Put the ingestion back into the queue: another one is due first.

    :raises LeaseLost: it is not ours any more; nothing was changed.
    """
    write(ingestion, lease_until=None, published_at=timezone.now())


def overdue() -> list[UUID]:
    """Ingestions that nobody works on though somebody should; counted as called from now on."""
    now = timezone.now()
    forgotten = Ingestion.objects.unfinished().filter(
        Q(lease_until__lt=now) | Q(lease_until=None, published_at__lt=now - RENOTIFY_AFTER),
        document__deleted_at=None,
    )
    ids = list(forgotten.order_by("published_at").values_list("pk", flat=True)[:100])
    Ingestion.objects.filter(pk__in=ids).update(published_at=now)
    return ids


def cancel(document: Document) -> bool:
    """End the document's unfinished ingestion; whether there was one."""
    cancelled = (
        Ingestion.objects.unfinished()
        .filter(document=document)
        .update(status=Ingestion.Status.CANCELLED, finished_at=timezone.now(), lease_until=None, epoch=F("epoch") + 1)
    )
    return bool(cancelled)


def lease_end() -> datetime:
    """Until when a lease runs that is claimed or renewed now."""
    return timezone.now() + timedelta(seconds=settings.INGESTION_LEASE_SECONDS)
