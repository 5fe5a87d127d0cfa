"""The admin's pages show money as money, what happened in a run, why a document failed, and link to one another."""

import re
from typing import Any

import msgspec
import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from backend.accounts.models import Session, Workspace
from backend.agents.models import Agent, Conversation, Message, Run, Step
from backend.billing import operations as billing
from backend.billing.models import Transfer, Wallet
from backend.billing.tests.conftest import hold, use
from backend.db.redis import client as redis
from backend.documents.models import Document, Ingestion, Usage
from backend.documents.tests.cast import read, upload
from backend.http.ids import encode
from backend.server import worker_status
from tests.actors import Person
from tests.operators import admin_browser, clerk, superuser

pytestmark = pytest.mark.django_db
MICRO = re.compile(r">\s*-?\d{5,}\s*<")  # A bare number as large as amounts of micro-units are.
LONG = "Secretaria Municipal de Desenvolvimento Urbano e Habitação de São José do Vale do Rio Preto " + "ã" * 50


@pytest.fixture
def operator(db: None) -> Client:
    return admin_browser(superuser())


@pytest.fixture
def failed(owner: Person) -> Document:
    """A damaged file that was read in vain."""
    return read(upload(owner, b"%PDF-1.7 nothing of the kind", "damaged.pdf").json()["id"])


@pytest.fixture
def run(owner: Person) -> Run:
    """A run that used a tool, cost 0.041346 and failed; its agent knows a document."""
    document = upload(owner, "The fee is 20 dollars.", "fees.txt").json()["id"]
    body = {
        "name": "Fee desk",
        "instructions": "Say zebra-instructions.",
        "limits": {"max_cost": "10.50"},
        "knowledge": [{"document": document}],
    }
    agent = owner.post("/api/v1/agents", body).json()
    owner.post("/api/v1/conversations", {"agent": agent["id"], "input": "What is the zebra-fee?"})
    run = Run.objects.get()
    now = timezone.now()
    error = {"code": "provider_unavailable", "detail": "The provider is down.", "provider": "openai", "retryable": True}
    Run.objects.filter(pk=run.pk).update(
        status="failed", error=error, started_at=now, finished_at=now, cost=41346, reserved=10500000, max_cost=10500000
    )
    model = {"run": run, "attempt": 1, "kind": "model", "model": "offline", "provider": "offline", "finished_at": now}
    usage = {"input_tokens": 1234, "cached_input_tokens": 200, "output_tokens": 56}
    Step.objects.create(**model, index=1, request={"messages": 2}, usage=usage, cost="0.041346")
    found = {"passages": [{"n": 1, "document": "fees.txt", "page": 7}], "documents_searched": 3}
    asked = {"name": "search_knowledge", "arguments": {"query": "zebra-query"}}
    tool = {"run": run, "attempt": 1, "kind": "tool", "index": 2, "finished_at": now}
    Step.objects.create(**tool, request=asked, reply={"output": found})
    Step.objects.create(**model, index=3, error=error)
    run.refresh_from_db()
    return run


@pytest.fixture
def ledger(owner: Person) -> Wallet:
    """With a row of every kind."""
    hold(owner.workspace.pk, 1_041_346, "run_held")
    use(owner.workspace.pk, "run_spent", 103_365, model="offline")
    billing.capture(reference="run_spent", description="A run")
    return Wallet.objects.get(workspace=owner.workspace)


