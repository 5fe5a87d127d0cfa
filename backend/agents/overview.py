"""Figures of all runs for the admin's overview. Every count is bounded by time, through an index."""

from dataclasses import dataclass
from datetime import date, datetime

from django.db.models import Count

from backend.accounts.operators import figures
from backend.agents.models import Run

MAX_FAILURES = 500  # Failed runs that are searched for the last error of each provider.


@dataclass(frozen=True, slots=True)
class FailedRun:
    """A failed run as the overview shows it."""

    run_id: object
    public_id: str
    agent: str
    model: str
    code: str
    detail: str
    provider: str | None
    finished_at: datetime


def count_runs(*, since: datetime) -> dict[str, int]:
    """Runs queued since then by status, over all workspaces."""
    counted = figures.created_since(Run.objects.all(), since).values_list("status").annotate(count=Count("pk"))
    return dict(counted.order_by("status"))


def runs_by_day(*, since: datetime) -> dict[tuple[date, str], int]:
    """Runs queued since then by day in UTC and status, over all workspaces."""
    return figures.by_day(figures.created_since(Run.objects.all(), since), group="status", value=Count("pk"))


def latest_failures(*, limit: int, since: datetime) -> list[FailedRun]:
    """Over all workspaces, the latest first."""
    failed = figures.created_since(Run.objects.filter(status=Run.Status.FAILED), since)
    runs = failed.select_related("agent_version__agent").order_by("-pk")
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
    for failed in latest_failures(limit=MAX_FAILURES, since=since):
        if failed.provider:
            found.setdefault(failed.provider, failed)
    return found


def waiting() -> figures.Waiting:
    """Queued and running runs, through the partial indexes of unfinished runs."""
    return figures.waiting(
        queued=Run.objects.filter(status=Run.Status.QUEUED),
        in_progress=Run.objects.filter(status__in=(Run.Status.RUNNING, Run.Status.CANCELLING)),
    )
