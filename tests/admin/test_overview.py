"""The admin's first page and its figures; and how many queries pages take."""

import re

import msgspec
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backend.agents.models import Run
from backend.billing.models import Wallet
from backend.db.redis import client as redis
from backend.documents.models import Document
from backend.documents.tests.cast import upload
from backend.http.ids import encode
from backend.server import worker_status
from tests.actors import Person
from tests.admin.reading import words

pytestmark = pytest.mark.django_db


def test_the_overview_shows_queues_workers_and_providers(operator: Client, run: Run, owner: Person) -> None:
    redis().delete(worker_status.KEY)
    html = operator.get("/admin/").content.decode()
    assert "No worker is alive" in html
    note = worker_status.Status(at=timezone.now().timestamp(), queues=["agents"], threads=8, busy=3, done=70)
    redis().hset(worker_status.KEY, "agents@host", msgspec.json.encode(note))
    redis().hset(worker_status.KEY, "nonsense@host", b"{")
    upload(owner, "waits for a worker", "waits.txt")
    html = words(operator.get("/admin/").content.decode())
    redis().delete(worker_status.KEY)

    assert "agents@host" in html
    assert "3 of 8" in html
    assert "No worker is alive" not in html
    assert re.search(r"key missing\s+OPENAI_API_KEY", html)
    work = operator.get("/admin/").context["work"]["rows"]
    assert [re.sub(r"<[^>]*>", "", str(row[1])) for row in work] == ["0", "2"]  # This document and the run's.


def test_the_overview_opens_while_redis_is_away(operator: Client, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django.conf.settings.REDIS_URL", "redis://127.0.0.1:1/0")
    assert "Redis does not answer" in operator.get("/admin/").content.decode()


def test_figures_lead_to_exactly_what_they_count(
    operator: Client, run: Run, failed: Document, stranger: Person
) -> None:
    context = operator.get("/admin/").context
    counted: list[tuple[str, str]] = []
    for table in ("runs", "documents"):
        counted += [re.findall(r'href="([^"]*)">(\d+)<', str(row[1]))[0] for row in context[table]["rows"]]
    people = context["people"]
    counted += [(context["people_links"][name], str(getattr(people, name))) for name in ("total", "new", "active")]
    for chart in context["charts"]:
        if "USD" not in chart.title:
            counted += [(series.href, series.total) for series in chart.series]
            counted += [
                (bar.href, bar.label.rpartition(" ")[2]) for bar in chart.bars if bar.href and "," not in bar.label
            ]
    assert len(counted) >= 8
    for href, figure in counted:
        listing = operator.get(href.replace("&amp;", "&"))
        assert listing.status_code == 200, href
        assert str(listing.context["cl"].result_count) == figure, href


def test_plots_have_a_zero_line_and_a_bar_for_each_day(operator: Client, run: Run, ledger: Wallet) -> None:
    for days in (14, 30):
        charts = operator.get("/admin/", {"days": str(days)}).context["charts"]
        assert [chart.title for chart in charts] == ["Runs per day", "Usage per day, USD", "Documents per day"]
        for chart in charts:
            assert len(chart.bars) == days
            assert chart.scale[-1] in ("0", "0.00")
            assert chart.bars[-1].tick
            assert 0 < sum(part.share for part in chart.bars[-1].parts) <= 100
    assert len(operator.get("/admin/", {"days": "99999"}).context["charts"][0].bars) == 14


@pytest.mark.parametrize("path", ["", "agents/run/", "documents/document/", "agents/conversation/"])
def test_pages_take_as_many_queries_however_much_there_is(operator: Client, owner: Person, run: Run, path: str) -> None:
    counts = []
    body = {"agent": encode("agt", run.agent_version.agent_id), "input": "What?"}
    for more in (1, 4):
        for number in range(more):
            upload(owner, f"text {more} {number}", f"{more}-{number}.txt")
            owner.post("/api/v1/conversations", body)
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert operator.get(f"/admin/{path}").status_code == 200
        counts.append(len(captured))
    assert counts[0] == counts[1] <= 22
