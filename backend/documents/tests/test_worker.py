"""A real worker, killed in the middle of a document."""

import contextlib
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.http_client import ApiClient
from tests.live import Stack, stack
from tests.pages import pdf

PAGES = [f"Page {number} tells of animal{number}.\n" + "Some more words.\n" * 40 for number in range(1, 401)]


@pytest.fixture(scope="module")
def live() -> Iterator[Stack]:
    settings = {"INGESTION_BATCH_PAGES": "1", "INGESTION_LEASE_SECONDS": "2"}
    with stack(settings=settings) as running:
        yield running


def state(live: Stack) -> dict[str, object]:
    names = "status, pages_done, epoch, chunk_count"
    row = live.rows(f"SELECT {names} FROM documents_ingestion ORDER BY id DESC LIMIT 1")[0]
    return dict(zip(names.split(", "), row, strict=True))


def parsers(live: Stack) -> set[int]:
    """The parser processes below the documents worker. None of them knows the database."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    below = {live.processes["documents"].pid}
    while more := {pid for pid, parent in parents.items() if parent in below} - below:
        below |= more
    found = {pid for pid in below if b"parsers.child" in Path(f"/proc/{pid}/cmdline").read_bytes()}
    for pid in found:
        with contextlib.suppress(PermissionError):  # A parser hides from its own user, too.
            assert Path(f"/proc/{pid}/environ").read_bytes() == b""
    return found


def gone(pids: set[int], seconds: float = 5) -> bool:
    """Whether all of them end in time; one that waits for its parent's attention counts as ended."""
    deadline = time.monotonic() + seconds
    while alive := {pid for pid in pids if Path(f"/proc/{pid}/cmdline").exists() and _runs(pid)}:
        if time.monotonic() > deadline:
            return not alive
        time.sleep(0.05)
    return True


def _runs(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_a_killed_worker_s_document_is_finished_by_the_next(live: Stack) -> None:
    person = ApiClient.sign_up(live.base_url)
    document = person.upload("long.pdf", pdf(*PAGES), wait=False)["id"]
    deadline = time.monotonic() + 30
    while state(live)["pages_done"] in (0, None):
        assert time.monotonic() < deadline, live.log("documents")
        time.sleep(0.005)

    of_the_worker = parsers(live)
    assert of_the_worker
    live.kill("documents")

    killed = state(live)
    assert killed["status"] == "parsing"
    assert 0 < int(str(killed["pages_done"])) < len(PAGES)
    assert gone(of_the_worker)
    live.start("documents")
    shown = person.call("GET", f"/api/v1/documents/{document}")
    deadline = time.monotonic() + 60
    while shown["status"] != "ready":
        assert shown["status"] in ("queued", "scanning", "parsing"), shown
        assert time.monotonic() < deadline, live.log("documents")
        time.sleep(0.1)
        shown = person.call("GET", f"/api/v1/documents/{document}")
    done = state(live)
    assert done["epoch"] == 2
    assert shown["page_count"] == len(PAGES)
    chunks = live.rows("SELECT count(*), count(DISTINCT index), max(index) + 1 FROM documents_chunk")[0]
    assert chunks == (done["chunk_count"],) * 3
    assert live.rows("SELECT count(*), max(number) FROM documents_page")[0] == (len(PAGES), len(PAGES))
    for number in (1, 200, 400):
        hit = person.call("POST", "/api/v1/search", {"query": f"animal{number}"})["results"][0]
        assert hit["page_from"] <= number <= hit["page_to"]
    person.close()


def test_a_stopped_worker_leaves_no_parser_running(live: Stack) -> None:
    process = live.processes["documents"]
    deadline = time.monotonic() + 30
    while not (of_the_worker := parsers(live)):  # The worker may still be starting.
        assert time.monotonic() < deadline, live.log("documents")
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    process.wait(15)

    assert gone(of_the_worker)
    live.start("documents")
