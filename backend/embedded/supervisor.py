"""Keeps the children running: relays their output, restarts those that die, stops all in order."""

import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from types import FrameType

from backend.embedded.children import Child, LeftOver
from backend.embedded.options import LauncherError
from backend.embedded.output import Output

MAX_FAILED_STARTS = 3  # Deaths before the product is ready, after which the launcher gives up.
MAX_LINE_BYTES = 1024 * 1024


class StopRequested(Exception):
    """The launcher must stop: Ctrl-C, SIGTERM, a closed terminal, or the death of the `make` that started it."""


class Supervisor:
    """One thread by design: a loop reads pipes and handles deaths and signals."""

    def __init__(self, output: Output, *, end_with_parent: bool) -> None:
        self.output = output
        self.children: list[Child] = []
        self._selector = selectors.DefaultSelector()
        self._buffers: dict[int, bytes] = {}
        self._parent = os.getppid() if end_with_parent else None
        self._stop_asked = 0
        self._stopping = False
        self._settled = False
        self._wake, wake_write = socket.socketpair()
        self._wake.setblocking(False)
        wake_write.setblocking(False)
        self._wake_write = wake_write
        signal.set_wakeup_fd(wake_write.fileno(), warn_on_full_buffer=False)
        self._selector.register(self._wake, selectors.EVENT_READ, None)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._publish_cancel)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)

    def _publish_cancel(self, number: int, frame: FrameType | None) -> None:
        self._stop_asked += 1

    # Running ----------------------------------------------------------------------------------------------------------

    def start(self, child: Child) -> None:
        """Start it and supervise it from now on.

        :raises LauncherError: its program cannot be run.
        """
        if child not in self.children:
            self.children.append(child)
        try:
            descriptor = child.start()
        except OSError as error:
            raise LauncherError(f"{child.name} cannot be started: {error}") from error
        self._buffers[descriptor] = b""
        self._selector.register(descriptor, selectors.EVENT_READ, child)
        self.output.note(child.name, f"started as process {child.pid}")

    def finish(self, child: Child, *, seconds: float) -> None:
        """Wait until a child that runs once has ended successfully.

        :raises LauncherError: it failed; the message contains its last output.
        """
        self.wait_for(f"{child.name} did not end", lambda: not child.running, seconds=seconds)
        self._relay(0)
        if child.process is None or child.process.returncode != 0:
            raise LauncherError(f"{child.name} {child.how_it_ended()}{child.last_output()}")
        child.forget()

    def run(self) -> None:
        """Supervise the children until asked to stop.

        :raises StopRequested: always, in the end.
        """
        self._settled = True
        while True:
            self.poll(1.0)

    def wait_for(self, what: str, condition: Callable[[], bool], *, seconds: float) -> None:
        """Supervise the children until the condition is true.

        :raises LauncherError: it did not in time.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise LauncherError(f"{what} within {seconds:.0f} s")
            self.poll(0.02)

    def pause(self, seconds: float) -> None:
        """Wait that long, supervising the children."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.poll(left)

    def poll(self, timeout: float) -> None:
        """One iteration: relay output, handle deaths, start children that are due.

        :raises StopRequested: a signal came, or the parent died.
        :raises LauncherError: a child keeps ending before all were ready once.
        """
        self._relay(min(timeout, 0.5))
        if not self._stopping:
            orphaned = self._parent is not None and os.getppid() != self._parent
            if self._stop_asked or orphaned or self.output.screen.hung_up():
                raise StopRequested
            for child in self.children:
                self._supervise(child)

    def _supervise(self, child: Child) -> None:
        if child.process is None or child.once or child.running:
            return
        if child.start_again_at is None:
            delay = child.plan_restart()
            how = f"{child.name} (process {child.pid}) {child.how_it_ended()}"
            if not self._settled and child.deaths >= MAX_FAILED_STARTS:
                raise LauncherError(f"{how}, {child.deaths} times in a row{child.last_output()}")
            self.output.say(f"{how}; it starts again in {delay:g} s", level="warning")
        elif time.monotonic() >= child.start_again_at:
            try:
                self.start(child)
            except LauncherError as error:
                self.output.say(str(error), level="error")
                child.plan_restart()
                return
            self.output.say(f"{child.name} is started again (process {child.pid})")

    def _relay(self, timeout: float) -> None:
        self.output.screen.flush()
        for key, _ in self._selector.select(timeout):
            if key.data is None:
                self._drain_wake_ups()
            else:
                self._read(key.fd, key.data)

    def _drain_wake_ups(self) -> None:
        try:
            while self._wake.recv(4096):
                pass
        except BlockingIOError:
            pass

    def _read(self, descriptor: int, child: Child) -> None:
        try:
            data = os.read(descriptor, 65536)
        except BlockingIOError:
            return
        *lines, rest = (self._buffers[descriptor] + data).split(b"\n")
        if not data or len(rest) > MAX_LINE_BYTES:
            lines, rest = [*lines, rest], b""
        for line in lines:
            if readable := self.output.relay(child.name, line):
                child.last_lines.append(readable)
        self._buffers[descriptor] = rest
        if not data:
            self._selector.unregister(descriptor)
            os.close(descriptor)
            del self._buffers[descriptor]

    # Stopping ---------------------------------------------------------------------------------------------------------

    def stop(self, order: Sequence[Sequence[str]]) -> None:
        """End all children, one group of names after the other; those that are not named first.

        A second Ctrl-C kills what is left.
        """
        self._stopping, self._stop_asked = True, 0
        named = {name for group in order for name in group}
        first = [child.name for child in self.children if child.name not in named]
        for group in (first, *order):
            self._stop_group([child for child in self.children if child.name in group])

    def _stop_group(self, group: Sequence[Child]) -> None:
        for child in group:
            child.ask()
        deadline = time.monotonic() + max((child.grace for child in group), default=0)
        while any(child.running for child in group) and time.monotonic() < deadline and not self._stop_asked:
            self.poll(0.05)
        for child in group:
            if child.running:
                self.output.say(f"{child.name} did not stop in time; it is killed", level="warning")
                child.kill()
                child.process and child.process.wait(5)
            child.forget()
        self.poll(0)

    def end(self, found: Iterable[LeftOver]) -> None:
        """End children of an earlier launcher: first by their stop signal, then by SIGKILL."""
        found = list(found)
        for child in found:
            child.send(child.stop)
        deadline = time.monotonic() + 6
        while any(child.alive for child in found):
            if time.monotonic() > deadline:
                for child in found:
                    child.send(signal.SIGKILL)
            self.poll(0.05)
        for child in found:
            child.record.unlink(missing_ok=True)
