"""The output of the launcher and its children: a readable line on screen, a JSON line in the log folder.

The screen must never block the launcher: a stopped terminal or a pipe without a reader loses lines, the files
do not. The files are bounded: ten megabytes each, with two older ones.
"""

import json
import os
import re
import select
import sys
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

MAX_BYTES = 10 * 1024 * 1024
MAX_OLD_FILES = 2
MAX_LINE = 2000  # Characters of one line on screen; below PIPE_BUF even in UTF-8, so that a pipe accepts it whole.
MAX_WAITING = 500  # Lines that wait for a slow screen.
LEVELS = {"warning": "warning: ", "error": "error: ", "critical": "error: ", "fatal": "error: ", "panic": "error: "}
HIDDEN_KEYS = {"event", "level", "timestamp", "logger", "exception", "process", "code", "message", "stack_info"}
RAISED = re.compile(r"^[\w.]+(?:: .*)?$", re.MULTILINE)  # The line of a traceback that names the exception.
POSTGRES = re.compile(r"\b(WARNING|ERROR|FATAL|PANIC): ")


class Screen:
    """Standard output, written without blocking."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._terminal = os.isatty(descriptor)
        self._waiting: deque[bytes] = deque()
        self._lost = 0

    def show(self, line: str) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.popleft()
            self._lost += 1
        self._waiting.append((line[:MAX_LINE] + "\n").encode(errors="replace")[:4096])
        self.flush()

    def flush(self) -> None:
        """Write as much as possible without blocking."""
        try:
            while self._waiting and self._writable():
                if self._lost:
                    os.write(self._descriptor, f"(… {self._lost} lines are only in the log files)\n".encode())
                    self._lost = 0
                    continue
                os.write(self._descriptor, self._waiting.popleft())
        except OSError:
            self._waiting.clear()  # The terminal is gone; the log files remain.

    def hung_up(self) -> bool:
        """Whether it was a terminal that has been closed. Not every process of a closed terminal gets a signal."""
        return self._terminal and bool(self._state() & select.POLLHUP)

    def _writable(self) -> bool:
        return bool(self._state())

    def _state(self) -> int:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        return sum(state for _, state in poll.poll(0))


class LogFile:
    """The JSON lines of one process, in a file that is rotated when it is full."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def write(self, line: bytes) -> None:
        try:
            if self._file is None:
                self._file = self._path.open("ab", buffering=0)
            if self._file.tell() + len(line) > MAX_BYTES:
                self._file.close()
                self._rotate()
                self._file = self._path.open("ab", buffering=0)
            self._file.write(line)
        except OSError:
            self._file = None  # A full disk must not end the programs that log; the next line retries.

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _rotate(self) -> None:
        for number in range(MAX_OLD_FILES, 0, -1):
            older = self._path.with_suffix(f".log.{number}")
            newer = self._path if number == 1 else self._path.with_suffix(f".log.{number - 1}")
            if newer.exists():
                newer.replace(older)


class Output:
    """Screen and log files. The log folder is known only after the first checks; until then, only the screen."""

    def __init__(self) -> None:
        self.screen = Screen(sys.stdout.fileno())
        self._folder: Path | None = None
        self._files: dict[str, LogFile] = {}
        self._in_traceback: set[str] = set()

    def keep_in(self, folder: Path) -> None:
        self._folder = folder

    def close(self) -> None:
        """Close the log files."""
        for file in self._files.values():
            file.close()

    def say(self, text: str, *, level: str = "info") -> None:
        """Print and log a line of the launcher."""
        self.screen.show(_line("launcher", LEVELS.get(level, "") + text))
        self._store("launcher", {"level": level, "event": text})

    def note(self, process: str, text: str) -> None:
        """Log a line about a child, without printing it."""
        self._store(process, {"level": "info", "event": text})

    def announce(self, line: str) -> None:
        """Print a line unchanged."""
        self.screen.show(line)
        self._store("launcher", {"level": "info", "event": line})

    def relay(self, process: str, raw: bytes) -> str:
        """Log a line that a child printed, and print it if it matters. Returns its readable form."""
        text = raw.decode(errors="replace").rstrip()
        if not text:
            return ""
        event = _parsed(text)
        if event is None:
            level = _level(process, text)
            self._store(process, {"level": level, "event": text})
            if self._is_shown(process, text, level):
                self.screen.show(_line(process, text))
            return text
        self._write(process, text.encode() + b"\n")
        readable = _readable(event)
        self.screen.show(_line(process, readable))
        return readable

    def _is_shown(self, process: str, text: str, level: str) -> bool:
        """Of a traceback only the last line, of the servers only errors; the rest is in the files."""
        if text.startswith("Traceback "):
            self._in_traceback.add(process)
        elif not text.startswith(" "):
            self._in_traceback.discard(process)
        if process in self._in_traceback:
            return False
        return process not in ("postgres", "redis") or level != "info"

    def _store(self, process: str, event: dict[str, Any]) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._write(process, json.dumps({"timestamp": now, **event}, ensure_ascii=False).encode() + b"\n")

    def _write(self, process: str, line: bytes) -> None:
        if self._folder is not None:
            if process not in self._files:
                self._files[process] = LogFile(self._folder / f"{process}.log")
            self._files[process].write(line)


def _line(process: str, text: str) -> str:
    return f"{process:<10} | {text}"


def _parsed(text: str) -> dict[str, Any] | None:
    if not text.startswith("{"):
        return None
    try:
        event = json.loads(text)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def _readable(event: dict[str, Any]) -> str:
    """One line: the level unless it is info, the event, then the rest as ``name=value``."""
    parts = [LEVELS.get(str(event.get("level")), "") + str(event.get("event", event.get("message", "")))]
    parts += [f"{name}={value}" for name, value in event.items() if name not in HIDDEN_KEYS and value is not None]
    if errors := RAISED.findall(str(event.get("exception") or "")):
        parts.append(f"({errors[-1]})")
    return " ".join(" ".join(parts).split())


def _level(process: str, text: str) -> str:
    found = POSTGRES.search(text) if process == "postgres" else None
    return found[1].lower() if found else "info"
