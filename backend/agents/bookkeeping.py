"""Database work of a run's thread: tried again while PostgreSQL restarts; no connection is held while it waits."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection

logger = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE_SECONDS = 60.0


def persist(work: Callable[[], T], *, patience: float = PATIENCE_SECONDS) -> T:
    """Do it, again and again while the database is away. The work must bear being repeated."""
    deadline = time.monotonic() + patience
    pause = 0.1
    while True:
        try:
            return work()
        except (OperationalError, InterfaceError) as error:
            if connection.in_atomic_block or time.monotonic() > deadline:
                raise
            logger.warning("database_away error=%s", str(error).strip())
            give_back()
        time.sleep(pause)
        pause = min(pause * 1.5, 2.0)


def give_back() -> None:
    """Return the thread's connection to the pool: nobody holds one while waiting for a provider."""
    if not connection.in_atomic_block:
        connection.close()
