"""The PostgreSQL connection of a thread: released before the thread waits, and renewed after it broke."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection

logger = logging.getLogger(__name__)

T = TypeVar("T")

MAX_RETRY_SECONDS = 60.0


def release_connection() -> None:
    """Return the thread's connection to the pool. Call this before the thread waits for a network or a client.

    Does nothing inside a transaction, which needs its connection to the end.
    """
    if not connection.in_atomic_block:
        connection.close()


def retry_on_disconnect(work: Callable[[], T], *, seconds: float = MAX_RETRY_SECONDS) -> T:
    """Call ``work``, and call it again while PostgreSQL does not answer. ``work`` must be idempotent.

    :raises OperationalError, InterfaceError: PostgreSQL did not answer for ``seconds``, or a transaction is open.
    """
    deadline = time.monotonic() + seconds
    pause = 0.1
    while True:
        try:
            return work()
        except (OperationalError, InterfaceError) as error:
            if connection.in_atomic_block or time.monotonic() > deadline:
                raise
            logger.warning("database_disconnected error=%s", str(error).strip())
            release_connection()
        time.sleep(pause)
        pause = min(pause * 1.5, 2.0)
