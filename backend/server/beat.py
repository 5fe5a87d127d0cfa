"""Beat in a thread of a worker, for one machine, where a process of its own would cost the memory of a whole Python.

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
    """A step of the worker; only with ``--with-beat``."""

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
        """Without waiting: it sleeps until something is due."""
        self._stopping = True
        if self._service is not None:
            self._service.stop()

    def _run(self, service: Service) -> None:
        """A worker without its beat would look well while nothing is swept: it ends, and is started again."""
        try:
            service.start()
        except BaseException:
            logger.exception("beat_ended")
        if not self._stopping:
            os.kill(os.getpid(), signal.SIGTERM)
