"""Doorbells and sweeps. The work itself is claimed from PostgreSQL by whoever answers.

Messages are acknowledged at once: a lost one is rung again by the sweep, and a worker that holds unacknowledged ones
does not survive the loss of its connection to Redis (kombu fails to restore them).
"""

from uuid import UUID

from celery import shared_task
from django.db import transaction

from backend.agents import reaper, runner


@shared_task(ignore_result=True, acks_late=False)
def execute_run(*, run_id: str) -> None:
    """Carry a run to its end, then ring for the one that waited behind it."""
    promoted = runner.execute(run_id=UUID(run_id))
    if promoted is not None:
        execute_run.delay(run_id=str(promoted))


def ring(run_id: UUID) -> None:
    """Tell the workers of a queued run once the transaction that queued it has committed."""
    transaction.on_commit(lambda: execute_run.delay(run_id=str(run_id)), robust=True)  # The reaper rings again.


@shared_task(ignore_result=True, acks_late=False)
def reap_runs() -> None:
    """Every few seconds: no run stays "running" for ever, no queued one is forgotten."""
    for run_id in reaper.reap():
        execute_run.delay(run_id=str(run_id))


@shared_task(ignore_result=True, acks_late=False)
def purge_conversations() -> None:
    reaper.purge_deleted()
