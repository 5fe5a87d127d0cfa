"""The admin's pages lead to one another, and lists find an object by its id."""

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from backend.accounts.models import Session, Workspace
from backend.agents.models import Agent, Conversation, Run
from backend.billing.models import Transfer, Wallet
from backend.documents.models import Document, Ingestion
from backend.documents.tests.cast import upload
from tests.actors import Person
from tests.admin.reading import change, words
from tests.operators import admin_browser, clerk

pytestmark = pytest.mark.django_db
LONG = "Secretaria Municipal de Desenvolvimento Urbano e Habitação de São José do Vale do Rio Preto " + "ã" * 50


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
