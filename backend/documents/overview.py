"""Totals over all workspaces, for operators."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db.models import Count, Min, Value
from django.db.models.functions import Coalesce, TruncDate

from backend.documents.models import Document, Ingestion
from backend.http.ids import first_id_of

SLACK = timedelta(minutes=1)  # An id's time may be earlier than its row's ``created_at``.


@dataclass(frozen=True, slots=True)
class Waiting:
    """Documents that are not read yet.

    :ivar oldest: when the first of the queued ones was created.
    :ivar held: how many are being read.
    """

    queued: int
    oldest: datetime | None
    held: int


def count_documents() -> dict[str, int]:
    """Documents by status, over all workspaces."""
    counted = Document.objects.alive().values_list("latest_ingestion__status").annotate(count=Count("pk"))
    return {status or "queued": count for status, count in counted.order_by("latest_ingestion__status")}


def documents_by_day(*, since: datetime) -> dict[tuple[date, str], int]:
    """Documents created since then and not deleted, by day in UTC and status, over all workspaces."""
    found = Document.objects.alive().filter(pk__gte=first_id_of(since - SLACK), created_at__gte=since)
    status = Coalesce("latest_ingestion__status", Value("queued"))
    days = found.annotate(day=TruncDate("created_at"), status_now=status).values_list("day", "status_now")
    return {(day, status): count for day, status, count in days.annotate(count=Count("pk")).order_by()}


def waiting() -> Waiting:
    """Queued and running ingestions. The partial index ``ingestion_unfinished`` serves both queries."""
    unfinished = Ingestion.objects.unfinished()
    queued = unfinished.filter(status=Ingestion.Status.QUEUED).aggregate(count=Count("pk"), oldest=Min("created_at"))
    held = unfinished.exclude(status=Ingestion.Status.QUEUED).count()
    return Waiting(queued=queued["count"], oldest=queued["oldest"], held=held)
