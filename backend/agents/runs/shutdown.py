"""What the agents worker does when it is told to stop."""

import logging
import threading
from typing import Any

from celery.signals import worker_shutting_down
from django.conf import settings

from backend.agents.runs import worker

logger = logging.getLogger(__name__)


@worker_shutting_down.connect
def end_runs_in_time(**_: Any) -> None:
    """Runs may go on for a little while; then they are ended truthfully, so that nobody waits for a dead worker."""
    timer = threading.Timer(settings.RUN_DRAIN_SECONDS, worker.stop_all, args=["shutdown"])
    timer.daemon = True
    timer.start()
