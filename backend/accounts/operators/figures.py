"""Figures of the admin's overview that every app counts alike: rows by day, and work that waits for a worker.

Counts over all workspaces are bounded by time through the index of the primary key, since ids are UUIDv7.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, TypeVar

from django.db.models import Aggregate, Count, Min, Model, QuerySet
from django.db.models.functions import TruncDate

from backend.http.ids import first_id_of

M = TypeVar("M", bound=Model)
SLACK = timedelta(minutes=1)  # An id is made a little before its row's ``created_at``.


def created_since(rows: "QuerySet[M]", moment: datetime) -> "QuerySet[M]":
    """The rows created since then, found through the index of the key."""
    return rows.filter(pk__gte=first_id_of(moment - SLACK), created_at__gte=moment)


def by_day(rows: QuerySet[Any], *, group: str, value: Aggregate) -> dict[tuple[date, str], Any]:
    """The value of each day, in UTC, and each group."""
    days = rows.annotate(day=TruncDate("created_at")).values_list("day", group).annotate(value=value)
    return {(day, name): found for day, name, found in days.order_by()}


@dataclass(frozen=True, slots=True)
class Waiting:
    """Work that no worker has claimed yet, since when the oldest of it waits, and how much is in progress."""

    queued: int
    oldest: datetime | None
    in_progress: int


def waiting(*, queued: QuerySet[Any], in_progress: QuerySet[Any]) -> Waiting:
    found = queued.aggregate(count=Count("pk"), oldest=Min("created_at"))
    return Waiting(queued=found["count"], oldest=found["oldest"], in_progress=in_progress.count())
