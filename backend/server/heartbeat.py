"""Heartbeats of worker and beat, for ``backend.server.healthcheck``: a file touched only by what they are there for.

A worker sends itself a task through the broker every few seconds, and that task touches the file: a worker that lost
its connection, went deaf after a reconnect, or whose pool is stuck stays silent. While its pool is full of work, being
busy counts. Beat touches the file whenever it has sent a task.
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

SECONDS = 5.0
TASK = "backend.server.tasks.beat_heart"


def touch() -> None:
    """Say that this process works."""
    Path(settings.HEARTBEAT_FILE).touch()


class Heartbeat(bootsteps.StartStopStep):
    """A step of the worker; only with HEARTBEAT_FILE."""

    requires = ("celery.worker.components:Timer",)

    def include_if(self, parent: Any) -> bool:
        return bool(settings.HEARTBEAT_FILE)

    def start(self, parent: Any) -> None:
        self._timer = parent.timer.call_repeatedly(SECONDS, self.beat, args=(parent,))

    def stop(self, parent: Any) -> None:
        self._timer.cancel()

    def beat(self, worker: Any) -> None:
        """In the worker's timer: whatever goes wrong, the next time comes."""
        try:
            if len(state.active_requests) >= worker.concurrency:
                touch()
                return
            queue = worker_direct(worker.hostname)
            with worker.app.connection_for_write() as connection:
                worker.app.send_task(TASK, queue=queue, expires=SECONDS * 2, retry=False, connection=connection)
        except Exception as error:  # The broker, or the file: the silence tells.
            logger.warning("no heartbeat: %s: %s", type(error).__name__, error)


class Scheduler(PersistentScheduler):
    """Celery's own, with a heartbeat."""

    def apply_async(self, *args: Any, **kwargs: Any) -> Any:
        sent = super().apply_async(*args, **kwargs)
        if settings.HEARTBEAT_FILE:
            touch()
        return sent
