"""The lease of an ingestion: one worker at a time holds it, for as long as it renews it.

Every change is one conditional UPDATE in PostgreSQL. Each claim, cancellation and deletion increments ``epoch``, and
every write of a worker is conditional on the epoch of its claim (``Ingestion.objects.held``). The case: a worker stops
for longer than its lease (a paused machine, a slow storage), another one claims the ingestion and continues from the
cursor, then the first one wakes up. The time of its lease alone would not stop it: it could renew the lease and insert
the same pages and chunks again. With its old epoch its next write matches no row, changes nothing and raises
``LeaseLost``.
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

MAX_ATTEMPTS = 3  # Claims since the last committed batch.
RENOTIFY_AFTER = timedelta(minutes=1)  # For a queued ingestion whose task was lost, or whose workers were all busy.
RETRY_DELAY = timedelta(seconds=10)  # After an unexpected error of a worker.
WORKER_LOST = "The document was begun several times, and each time the worker that read it was lost."


def claim(ingestion_id: UUID) -> Ingestion | None:
    """Claim the ingestion if it is unfinished and no worker holds it; None otherwise.

    One that was claimed ``MAX_ATTEMPTS`` times without progress fails instead: it may be what kills the workers.
    """
    now = timezone.now()
    # Another transaction may hold the row's lock to cancel the ingestion. After the wait, PostgreSQL evaluates the
    # WHERE clause again on the new version of the row. But Django turns a condition across a join into ``id IN (SELECT
    # …)`` and moves every condition into the subquery, whose result from before the wait stays: the claim would revive
    # a cancelled ingestion. With EXISTS, the conditions on the row itself stay outside of the subquery and are
    # evaluated again.
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

    :raises LeaseLost: another worker claimed it, or it was cancelled; nothing was changed.
    """
    held = Ingestion.objects.held(ingestion_id=ingestion.pk, epoch=ingestion.epoch)
    spent = {"seconds": ingestion.seconds, "cpu_seconds": ingestion.cpu_seconds}
    if not held.update(**{"lease_until": lease_end(), **spent, **values}):
        raise LeaseLost
    for name, value in values.items():
        setattr(ingestion, name, value)


def release(ingestion: Ingestion) -> None:
    """End the claim after an error; another worker may claim it after ``RETRY_DELAY``, when the cause may be gone."""
    held = Ingestion.objects.held(ingestion_id=ingestion.pk, epoch=ingestion.epoch)
    held.update(lease_until=timezone.now() + RETRY_DELAY, seconds=ingestion.seconds, cpu_seconds=ingestion.cpu_seconds)


def end_turn(ingestion: Ingestion) -> None:
    """Return the ingestion to the queue, because another one comes first.

    :raises LeaseLost: another worker claimed it, or it was cancelled; nothing was changed.
    """
    write(ingestion, lease_until=None, published_at=timezone.now())


def overdue() -> list[UUID]:
    """Unfinished ingestions that no worker reads: their lease expired or their notification was lost. Marks them
    notified.
    """
    now = timezone.now()
    unattended = Ingestion.objects.unfinished().filter(
        Q(lease_until__lt=now) | Q(lease_until=None, published_at__lt=now - RENOTIFY_AFTER),
        document__deleted_at=None,
    )
    ids = list(unattended.order_by("published_at").values_list("pk", flat=True)[:100])
    Ingestion.objects.filter(pk__in=ids).update(published_at=now)
    return ids


def cancel(document: Document) -> bool:
    """Cancel the document's unfinished ingestion and return whether there was one."""
    cancelled = (
        Ingestion.objects.unfinished()
        .filter(document=document)
        .update(status=Ingestion.Status.CANCELLED, finished_at=timezone.now(), lease_until=None, epoch=F("epoch") + 1)
    )
    return bool(cancelled)


def lease_end() -> datetime:
    """The end of a lease that is claimed or renewed now."""
    return timezone.now() + timedelta(seconds=settings.INGESTION_LEASE_SECONDS)
