"""The admin's pages show money as money, what happened in a run, and why a document failed."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from backend.agents.models import Message, Run, Step
from backend.billing import operations as billing
from backend.billing.models import Wallet
from backend.billing.tests.conftest import hold
from backend.documents.models import Document, Ingestion, Usage
from tests.actors import Person
from tests.admin.reading import change, words
from tests.operators import admin_browser, clerk

pytestmark = pytest.mark.django_db
MICRO = re.compile(r">\s*-?\d{5,}\s*<")  # A bare number as large as amounts of micro-units are.


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
    assert "The texts that the model read (passages, tool results) are not shown to operators" in text

    began = datetime(2031, 3, 5, 14, 7, 9, tzinfo=UTC)
    for index, lasted in ((1, 42), (2, 1_500)):
        end = began + timedelta(milliseconds=lasted)
        run.steps.filter(index=index).update(started_at=began, finished_at=end)
    text = words(operator.get(change(run)).content.decode())
    assert "14:07:09 42 ms" in text
    assert "14:07:09 1.5 seconds" in text
    portuguese = words(operator.get(change(run), headers={"Accept-Language": "pt-BR"}).content.decode())
    assert "05/03/2031 14:07:09 1,5 segundos" in portuguese
    assert "não são mostrados a operadores" in portuguese


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
