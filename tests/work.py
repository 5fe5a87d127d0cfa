"""A bound on work that no load of the machine changes: processor time of this process."""

import contextlib
import signal
from collections.abc import Iterator
from typing import Any


class TooMuchWork(BaseException):
    """The block took more processor time than it may."""


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """End the block when this process has computed for ``seconds``; for the main thread.

    It ends regular expressions too: their engine looks for signals while it matches.
    """

    def stop(*args: Any) -> None:
        raise TooMuchWork(f"more than {seconds} s of processor time")

    signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, signal.SIG_IGN)  # By default, one that is still on its way ends the process.
