"""Runs beat in a thread of a worker, for one machine, where its own process would cost the memory of another Python.

celery -A backend worker --with-beat SCHEDULE_FILE …
"""

import logging
import os
import signal
import threading
from typing import Any

from celery import bootsteps
from celery.beat import Service

logger = logging.getLogger(__name__)


class EmbeddedBeat(bootsteps.StartStopStep):
    """A bootstep of the worker; only with ``--with-beat``."""

    def __init__(self, parent: Any, with_beat: str | None = None, **options: Any) -> None:
        super().__init__(parent, **options)
        self.enabled = bool(with_beat)
        self._file = with_beat
        self._service: Service | None = None
        self._stopping = False

    def start(self, parent: Any) -> None:
        self._service = Service(parent.app, schedule_filename=self._file)
        threading.Thread(target=self._run, args=(self._service,), name="beat", daemon=True).start()

    def stop(self, parent: Any) -> None:
        """Stop without waiting: the thread sleeps until the next task is due."""
        self._stopping = True
        if self._service is not None:
            self._service.stop()

    def _run(self, service: Service) -> None:
        """Run beat, and end the worker if beat ends: a worker without it would look healthy while no sweep ran.

        The supervisor starts the worker again.
        """
        try:
            service.start()
        except BaseException:
            logger.exception("beat_ended")
        if not self._stopping:
            os.kill(os.getpid(), signal.SIGTERM)
