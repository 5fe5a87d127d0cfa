"""Limits the processor time of a job: the kernel counts it and ends the process with SIGXCPU."""

import contextlib
import resource
import signal
from collections.abc import Iterator

from .frames import Job

# The limit of a file without pages is proportional to its size: some markup takes time that grows with the square of
# its length, and the worker reads no other file meanwhile. Ordinary files take a third of the limit or less.
ANY_SIZE = 2  # Seconds.
PER_MEGABYTE = 4  # Seconds. The densest HTML takes 1.4, text and DOCX 0.3.
OF_MARKDOWN = 12  # Seconds. A long text takes 2.5, a list of 100,000 items 6.


class TooSlow(Exception):
    """The processor time is used up."""


def limit(seconds: int) -> None:
    """Allow so many more seconds; the kernel then sends SIGXCPU, which ends the process."""
    begun = int(used()) + 1
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    wanted = begun + seconds
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (wanted, hard))


def limit_for(job: Job, size: int, *, per_megabyte: int = PER_MEGABYTE) -> None:
    """As ``limit``, for a text of ``size`` bytes."""
    limit(min(job.cpu_seconds, ANY_SIZE + per_megabyte * size // 1_000_000))


@contextlib.contextmanager
def raising() -> Iterator[None]:
    """In this block, the limit raises an exception instead of ending the process. Long calls of C delay it.

    :raises TooSlow: the limit is reached.
    """
    signal.signal(signal.SIGXCPU, _raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGXCPU, signal.SIG_DFL)


def _raise(*_: object) -> None:
    raise TooSlow


def used() -> float:
    """Seconds of processor time since the process began."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
