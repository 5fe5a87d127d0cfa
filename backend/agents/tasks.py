"""Notifications and sweeps. A worker that is notified claims from PostgreSQL the run that is next.

Messages are acknowledged at once: a lost one is sent again by the sweep, and a worker that holds unacknowledged ones
does not survive the loss of its connection to Redis (kombu fails to restore them).
"""

import logging
from collections.abc import Iterable
from uuid import UUID

from celery import shared_task
from django.db import transaction

from backend.agents.runs import recovery, runner

logger = logging.getLogger(__name__)


@shared_task(ignore_result=True, acks_late=False)
def execute_run(*, run_id: str) -> None:
    """Carry a run to its end, then notify a worker of the next one of its workspace."""
    waiting = runner.execute(run_id=UUID(run_id))
    if waiting is not None:
        notify([waiting])


def notify(run_ids: Iterable[UUID]) -> None:
    """Send a notification for each of these runs; what the broker does not take, the sweep sends again."""
    for run_id in run_ids:
        try:
            execute_run.delay(run_id=str(run_id))
        except Exception as error:
            logger.warning("run_not_notified run=%s error=%r", run_id, error)


def notify_on_commit(run_id: UUID) -> None:
    """Notify a worker of a queued run once the transaction that queued it has committed."""
    transaction.on_commit(lambda: execute_run.delay(run_id=str(run_id)), robust=True)  # The sweep repeats a lost one.


@shared_task(ignore_result=True, acks_late=False)
def reap_runs() -> None:
    """Recover the runs of dead workers and those whose notification was lost; runs every few seconds."""
    notify(recovery.sweep())


@shared_task(ignore_result=True, acks_late=False)
def purge_conversations() -> None:
    recovery.purge_deleted()
