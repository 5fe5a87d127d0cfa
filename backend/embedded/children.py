"""A child process: it has a pid file, ends with its whole session, and is recognized after the launcher's own death."""

import json
import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from backend.embedded import identity
from backend.embedded.options import ROOT
from backend.embedded.privileges import Account, end_with_launcher, popen_options

DELAYS = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)  # Seconds before each restart of a child that keeps ending.
HEALTHY_AFTER = 60.0  # Seconds after which a child counts as healthy again.


@dataclass
class Child:
    """:ivar stop_signal: the signal for an orderly end.
    :ivar death_signal: it gets this one when the launcher dies; it should end it soon without being asked again.
    :ivar grace: seconds it has after ``stop_signal`` before it is killed.
    :ivar once: it does one thing and ends; it is never started again.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    pid_folder: Path
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGTERM
    grace: float = 4.0
    account: Account | None = None
    descriptors: Sequence[int] = ()
    once: bool = False
    process: "subprocess.Popen[bytes] | None" = None
    last_lines: deque[str] = field(default_factory=lambda: deque(maxlen=4))
    deaths: int = 0
    start_again_at: float | None = None
    _started_at: float = 0.0

    @property
    def pid(self) -> int:
        return self.process.pid if self.process else 0

    @property
    def running(self) -> bool:
        """Whether it runs. If it just died, ends the rest of its session before the system can reuse its id."""
        if self.process is None or self.process.returncode is not None:
            return False
        if hasattr(os, "waitid"):
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                return True
            self._end_session()
        return self.process.poll() is None

    @property
    def _pid_file(self) -> Path:
        return self.pid_folder / f"{self.name}.json"

    def start(self) -> int:
        """Start it in a session of its own, so that Ctrl-C reaches it only through the launcher.

        :return: the descriptor that its output is read from; the caller closes it.
        """
        self.start_again_at = None
        self._started_at = time.monotonic()
        reading, writing = os.pipe()
        try:
            self.process = self._popen(writing)
        except OSError:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        record = {"pid": self.pid, "started": identity.started(self.pid), "stop": int(self.stop_signal)}
        with suppress(OSError):  # A full disk: on Linux its mark still identifies it.
            self._pid_file.write_text(json.dumps(record))
        os.set_blocking(reading, False)
        return reading

    def _popen(self, writing: int) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            self.command,
            cwd=ROOT if self.account is None else "/",
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
            start_new_session=True,
            pass_fds=tuple(self.descriptors),
            preexec_fn=end_with_launcher(self.death_signal),  # noqa: PLW1509  # The launcher has one thread.
            **popen_options(self.account),
        )

    def plan_restart(self) -> float:
        """After its death: decide when it restarts, later each time it dies early.

        :return: the seconds until then.
        """
        now = time.monotonic()
        self.deaths = 1 if now - self._started_at > HEALTHY_AFTER else self.deaths + 1
        delay = DELAYS[min(self.deaths, len(DELAYS)) - 1]
        self.start_again_at = now + delay
        return delay

    def how_it_ended(self) -> str:
        code = self.process.returncode if self.process else None
        if code is not None and code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with code {code}"

    def last_output(self) -> str:
        """Its last output, as lines to append to a message."""
        return "".join(f"\n    {line}" for line in self.last_lines)

    def ask(self, number: signal.Signals | None = None) -> None:
        """Send its main process a signal, its stop signal by default."""
        if self.running:
            os.kill(self.pid, number or self.stop_signal)

    def kill(self) -> None:
        """Kill it and all of its session."""
        if self.running:
            self._end_session()

    def _end_session(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def forget(self) -> None:
        """Remove its pid file; it will not be restarted."""
        self._pid_file.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class LeftOver:
    """A child of an earlier launcher that died without ending it."""

    name: str
    pid: int
    started: str
    stop: signal.Signals
    record: Path

    @property
    def alive(self) -> bool:
        return identity.started(self.pid) == self.started

    def send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            if self.alive:
                os.kill(self.pid, number)


def left_over(pid_folder: Path) -> list[LeftOver]:
    """Children of an earlier launcher that still run. Removes pid files of dead ones and of ids that were reused."""
    found = []
    for record in sorted(pid_folder.glob("*.json")):
        try:
            data = json.loads(record.read_text())
            child = LeftOver(record.stem, int(data["pid"]), str(data["started"]), signal.Signals(data["stop"]), record)
        except (ValueError, KeyError, TypeError, OSError):
            record.unlink(missing_ok=True)
            continue
        if child.alive:
            found.append(child)
        else:
            record.unlink(missing_ok=True)
    return found
