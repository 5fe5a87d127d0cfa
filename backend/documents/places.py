"""A small share of this process's threads for work that takes long."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from backend.errors import ServiceUnavailable


class Places:
    """At most ``at_once`` threads work and ``held`` of them work or wait; any other is refused at once.

    :param wait: seconds that a thread waits for its turn, at most.
    """

    def __init__(self, *, at_once: int, held: int, wait: float) -> None:
        self._working = threading.BoundedSemaphore(at_once)
        self._held = threading.BoundedSemaphore(max(at_once, held))
        self._wait = wait

    @contextmanager
    def taken(self) -> Iterator[None]:
        """:raises ServiceUnavailable: too many threads do this already."""
        if not self._held.acquire(blocking=False):
            raise ServiceUnavailable
        try:
            if not self._working.acquire(timeout=self._wait):
                raise ServiceUnavailable
            try:
                yield
            finally:
                self._working.release()
        finally:
            self._held.release()
