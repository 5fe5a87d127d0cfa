"""The worker's side of the parser process: starts it, sends it jobs, and kills it when a job takes too long."""

import contextlib
import hashlib
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec
from django.conf import settings

from backend.documents.errors import IngestionFailed, ParserSilent, ParserTimedOut
from backend.documents.ingestion.parsers.frames import MAX_FRAMES_BYTES, Frame, Job, Report, Result, encode
from backend.errors import ServiceUnavailable

logger = logging.getLogger(__name__)
F = TypeVar("F", Frame, Result)

REQUIRED_LAYERS = ("no_new_privs", "seccomp")  # With PARSER_ISOLATION=strict, no file is read without these layers.
TICK = 5.0  # Seconds between two calls of ``on_wait`` while no frame arrives.
PROGRAM = "import sys; sys.path.append(sys.argv[1]); from parsers.child import serve; serve()"
_DAMAGED = (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)
_TOO_COMPLEX = "too_complex", "Reading the file takes more time or memory than allowed."
_CORRUPT = "corrupt", "The file is damaged: its parser ended on it."


class ParserProcess:
    """One parser process. It has no settings, secrets and paths: its environment is empty, and it receives open files.

    Each job is sent through a socket, together with the file's descriptor and a pipe for the frames. Each job has a
    pipe of its own: if a malicious file controls its parser, the frames that it writes are never read as another
    file's.
    """

    def __init__(self) -> None:
        self.owner = os.getpid()
        self.cpu_seconds = 0.0  # Processor time of the running job, as of its last frame.
        self._control, remote = socket.socketpair()
        with remote:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-c", PROGRAM, str(Path(__file__).parent), *map(str, _users())],
                stdin=remote.fileno(),
                stdout=subprocess.DEVNULL,
                env={},
                cwd="/",
                start_new_session=True,  # Ctrl-C in a terminal reaches the worker only.
            )
        self._reports = bytearray()
        self._reports_due = 1  # The first reports that it is ready, each further one that a job has ended.
        self._exit_signal = 0
        self.layers: dict[str, str] = {}  # Isolation layers: empty where a layer holds, else why it does not.

    @property
    def alive(self) -> bool:
        return self.owner == os.getpid() and self._process.poll() is None

    def run(
        self, job: Job, *, path: str | Path, seconds: float, on_wait: Callable[[], None] | None = None
    ) -> Iterator[Frame]:
        """The frames of a job on a file, without the last.

        :param seconds: maximum time from one frame to the next.
        :raises ParserTimedOut: it took longer, or used up its processor time.
        :raises IngestionFailed: the file cannot be read, or not within the limits.
        :raises FileNotFoundError: there is no such file.
        :raises ServiceUnavailable: PARSER_ISOLATION is strict, and this machine isolates no parser.
        """
        yield from self._run(Frame, job, path, deadline=lambda: time.monotonic() + seconds, on_wait=on_wait)

    def run_for_result(self, job: Job, *, path: str | Path, seconds: float, max_bytes: int) -> Result:
        """The one frame of a job, within ``seconds`` and ``max_bytes`` in all.

        A malicious file may control the parser, which then may send anything: any other number of frames is refused.

        :raises: as ``run``.
        """
        deadline = time.monotonic() + seconds
        results = list(self._run(Result, job, path, deadline=lambda: deadline, max_bytes=max_bytes))
        if len(results) != 1:
            raise IngestionFailed(*_CORRUPT)
        return results[0]

    def _run(
        self,
        kind: type[F],
        job: Job,
        path: str | Path,
        *,
        deadline: Callable[[], float],
        max_bytes: int = MAX_FRAMES_BYTES,
        on_wait: Callable[[], None] | None = None,
    ) -> Iterator[F]:
        self.cpu_seconds = 0.0
        self.wait_until_ready(deadline(), on_wait)
        if settings.PARSER_ISOLATION == "strict" and self.missing():
            raise ServiceUnavailable
        self.cpu_seconds = 0.0
        frames, buffer = self._send(job, path), bytearray()
        try:
            while (body := _message(frames, buffer, deadline(), on_wait, max_bytes)) is not None:
                max_bytes -= len(body) + 4
                frame = _decoded(body, kind)
                self.cpu_seconds = max(self.cpu_seconds, frame.cpu_seconds)
                match frame.kind:
                    case "end":
                        return
                    case "failed":
                        raise IngestionFailed(frame.code, frame.detail)
                    case "crashed":
                        logger.error("the parser of a %s failed: %s", job.content_type, frame.detail)
                        raise IngestionFailed(*_TOO_COMPLEX)
                    case _:
                        yield frame
        finally:
            os.close(frames)
        self.wait_until_ready(deadline(), on_wait)
        if self._exit_signal == signal.SIGXCPU:
            raise ParserTimedOut(*_TOO_COMPLEX)
        raise IngestionFailed(*(_CORRUPT if self._exit_signal in _DAMAGED else _TOO_COMPLEX))

    def wait_until_ready(self, deadline: float, on_wait: Callable[[], None] | None = None) -> None:
        """Wait until the process is ready for a job: it has started, and its fork for the last job has ended.

        :raises ParserTimedOut: it did not get ready in time.
        :raises ConnectionError: it has ended.
        """
        while self._reports_due:
            body = _message(self._control.fileno(), self._reports, deadline, on_wait, MAX_FRAMES_BYTES)
            if body is None:
                raise ConnectionError("the parser process has ended")
            report = msgspec.msgpack.decode(body, type=Report)
            self._reports_due -= 1
            self._exit_signal = report.signal
            self.cpu_seconds = max(self.cpu_seconds, report.cpu_seconds)
            if report.kind == "ready":
                self.layers = report.layers
                _log_layers(report.layers)

    def missing(self) -> dict[str, str]:
        """Those of ``REQUIRED_LAYERS`` that do not hold, and why."""
        return {name: self.layers[name] for name in REQUIRED_LAYERS if self.layers[name]}

    def close(self) -> None:
        """Kill the process and its forks."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._control.close()
        self._process.wait()

    def _send(self, job: Job, path: str | Path) -> int:
        """Send the job, and return the reading end of the pipe for its frames.

        :raises FileNotFoundError: there is no such file.
        """
        source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        frames, remote = os.pipe()
        try:
            socket.send_fds(self._control, [encode(job)], [source, remote])
        except OSError as error:
            os.close(frames)
            raise ConnectionError("the parser process has ended") from error
        finally:
            os.close(source)
            os.close(remote)
        self._reports_due += 1
        return frames


def _decoded(body: bytes, kind: type[F]) -> F:
    try:
        return msgspec.msgpack.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise IngestionFailed(*_CORRUPT) from error


def _message(
    descriptor: int, buffer: bytearray, deadline: float, on_wait: Callable[[], None] | None, max_bytes: int
) -> bytes | None:
    """The body of the next message; None at the end.

    :raises ParserTimedOut: it did not arrive in time.
    :raises IngestionFailed: it is longer than ``max_bytes``.
    """
    poll = select.poll()  # Not select(), which refuses descriptors above 1023: a web process may have thousands.
    poll.register(descriptor, select.POLLIN)
    while True:
        if len(buffer) >= 4:
            end = 4 + int.from_bytes(buffer[:4], "big")
            if end > max_bytes:
                raise IngestionFailed(*_CORRUPT)
            if len(buffer) >= end:
                body = bytes(buffer[4:end])
                del buffer[:end]
                return body
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise ParserSilent(*_TOO_COMPLEX)
        if not poll.poll(min(TICK, remaining) * 1000):
            if on_wait is not None:
                on_wait()
            continue
        data = os.read(descriptor, 1024 * 1024)
        if not data:
            return None
        buffer += data


def _users() -> list[int]:
    """User ids for parsers that root starts: no other process has them, and each data folder has its own.

    The first is above all ids that systems assign. Where ids do not reach that far, as in some containers, the second
    is in the range that systemd assigns to services.
    """
    number = int.from_bytes(hashlib.sha256(os.fsencode(settings.DATA_DIR)).digest()[:8], "big")
    return [0x70000000 + number % 0x0FF00000, 61184 + number % 4336]


_logged_layers: list[dict[str, str]] = []


def _log_layers(layers: dict[str, str]) -> None:
    """Log the isolation layers of this process's parsers, once, and again if they change."""
    if layers in _logged_layers:
        return
    _logged_layers[:] = [layers]
    held = ", ".join(name for name, missing in layers.items() if not missing)
    missing = "; ".join(f"{name}: {why}" for name, why in layers.items() if why)
    logger.info("parsers are isolated by: %s. Missing here: %s", held or "nothing", missing or "nothing")
