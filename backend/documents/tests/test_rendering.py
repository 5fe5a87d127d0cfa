"""Pages as pictures: short, few at once, and a failure is not repeated."""

import threading
import time
from typing import Any

import pytest
from django.conf import settings as configured
from django.test import override_settings

from backend.documents import rendering, search
from backend.documents.places import Places
from backend.documents.tests.cast import make_document, pdf, slow_pdf
from backend.errors import ServiceUnavailable
from backend.http.concurrency import held
from tests.actors import Person

pytestmark = pytest.mark.django_db


def test_a_page_that_takes_too_long_to_draw_is_given_up_and_remembered(
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


def test_a_rendering_that_the_machine_had_no_time_for_may_be_asked_for_later(owner: Person, settings: Any) -> None:
    document = make_document(owner, slow_pdf(6_000), "slow.pdf")
    settings.RENDER_SECONDS = 0.01
    path = f"/api/v1/documents/{document.public_id}/thumbnail.png"

    for _twice in range(2):
        refused = owner.get(path)
        assert (refused.status_code, refused["Retry-After"]) == (503, str(rendering.SHORT_MEMORY))


def test_a_workspace_renders_few_pages_at_once_and_no_other_is_refused(
    owner: Person, member: Person, stranger: Person
) -> None:
    mine, theirs = (make_document(person, pdf("A page."), "page.pdf") for person in (owner, stranger))
    limit = configured.RENDERINGS_PER_WORKSPACE
    holds = [held("renderings", str(owner.workspace.pk), limit=limit, seconds=30) for _ in range(limit)]
    for hold in holds:
        hold.__enter__()

    refused = member.get(f"/api/v1/documents/{mine.public_id}/pages/1.png")

    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert int(refused["Retry-After"]) > 0
    assert stranger.get(f"/api/v1/documents/{theirs.public_id}/pages/1.png").status_code == 200
    for hold in holds:
        hold.__exit__(None, None, None)
    assert member.get(f"/api/v1/documents/{mine.public_id}/pages/1.png").status_code == 200


def test_only_a_share_of_the_threads_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    places = Places(at_once=1, held=2, wait=30.0)
    working, done = threading.Event(), threading.Event()

    def work() -> None:
        with places.taken():
            working.set()
            done.wait(10)

    threads = [threading.Thread(target=work) for _ in range(2)]
    threads[0].start()
    working.wait(10)
    threads[1].start()
    while places._held._value:  # Until the second waits.
        time.sleep(0.001)

    with pytest.raises(ServiceUnavailable), places.taken():
        pass

    done.set()
    for thread in threads:
        thread.join()
    with places.taken():
        pass


def test_a_search_that_takes_too_long_is_given_up(
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
    with held("searches", str(owner.workspace.pk), limit=1, seconds=30):
        assert owner.post("/api/v1/search", {"query": "zebra"}).status_code == 429
        assert stranger.post("/api/v1/search", {"query": "zebra"}).status_code == 200
    assert owner.post("/api/v1/search", {"query": "zebra"}).status_code == 200