def change(row: Any) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def words(html: str) -> str:
    """What stands in the main part of a page."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html[html.index('id="content"') :]))


def test_money_is_shown_as_money_everywhere(operator: Client, run: Run, ledger: Wallet) -> None:
    for model in ("wallet", "transfer", "hold", "creditgrant", "usagerecord"):
        rows = admin.site._registry
        found = next(item for item in rows if item._meta.model_name == model)._default_manager.all()
        paths = [reverse(f"admin:billing_{model}_changelist"), *(change(row) for row in found)]
        for path in paths:
            html = operator.get(path).content.decode()
            assert not MICRO.search(html), path
            assert re.search(r"\d\.\d+ USD", html), path
    html = operator.get(change(run)).content.decode()
    for text in ("0.041346 USD", "10.50 USD", "per million tokens"):
        assert text in html, text
    assert not MICRO.search(html)
    agent = operator.get(change(run.agent_version.agent)).content.decode()
    assert "10.50 USD" in agent
    assert "10500000" not in agent
    portuguese = operator.get(change(run), headers={"Accept-Language": "pt-BR"}).content.decode()
    assert "0,041346 USD" in portuguese


def test_no_column_of_micro_units_is_shown_raw() -> None:
    """Whatever a page lists or shows goes through a function that knows its currency."""
    raw = {
        "amount",
        "posted",
        "held",
        "balance_after",
        "signed_amount",
        "charged",
        "shortfall",
        "remaining",
        "reserved",
    }
    raw |= {"cost", "max_cost", "input_price", "cached_input_price", "output_price", "limits", "offer", "usage"}
    for model, page in admin.site._registry.items():
        columns = {field.name for field in model._meta.concrete_fields} & raw
        fieldsets = page.fieldsets or [(None, {"fields": getattr(page, "fields", None) or []})]
        shown = {*page.list_display, *(name for _title, options in fieldsets for name in options["fields"])}
        assert not shown & columns, model


def test_a_runs_page_tells_what_happened(operator: Client, run: Run) -> None:
    text = words(operator.get(change(run)).content.decode())

    for said in (
        "zebra-query",
        "1 passage, 3 documents searched",
        "fees.txt",
        "page 7",
        "1234 in (200 cached), 56 out",
    ):
        assert said in text, said
    assert "Provider unavailable: The provider is down. Provider: openai." in text
    assert "Another attempt may succeed." in text
    assert text.index("0.041346") < text.index("zebra-query")
    assert "What is the zebra-fee?" in text


def test_a_runs_costs_add_up_to_what_was_charged(operator: Client, run: Run) -> None:
    def page() -> str:
        return words(operator.get(change(run)).content.decode())

    assert "Total 0.041346 USD charged. 0.041346 USD" in page()
    assert "10.50 USD (limit of the request)" in page()
    assert "Reserved released" in page()
    Step.objects.filter(index=1).update(cost="0.0413452")
    assert "0.041346 USD charged: the sum is rounded up once, to a millionth. 0.0413452 USD" in page()
    Step.objects.filter(index=1).update(cost="1")
    assert "the limit of the run or the balance did not cover the rest" in page()
    Run.objects.update(max_cost=None)
    assert "10.50 USD (limit of the agent)" in page()


REASONS = {
    "What was set aside for this answer does not cover its next step.": "O que foi reservado",
    "OPENAI_API_KEY is not set.": "OPENAI_API_KEY não está definida.",
    "openai failed (status 503): Overloaded.": "openai falhou (status 503): Overloaded.",
    "openai cannot be reached.": "openai não pode ser alcançado.",
    "openai broke off: Too much.": "openai interrompeu a resposta: Too much.",
}


@pytest.mark.parametrize("detail", REASONS)
def test_why_a_run_failed_is_said_in_portuguese_and_once(operator: Client, run: Run, detail: str) -> None:
    error = {"code": "provider_auth", "detail": detail, "provider": "openai", "retryable": False}
    Run.objects.update(error=error)
    Step.objects.filter(kind="model", index=1).update(reply={"finish_reason": "tool_calls", "tool_calls": ["x"]})
    headers = {"Accept-Language": "pt-BR"}
    html = operator.get(change(run), headers=headers).content.decode()
    text = words(html)
    assert REASONS[detail] in text
    assert REASONS[detail] in words(operator.get("/admin/", headers=headers).content.decode())
    assert 'title="provider_auth"' in html
    for raw in ("provider_auth", "tool_calls", "offline (offline)"):
        assert raw not in text, raw


def test_a_hold_that_charged_nothing_was_released(operator: Client, ledger: Wallet) -> None:
    hold(ledger.workspace_id, 1000, "run_idle")
    billing.capture(reference="run_idle", description="A run")
    idle, spent = (ledger.holds.get(reference=name) for name in ("run_idle", "run_spent"))
    shown = [words(operator.get(change(row)).content.decode()) for row in (idle, spent)]
    assert ["Released" in text for text in shown] == [True, False]
    assert ["Captured" in text for text in shown] == [False, True]


def test_a_page_links_only_to_lists_that_open(owner: Person, ledger: Wallet, run: Run) -> None:
    rights = ("accounts.view_user", "agents.view_run", "documents.view_document", "billing.view_wallet")
    browser = admin_browser(clerk(*rights, "documents.view_usage"))
    for row in (ledger, owner.user, run, Document.objects.get(name="fees.txt")):
        for href in re.findall(r'href="(/admin/[^"]*[?]of=[^"]*)"', browser.get(change(row)).content.decode()):
            assert browser.get(href).status_code == 200, href


def test_headings_are_in_the_language_of_the_page(operator: Client, owner: Person, run: Run) -> None:
    membership, usage = owner.user.memberships.get(), Usage.objects.get(workspace=owner.workspace)
    for row in (membership, usage):
        html = operator.get(change(row), headers={"Accept-Language": "pt-BR"}).content.decode()
        assert not re.search(r"[0-9] (bytes|documents)| in ", html[html.index("<body") : html.index('id="content"')])


def test_what_people_wrote_is_for_superusers(run: Run) -> None:
    browser = admin_browser(clerk("agents.view_run", "agents.view_agent", "agents.view_conversation"))
    for row in (run, run.agent_version.agent, run.conversation):
        html = browser.get(change(row)).content.decode()
        assert "zebra" not in html, row
    assert "search_knowledge" in browser.get(change(run)).content.decode()


def test_an_agents_page_shows_instructions_and_knowledge(operator: Client, run: Run) -> None:
    html = operator.get(change(run.agent_version.agent)).content.decode()

    document = Document.objects.get(name="fees.txt")
    assert "Say zebra-instructions." in html
    assert f'href="{change(document)}"' in html


def test_a_conversation_is_read_in_pages(operator: Client, run: Run) -> None:
    conversation = run.conversation
    parent = conversation.head
    parts = [{"type": "text", "id": "1", "text": "x" * 30_000}]
    for number in range(33):
        parts = parts if number == 0 else [{"type": "text", "id": "1", "text": f"<b>said {number}</b>"}]
        Message.objects.create(conversation=conversation, parent=parent, role="assistant", parts=parts)

    first, last = (operator.get(change(conversation), {"page": page}) for page in ("1", "2"))

    assert "&lt;b&gt;said 9&lt;/b&gt;" in first.content.decode()
    assert "said 32" not in first.content.decode()
    assert "said 32" in last.content.decode()
    assert len(first.content) < 120_000
    for nonsense in ("0", "-1", "99999999999", "x", "²"):
        assert operator.get(change(conversation), {"page": nonsense}).status_code == 200


def test_a_documents_page_says_why_it_failed_and_what_was_warned_of(operator: Client, failed: Document) -> None:
    Ingestion.objects.update(warnings=[{"code": "text_unreadable", "detail": "Mostly no words <i>."}])

    text = words(operator.get(change(failed)).content.decode())
    listing = words(operator.get("/admin/documents/document/").content.decode())

    assert "Failed" in text
    assert "The file is damaged" in text
    assert text.count("The file is damaged") == 2  # At the top and in the list of readings, once each.
    assert "Reading it again will fail as well." in text
    assert "The text is hardly words Mostly no words &lt;i&gt;." in text
    assert "1 warning" in listing
    assert "The file is damaged" in listing


def test_pages_lead_to_one_another_both_ways(operator: Client, owner: Person, run: Run, ledger: Wallet) -> None:
    agent, conversation, document = run.agent_version.agent, run.conversation, Document.objects.get(name="fees.txt")
    user, workspace = owner.user, owner.workspace
    ways: list[tuple[Any, Any]] = [
        *((run, row) for row in (user, workspace, agent, conversation)),
        *((conversation, row) for row in (user, workspace, agent)),
        *((document, row) for row in (user, workspace)),
        *((workspace, row) for row in (user, ledger)),
        *((ledger, row) for row in (user, workspace)),
        *((agent, row) for row in (user, workspace, document)),
        (user, workspace),
        *((transfer, workspace) for transfer in ledger.transfers.all()),
    ]
    pages = {start: operator.get(change(start)).content.decode() for start in {start for start, _goal in ways}}
    for start, goal in ways:
        assert f'href="{change(goal)}"' in pages[start], (start, goal)
    back: list[tuple[Any, type[Any]]] = [
        *((user, model) for model in (Run, Conversation, Agent, Document, Wallet, Session)),
        *((workspace, model) for model in (Run, Conversation, Agent, Document, Wallet, Transfer)),
        *((agent, model) for model in (Run, Conversation)),
        (conversation, Run),
        (document, Agent),
        (ledger, Transfer),
    ]
    for start, model in back:
        name = f"{model._meta.app_label}/{model._meta.model_name}"
        of = start.workspace.public_id if isinstance(start, Wallet) else start.public_id
        path = f"/admin/{name}/?of={of}"
        assert f'href="{path}"' in pages[start], (start, model)
        if start in (user, agent, document):  # The others are filtered alike.
            assert operator.get(path).context["cl"].result_count > 0, path


def test_a_list_of_one_objects_things_has_nobody_elses(operator: Client, run: Run, stranger: Person) -> None:
    for path, of in (("agents/run", stranger.user), ("documents/document", stranger.workspace)):
        shown = operator.get(f"/admin/{path}/", {"of": of.public_id})
        assert shown.context["cl"].result_count == 0
        assert str(of) in words(shown.content.decode())
    for nonsense in ("usr_0", "doc_" + "0" * 26, "run_01", "x", "\x00"):
        assert operator.get("/admin/accounts/session/", {"of": nonsense}).status_code == 400


def test_links_need_the_right_to_look_at_what_they_lead_to(run: Run, owner: Person) -> None:
    browser = admin_browser(clerk("agents.view_run"))
    html = browser.get(change(run)).content.decode() + browser.get("/admin/agents/run/").content.decode()
    hrefs = set(re.findall(r'href="(/admin/[^"]*)"', html))
    assert not [href for href in hrefs if re.match(r"/admin/(accounts|billing|documents|agents/(agent|conv))", href)]
    # Nor may it be filtered by what may not be looked at: the list would say whose a run is.
    for of in (owner.user, owner.workspace, run.agent_version.agent):
        assert browser.get("/admin/agents/run/", {"of": of.public_id}).status_code == 400
        assert browser.get("/admin/agents/run/", {"q": of.public_id}).context["cl"].result_count == 0
        assert "Nothing that you may look at" in browser.get("/admin/find/", {"q": of.public_id}).content.decode()


def test_a_typed_id_finds_its_object_in_lists_and_in_one_place(operator: Client, run: Run, ledger: Wallet) -> None:
    document, agent = Document.objects.get(name="fees.txt"), run.agent_version.agent
    reading, session = Ingestion.objects.get(document=document), Session.objects.latest("pk")
    rows: list[Any] = [run, run.conversation, document, agent, reading, session, run.created_by, run.workspace]
    for row in [*rows, *Transfer.objects.all()]:
        listing = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_changelist")
        assert [found.pk for found in operator.get(listing, {"q": row.public_id}).context["cl"].result_list] == [row.pk]
        assert operator.get("/admin/find/", {"q": f" {row.public_id} "})["Location"] == change(row)
    inside = {
        run.steps.all()[0].public_id: run,
        run.input_message.public_id: run.conversation,
        agent.current.public_id: agent,
    }
    for public_id, row in inside.items():
        assert operator.get("/admin/find/", {"q": public_id})["Location"] == change(row)
    assert operator.get("/admin/find/", {"q": "owner@exam"})["Location"] == change(run.created_by)
    for query in ({"s": run.public_id}, {"s": run.public_id, "extended": "1"}):
        assert change(run) in operator.get("/admin/search/", query).content.decode()
    for nonsense in ("run_" + "7" * 26, "run_é", "\x00", "x" * 5000, "%", "@", "run_"):
        assert operator.get("/admin/find/", {"q": nonsense}).status_code == 200, nonsense


def test_a_long_name_ends_in_the_middle_and_its_end_is_seen(operator: Client, owner: Person) -> None:
    Workspace.objects.filter(pk=owner.workspace.pk).update(name=LONG[:140] + " fim")
    upload(owner, "text", "a" * 230 + ".txt")

    for path in ("accounts/workspace", "documents/document", "billing/wallet", "agents/agent"):
        html = operator.get(f"/admin/{path}/").content.decode()
        shown = re.sub(r'title="[^"]*"', "", html)
        assert not re.search(r"[^\s<>\"/=?&;:]{60,}", words(shown)), path
    assert "aaa.txt" in words(operator.get("/admin/documents/document/").content.decode())


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
