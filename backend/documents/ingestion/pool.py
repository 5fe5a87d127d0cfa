"""Keeps one idle parser process per worker or web process, so that jobs need not wait for its start."""

import atexit
import contextlib
import os
import threading
import time
from collections.abc import Iterator

from backend.documents.errors import IngestionFailed
from backend.documents.ingestion.process import ParserProcess

_SECONDS_TO_WARM_UP = 2.0  # Celery waits four seconds for a new process of its pool.
_SECONDS_TO_GET_READY = 10.0  # From its start, or from the last frame of a job, until it is ready for the next.

_idle: list[ParserProcess] = []
_lock = threading.Lock()


@contextlib.contextmanager
def parser_process() -> Iterator[ParserProcess]:
    """A parser process for one job: the idle one of this worker, or a new one. After an error it is not kept."""
    process = _take()
    kept = False
    try:
        yield process
        kept = True
    finally:
        if kept:
            _keep(process)
        else:
            process.close()


def warm_up() -> None:
    """Start the idle process before the first document needs it, and log its isolation layers."""
    process = _take()
    with contextlib.suppress(IngestionFailed, ConnectionError):
        process.wait_until_ready(time.monotonic() + _SECONDS_TO_WARM_UP)
    _keep(process)


def end_idle() -> None:
    """End the idle process of this worker."""
    with _lock:
        processes = [process for process in _idle if process.owner == os.getpid()]
        _idle.clear()
    for process in processes:
        process.close()


def _take() -> ParserProcess:
    while True:
        with _lock:
            process = _idle.pop() if _idle else None
        if process is None:
            return ParserProcess()
        if process.alive and _is_free(process):
            return process
        if process.owner == os.getpid():  # Otherwise it belongs to the parent that this process was forked from.
            process.close()


def _is_free(process: ParserProcess) -> bool:
    """Whether its last job has ended: a parser that a malicious file controls may run on after its last frame."""
    try:
        process.wait_until_ready(time.monotonic() + _SECONDS_TO_GET_READY)
    except (IngestionFailed, ConnectionError):
        return False
    return True


def _keep(process: ParserProcess) -> None:
    with _lock:
        if not _idle and process.alive:
            _idle.append(process)
            return
    process.close()


atexit.register(end_idle)
