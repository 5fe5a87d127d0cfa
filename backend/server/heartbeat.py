"""Heartbeats of worker and beat, for ``backend.server.healthcheck``: a file that only actual work touches.

A worker sends itself a task through the broker every few seconds, and that task touches the file. A worker that lost
its connection, receives nothing after a reconnect, or whose pool is stuck therefore has no heartbeat. While all threads
of its pool are busy, the worker touches the file itself. Beat touches the file whenever it has sent a task.
"""

import logging
from pathlib import Path
from typing import Any

from celery import bootsteps
from celery.beat import PersistentScheduler
from celery.utils.nodenames import worker_direct
from celery.worker import state
from django.conf import settings

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 5.0
TASK = "backend.server.tasks.heartbeat"


def touch() -> None:
    """Record that this process works."""
    Path(settings.HEARTBEAT_FILE).touch()


class Heartbeat(bootsteps.StartStopStep):
    """A bootstep of the worker; only with HEARTBEAT_FILE."""

    requires = ("celery.worker.components:Timer",)

    def include_if(self, parent: Any) -> bool:
        return bool(settings.HEARTBEAT_FILE)

    def start(self, parent: Any) -> None:
        self._timer = parent.timer.call_repeatedly(INTERVAL_SECONDS, self.beat, args=(parent,))

    def stop(self, parent: Any) -> None:
        self._timer.cancel()

    def beat(self, worker: Any) -> None:
        """Runs in the worker's timer: a failure is logged, and the next heartbeat is sent on time."""
        try:
            if len(state.active_requests) >= worker.concurrency:
                touch()
                return
            queue = worker_direct(worker.hostname)
            with worker.app.connection_for_write() as connection:
                worker.app.send_task(
                    TASK, queue=queue, expires=INTERVAL_SECONDS * 2, retry=False, connection=connection
                )
        except Exception as error:  # The broker or the file failed; the health check will see no heartbeat.
            logger.warning("heartbeat_not_sent kind=%s error=%s", type(error).__name__, error)


class Scheduler(PersistentScheduler):
    """Celery's scheduler with a heartbeat."""

    def apply_async(self, *args: Any, **kwargs: Any) -> Any:
        sent = super().apply_async(*args, **kwargs)
        if settings.HEARTBEAT_FILE:
            touch()
        return sent
