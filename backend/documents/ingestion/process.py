"""The worker's side of the parser process: starts it, gives it jobs, and ends it when it takes too long."""

import atexit
import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from backend.documents.errors import IngestionFailed, ParserTimedOut
from backend.documents.ingestion.parsers.frames import LARGEST, Frame, Job, encode

TICK = 5.0  # Seconds between two calls of ``on_wait`` while nothing comes.
_PROGRAM = "import sys; sys.path.append(sys.argv[1]); from parsers.child import serve; serve()"
_TOO_COMPLEX = "too_complex", "Reading the file takes more time or memory than allowed."


class ParserProcess:
    """One parser process. It sees no setting and no secret: its environment is empty but for the path."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self.cpu_seconds = 0.0  # Processor time of the job under way, as of its last frame.
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", _PROGRAM, str(Path(__file__).parent)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8"},
            start_new_session=True,  # Ctrl-C in a terminal reaches the worker only.
        )
        self._buffer = bytearray()

    @property
    def alive(self) -> bool:
        return self.owner == os.getpid() and self._process.poll() is None

    def run(self, job: Job, *, seconds: float, on_wait: Callable[[], None] | None = None) -> Iterator[Frame]:
        """The job's frames but for the last. ``seconds`` is how long it may take from one frame to the next.

        :raises ParserTimedOut: it took longer, of the clock or of the processor.
        :raises IngestionFailed: the file cannot be read, or not within the limits.
        """
        self.cpu_seconds = 0.0
        self._write(encode(job))
        while True:
            frame = self._next(time.monotonic() + seconds, on_wait)
            self.cpu_seconds = max(self.cpu_seconds, frame.cpu_seconds)
            match frame.kind:
                case "end":
                    return
                case "failed":
                    raise IngestionFailed(frame.code, frame.detail)
                case "died" if frame.signal in (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE):
                    raise IngestionFailed("corrupt", "The file is damaged: its parser ended on it.")
                case "died" if frame.signal == signal.SIGXCPU:
                    raise ParserTimedOut(*_TOO_COMPLEX)
                case "died":
                    raise IngestionFailed(*_TOO_COMPLEX)
                case _:
                    yield frame

    def close(self) -> None:
        """End the process and what it forked, at once."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._process.wait()

    def _write(self, data: bytes) -> None:
        assert self._process.stdin is not None  # noqa: S101  # Popen was asked for it.
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
        except OSError as error:
            raise ConnectionError("the parser process has ended") from error

    def _next(self, deadline: float, on_wait: Callable[[], None] | None) -> Frame:
        assert self._process.stdout is not None  # noqa: S101
        descriptor = self._process.stdout.fileno()
        while True:
            if len(self._buffer) >= 4:
                end = 4 + int.from_bytes(self._buffer[:4], "big")
                if end > LARGEST:
                    raise IngestionFailed("corrupt", "The file is damaged: its parser talks nonsense.")
                if len(self._buffer) >= end:
                    body = bytes(self._buffer[4:end])
                    del self._buffer[:end]
                    return msgspec.msgpack.decode(body, type=Frame)
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise ParserTimedOut(*_TOO_COMPLEX)
            readable, _, _ = select.select([descriptor], [], [], min(TICK, remaining))
            if not readable:
                if on_wait is not None:
                    on_wait()
                continue
            data = os.read(descriptor, 1024 * 1024)
            if not data:
                raise ConnectionError("the parser process has ended")
            self._buffer += data


_idle: list[ParserProcess] = []
_lock = threading.Lock()


@contextlib.contextmanager
def parser_process() -> Iterator[ParserProcess]:
    """A parser process for one job: the one that this worker keeps, or a new one. After an error it is not kept."""
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
    """Start the kept process before the first document needs it."""
    _keep(_take())


def end_idle() -> None:
    """End the kept process of this worker."""
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
        if process.alive:
            return process
        if process.owner == os.getpid():  # Otherwise it is the process's that this one was forked from.
            process.close()


def _keep(process: ParserProcess) -> None:
    with _lock:
        if not _idle and process.alive:
            _idle.append(process)
            return
    process.close()


atexit.register(end_idle)
