"""Totals over all workspaces, for operators."""

from datetime import date, datetime

from django.db.models import Count, Value
from django.db.models.functions import Coalesce

from backend.accounts.operators import figures
from backend.documents.models import Document, Ingestion


def count_documents() -> dict[str, int]:
    """Documents by status, over all workspaces."""
    counted = Document.objects.alive().values_list("latest_ingestion__status").annotate(count=Count("pk"))
    return {status or "queued": count for status, count in counted.order_by("latest_ingestion__status")}


def documents_by_day(*, since: datetime) -> dict[tuple[date, str], int]:
    """Documents created since then and not deleted, by day in UTC and status, over all workspaces."""
    uploaded = figures.created_since(Document.objects.alive(), since)
    with_status = uploaded.annotate(status_now=Coalesce("latest_ingestion__status", Value("queued")))
    return figures.by_day(with_status, group="status_now", value=Count("pk"))


def waiting() -> figures.Waiting:
    """Queued and running ingestions. The partial index ``ingestion_unfinished`` serves both queries."""
    unfinished = Ingestion.objects.unfinished()
    return figures.waiting(
        queued=unfinished.filter(status=Ingestion.Status.QUEUED),
        in_progress=unfinished.exclude(status=Ingestion.Status.QUEUED),
    )
