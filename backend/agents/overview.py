"""What operators are shown of all runs together. Whatever is counted is bounded by time, through indexes."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db.models import Count, Min
from django.db.models.functions import TruncDate

from backend.agents.models import Run
from backend.agents.models.runs import RunQuerySet
from backend.http.ids import first_id_of

ROWS_LOOKED_AT = 500  # Failed runs among which the last error of each provider is looked for.
SLACK = timedelta(minutes=1)  # Ids are made before their rows.


@dataclass(frozen=True, slots=True)
class FailedRun:
    """A run that failed, as operators look at it."""

    run_id: object
    public_id: str
    agent: str
    model: str
    code: str
    detail: str
    provider: str | None
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """Runs that no worker has taken yet, and since when the first of them waits. ``held``: those at work."""

    queued: int
    oldest: datetime | None
    held: int


def _since(since: datetime) -> RunQuerySet:
    return Run.objects.filter(pk__gte=first_id_of(since - SLACK), created_at__gte=since)


def count_runs(*, since: datetime) -> dict[str, int]:
    """Runs queued since then by status, over all workspaces."""
    counted = _since(since).values_list("status").annotate(count=Count("pk"))
    return dict(counted.order_by("status"))


def runs_by_day(*, since: datetime) -> dict[tuple[date, str], int]:
    """Runs queued since then by day in UTC and status, over all workspaces."""
    days = _since(since).annotate(day=TruncDate("created_at")).values_list("day", "status")
    return {(day, status): count for day, status, count in days.annotate(count=Count("pk")).order_by()}


def latest_failures(*, limit: int, since: datetime) -> list[FailedRun]:
    """Over all workspaces, the latest first."""
    runs = _since(since).filter(status=Run.Status.FAILED).select_related("agent_version__agent").order_by("-pk")
    return [
        FailedRun(
            run_id=run.pk,
            public_id=run.public_id,
            agent=run.agent_version.agent.name,
            model=run.agent_version.model,
            code=str(run.error.get("code", "")),
            detail=str(run.error.get("detail", "")),
            provider=run.error.get("provider"),
            finished_at=run.finished_at,
        )
        for run in runs[:limit]
        if run.error is not None and run.finished_at is not None
    ]


def last_errors(*, since: datetime) -> dict[str, FailedRun]:
    """The last failure that each provider caused, by provider."""
    found: dict[str, FailedRun] = {}
    for failed in latest_failures(limit=ROWS_LOOKED_AT, since=since):
        if failed.provider:
            found.setdefault(failed.provider, failed)
    return found


def waiting() -> Waiting:
    """What waits and what is at work now; both through partial indexes that hold unfinished runs alone."""
    queued = Run.objects.filter(status=Run.Status.QUEUED).aggregate(count=Count("pk"), oldest=Min("created_at"))
    held = Run.objects.filter(status__in=("running", "cancelling")).count()
    return Waiting(queued=queued["count"], oldest=queued["oldest"], held=held)
