"""Identifies processes: an id alone is not enough, since the system reuses ids."""

import os
import platform
import signal
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

LINUX = platform.system() == "Linux"
PROC = Path("/proc")
# Holds the id of the data folder: in the environment of every child, and in the arguments of Python, which stay
# readable when a process hides its environment.
MARK = "ORQUESTRA_INSTANCE"


def started(pid: int) -> str | None:
    """When the process started, as text to compare; None if it does not run (or is a zombie)."""
    if LINUX:
        fields = _stat(pid)
        return None if fields is None or fields[0] == "Z" else f"{_boot()} {fields[19]}"
    done = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False, env={"LC_ALL": "C"}
    )
    return done.stdout.strip() or None


def command_line(pid: int) -> list[str]:
    """The arguments of the process; empty if they cannot be read."""
    if LINUX:
        try:
            return (PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            return []
    done = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return done.stdout.split()


def marked(instance: str) -> list[int]:
    """Processes with the mark of this data folder, except this one. Linux only."""
    mark = f"{MARK}={instance}".encode()
    entries = list(PROC.glob("[0-9]*")) if LINUX else []
    found = [
        int(entry.name) for entry in entries if any(mark in _words(entry / name) for name in ("cmdline", "environ"))
    ]
    return [pid for pid in found if pid != os.getpid()]


def kill(pids: Iterable[int]) -> None:
    """Kill these processes."""
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _words(file: Path) -> list[bytes]:
    """The parts of a /proc file between NULs; none if the process has ended, hides it or is another user's."""
    try:
        return file.read_bytes().split(b"\0")
    except OSError:
        return []


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on; the name before them may contain anything."""
    try:
        return (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None


def _boot() -> str:
    try:
        return (PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
