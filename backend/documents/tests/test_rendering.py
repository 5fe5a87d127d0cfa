"""Page images: limits of time and number, and cached failures."""

import contextlib
import os
import threading
import time
from typing import Any

import pytest
from django.conf import settings as configured
from django.test import override_settings

from backend.documents import rendering, search
from backend.documents.admission import Admission
from backend.documents.ingestion import pool, process
from backend.documents.tests.cast import make_document, pdf, slow_pdf, upload
from backend.errors import ServiceUnavailable
from backend.http.concurrency import hold_slot
from tests.actors import Person

pytestmark = pytest.mark.django_db


def test_rendering_a_slow_page_is_aborted_and_its_failure_cached(
    owner: Person, member: Person, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = make_document(owner, slow_pdf(6_000, 1), "slow.pdf")
    settings.RENDER_CPU_SECONDS = 1
    path = f"/api/v1/documents/{document.public_id}"

    assert owner.get(f"{path}/pages/1.png").status_code == 404

    calls: list[int] = []
    render = rendering._render

    def counted(blob: Any, image: Any) -> bytes:
        calls.append(image.page)
        return render(blob, image)

    monkeypatch.setattr(rendering, "_render", counted)
    assert member.get(f"{path}/pages/1.png").status_code == 404
    assert calls == []
    assert member.get(f"{path}/pages/2.png").status_code == 200
    assert calls == [2]


def test_a_rendering_that_timed_out_by_the_clock_is_tried_again_later(owner: Person, settings: Any) -> None:
    document = make_document(owner, slow_pdf(6_000), "slow.pdf")
    settings.RENDER_SECONDS = 0.01
    path = f"/api/v1/documents/{document.public_id}/thumbnail.png"

    for _twice in range(2):
        refused = owner.get(path)
        assert (refused.status_code, refused["Retry-After"]) == (503, str(rendering.TIMEOUT_TTL))
    assert rendering._cpu_limit().spent(str(owner.workspace.pk)) > 1  # It counts, though what it took is unknown.


def test_a_workspace_renders_few_pages_at_once_and_no_other_is_refused(
    owner: Person, member: Person, stranger: Person
) -> None:
    mine, theirs = (make_document(person, pdf("A page."), "page.pdf") for person in (owner, stranger))
    limit = configured.RENDERINGS_PER_WORKSPACE
    holds = [hold_slot("renderings", str(owner.workspace.pk), limit=limit, seconds=30) for _ in range(limit)]
    for hold in holds:
        hold.__enter__()

    refused = member.get(f"/api/v1/documents/{mine.public_id}/pages/1.png")

    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert int(refused["Retry-After"]) > 0
    assert stranger.get(f"/api/v1/documents/{theirs.public_id}/pages/1.png").status_code == 200
    for hold in holds:
        hold.__exit__(None, None, None)
    assert member.get(f"/api/v1/documents/{mine.public_id}/pages/1.png").status_code == 200


def test_a_workspace_has_a_budget_of_processor_time_for_its_page_images(
    owner: Person, member: Person, stranger: Person, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = make_document(owner, slow_pdf(6_000, 1), "slow.pdf")
    theirs = make_document(stranger, pdf("A page."), "page.pdf")
    settings.RENDER_CPU_SECONDS = 1
    settings.RENDER_CPU_SECONDS_PER_MINUTE = 0.5
    path = f"/api/v1/documents/{slow.public_id}/pages"
    assert owner.get(f"{path}/1.png").status_code == 404

    with monkeypatch.context() as patch:
        patch.setattr(rendering._admission, "admitted", None)  # Refused before a place is asked for.
        refused = member.get(f"{path}/2.png")

    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert int(refused["Retry-After"]) > 1
    assert stranger.get(f"/api/v1/documents/{theirs.public_id}/pages/1.png").status_code == 200
    settings.RENDER_CPU_SECONDS_PER_MINUTE = 20.0
    assert member.get(f"{path}/2.png").status_code == 200


def test_a_hundred_ordinary_pages_are_within_the_budget(owner: Person) -> None:
    document = make_document(owner, pdf("\n".join(["A line of ordinary text on the page."] * 40)), "page.pdf")
    assert owner.get(f"/api/v1/documents/{document.public_id}/pages/1.png").status_code == 200

    spent = rendering._cpu_limit().spent(str(owner.workspace.pk))

    assert 0 < spent < configured.RENDER_CPU_SECONDS_PER_MINUTE / 100


def test_workspaces_with_heavy_use_leave_a_thread_to_others() -> None:
    admission = Admission(max_running=2, max_admitted=6, max_wait=0.0, heavy_seconds=5.0)
    with admission.admitted("a", spent=9.0):
        with pytest.raises(ServiceUnavailable), admission.admitted("b", spent=8.0):
            pass
        with pytest.raises(ServiceUnavailable), admission.admitted("a", spent=0.0):
            pass
        with admission.admitted("c", spent=0.1):
            pass


def test_the_waiting_workspace_with_the_least_use_is_next() -> None:
    admission = Admission(max_running=1, max_admitted=6, max_wait=10.0)
    order: list[str] = []

    def work(name: str, spent: float) -> None:
        with admission.admitted(name, spent=spent):
            order.append(name)

    threads = [threading.Thread(target=work, args=args) for args in (("much", 4.0), ("some", 2.0), ("little", 1.0))]
    with admission.admitted("first"):
        for number, thread in enumerate(threads, 1):
            thread.start()
            while len(admission._waiting) < number:
                time.sleep(0.001)
    for thread in threads:
        thread.join()

    assert order == ["little", "some", "much"]


@pytest.mark.parametrize(("workspace", "spent"), [("much", 4.0), ("first", 0.0)])
def test_a_waiting_request_is_evicted_by_one_with_less_use(workspace: str, spent: float) -> None:
    admission = Admission(max_running=1, max_admitted=2, max_wait=10.0)
    refused = threading.Event()

    def work() -> None:
        with contextlib.suppress(ServiceUnavailable), admission.admitted(workspace, spent=spent):
            return
        refused.set()

    def come() -> None:
        with admission.admitted("little", spent=1.0):
            pass

    waiting, coming = threading.Thread(target=work), threading.Thread(target=come)
    with admission.admitted("first"):
        waiting.start()
        while not admission._waiting:
            time.sleep(0.001)
        coming.start()
        assert refused.wait(10)
        with pytest.raises(ServiceUnavailable), admission.admitted("most", spent=9.0):
            pass
    waiting.join()
    coming.join()


FLOOD = """child._TASKS["%s"] = lambda file, job: (
    child.Frame(kind="image", image=bytes(1 << 20), content_type=child.archive.DOCX) for _ in range(150)
)"""


@pytest.mark.parametrize("task", ["render", "detect"])
def test_a_parser_under_control_of_a_malicious_file_cannot_fill_a_web_process(
    owner: Person, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    document = make_document(owner, pdf("A page."), "page.pdf")
    pool.end_idle()
    program = "import sys; sys.path.append(sys.argv[1]); from parsers import child; " + "exec(%r); child.serve()"
    monkeypatch.setattr(process, "PROGRAM", program % (FLOOD % task))
    received: list[int] = []
    read = os.read

    def counted(descriptor: int, size: int) -> bytes:
        data = read(descriptor, size)
        received.append(len(data))
        return data

    monkeypatch.setattr(os, "read", counted)

    if task == "render":
        assert owner.get(f"/api/v1/documents/{document.public_id}/pages/1.png").status_code == 404
    else:
        assert upload(owner, b"PK\x03\x04", "letter.docx").status_code == 415

    pool.end_idle()
    assert sum(received) < 70 * 1024 * 1024


def test_only_a_share_of_the_web_threads_is_admitted(monkeypatch: pytest.MonkeyPatch) -> None:
    admission = Admission(max_running=1, max_admitted=2, max_wait=30.0)
    working, done = threading.Event(), threading.Event()

    def work() -> None:
        with admission.admitted():
            working.set()
            done.wait(10)

    threads = [threading.Thread(target=work) for _ in range(2)]
    threads[0].start()
    working.wait(10)
    threads[1].start()
    while not admission._waiting:  # Until the second waits.
        time.sleep(0.001)

    with pytest.raises(ServiceUnavailable), admission.admitted():
        pass

    done.set()
    for thread in threads:
        thread.join()
    with admission.admitted():
        pass


def test_a_search_that_takes_too_long_is_cancelled(
    owner: Person, member: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_document(owner, "The zebra.")
    with monkeypatch.context() as patch, override_settings(SEARCH_SECONDS=0.05):
        patch.setattr(search, "_EXACT", "SELECT pg_sleep(20), %(limit)s")
        refused = owner.post("/api/v1/search", {"query": "zebra"})

    assert (refused.status_code, refused.json()["code"]) == (503, "service_unavailable")
    assert "too long" in refused.json()["detail"]
    assert len(member.post("/api/v1/search", {"query": "zebra"}).json()["results"]) == 1


def test_a_workspace_searches_few_times_at_once(owner: Person, stranger: Person, settings: Any) -> None:
    settings.SEARCHES_PER_WORKSPACE = 1
    with hold_slot("searches", str(owner.workspace.pk), limit=1, seconds=30):
        assert owner.post("/api/v1/search", {"query": "zebra"}).status_code == 429
        assert stranger.post("/api/v1/search", {"query": "zebra"}).status_code == 200
    assert owner.post("/api/v1/search", {"query": "zebra"}).status_code == 200
