"""What operators are shown of all documents together."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db.models import Count, Min, Value
from django.db.models.functions import Coalesce, TruncDate

from backend.documents.models import Document, Ingestion
from backend.http.ids import first_id_of

SLACK = timedelta(minutes=1)  # Ids are made before their rows.


@dataclass(frozen=True, slots=True)
class Waiting:
    """Documents that are not read yet: how many wait, since when the first of them, how many are being read."""

    queued: int
    oldest: datetime | None
    held: int


def count_documents() -> dict[str, int]:
    """Documents by status, over all workspaces."""
    counted = Document.objects.alive().values_list("latest_ingestion__status").annotate(count=Count("pk"))
    return {status or "queued": count for status, count in counted.order_by("latest_ingestion__status")}


def documents_by_day(*, since: datetime) -> dict[tuple[date, str], int]:
    """Documents uploaded since then that are still there, by day in UTC and status, over all workspaces."""
    found = Document.objects.alive().filter(pk__gte=first_id_of(since - SLACK), created_at__gte=since)
    status = Coalesce("latest_ingestion__status", Value("queued"))
    days = found.annotate(day=TruncDate("created_at"), status_now=status).values_list("day", "status_now")
    return {(day, status): count for day, status, count in days.annotate(count=Count("pk")).order_by()}


def waiting() -> Waiting:
    """Through the partial index that holds unfinished readings alone."""
    unfinished = Ingestion.objects.unfinished()
    queued = unfinished.filter(status=Ingestion.Status.QUEUED).aggregate(count=Count("pk"), oldest=Min("created_at"))
    held = unfinished.exclude(status=Ingestion.Status.QUEUED).count()
    return Waiting(queued=queued["count"], oldest=queued["oldest"], held=held)
