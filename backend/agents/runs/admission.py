"""Runs that arrive together are brought to their first request in order of arrival, few at a time.

That stretch is processor time. Side by side all of them would send their request when the last one does; one after the
other the last one sends it no later, and the others sooner.
"""

import threading
from types import TracebackType
from typing import Self

AT_ONCE = 2  # One waits for PostgreSQL while the other computes.
PATIENCE = 0.5  # Seconds; then it goes on without a place, whatever holds up those before.

_turns = threading.BoundedSemaphore(AT_ONCE)


class Turn:
    """A place among those few, from ``with`` until ``end()`` or, if nobody calls that, until the block is left.

    Nobody waits for one longer than ``PATIENCE``.
    """

    def __init__(self) -> None:
        self._held = False

    def __enter__(self) -> Self:
        self._held = _turns.acquire(timeout=PATIENCE)
        return self

    def end(self) -> None:
        """Let the next one in. A second call does nothing."""
        if self._held:
            self._held = False
            _turns.release()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.end()
