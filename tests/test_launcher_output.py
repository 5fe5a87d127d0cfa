"""What the launcher shows and keeps: nothing holds it up, files are bounded, events read as lines."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.embedded import output
from backend.embedded.output import LogFile, Output, Screen


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    yield reading, writing
    os.close(reading)
    os.close(writing)


@pytest.fixture
def shown(pipe: tuple[int, int], tmp_path: Path) -> Iterator[Output]:
    """Writes into the pipe and the folder."""
    result = Output()
    result.screen = Screen(pipe[1])
    result.keep_in(tmp_path)
    yield result
    result.close()


def read(descriptor: int) -> list[str]:
    data = b""
    while True:
        try:
            data += os.read(descriptor, 65536)
        except BlockingIOError:
            return data.decode().splitlines()


def test_a_screen_without_a_reader_drops_lines_and_prints_how_many(pipe: tuple[int, int]) -> None:
    screen = Screen(pipe[1])
    for number in range(5000):
        screen.show(f"line {number} " + "x" * 500)  # Would block for ever if it waited.
    first = read(pipe[0])
    screen.flush()
    after = read(pipe[0])

    assert first[0].startswith("line 0 ")
    assert after[0] == f"(… {5000 - len(first) - output.MAX_WAITING} lines are only in the log files)"
    assert after[1].startswith(f"line {5000 - output.MAX_WAITING} ")


def test_a_closed_screen_stops_nothing() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    screen = Screen(writing)

    screen.show("nobody hears this")
    screen.show("nor this")
    os.close(writing)


def test_log_files_are_rotated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "MAX_BYTES", 100)
    log = LogFile(tmp_path / "web.log")
    for number in range(100):
        log.write(f"{number:09}\n".encode())
    log.close()

    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes == {"web.log": 100, "web.log.1": 100, "web.log.2": 100}
    assert (tmp_path / "web.log").read_text().splitlines()[-1] == "000000099"


def test_an_event_is_one_line_on_screen_and_unchanged_in_the_file(
    shown: Output, pipe: tuple[int, int], tmp_path: Path
) -> None:
    event = {"event": "request", "level": "warning", "timestamp": "t", "path": "/x", "status": 500, "user_id": None}
    raw = json.dumps({**event, "exception": "Traceback …\n  File …\nx.ValueError: no\nLINE 1: …\n    ^\n"})

    shown.relay("web", raw.encode())

    assert read(pipe[0]) == ["web        | warning: request path=/x status=500 (x.ValueError: no)"]
    assert (tmp_path / "web.log").read_text() == raw + "\n"


def test_the_screen_shows_the_last_line_of_a_traceback(shown: Output, pipe: tuple[int, int], tmp_path: Path) -> None:
    for line in ("Traceback (most recent call last):", '  File "x.py", line 1', "ImportError: no", "", "next"):
        shown.relay("agents", line.encode())

    assert read(pipe[0]) == ["agents     | ImportError: no", "agents     | next"]
    kept = [json.loads(line) for line in (tmp_path / "agents.log").read_text().splitlines()]
    assert kept[0]["event"] == "Traceback (most recent call last):"
    assert len(kept) == 4


def test_the_screen_shows_only_errors_of_the_servers(shown: Output, pipe: tuple[int, int]) -> None:
    shown.relay("postgres", b"2026-01-01 [1] LOG:  database system is ready to accept connections")
    shown.relay("postgres", b'2026-01-01 [1] FATAL:  could not write to file "x": No space left on device')
    shown.relay("redis", b"7:M 01 Jan 2026 * Ready to accept connections")

    assert [line.split(":  ")[1] for line in read(pipe[0])] == ['could not write to file "x": No space left on device']
