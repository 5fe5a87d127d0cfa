"""The page's sheets in a browser: the library, an agent, the wallet; and where an upload goes."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser import Visitor, sideways, visitor
from tests.http_client import ApiClient
from tests.live import Stack
from tests.pages import REGULATION, pdf

PASSWORD = "a long enough pass phrase"
LONG = "Um relatório anual de nome muito comprido, que não termina nunca, versão final.pdf"


@pytest.fixture(scope="module")
def owner(live: Stack) -> Iterator[ApiClient]:
    """A user with a document that is fine, one that is a scan, and one that is damaged, known to two agents."""
    client = ApiClient.sign_up(live.base_url, password=PASSWORD)
    known = [
        client.upload("Lagoa Itaperema.pdf", REGULATION),
        client.upload(LONG, pdf("")),
        client.upload("Broken.pdf", b"%PDF-1.7\nnothing that follows makes sense"),
    ]
    for name in ("Licence desk", "Balcão"):
        client.call("POST", "/api/v1/agents", {"name": name, "knowledge": [{"document": one["id"]} for one in known]})
    yield client
    client.close()


def enter(visitor: Visitor, owner: ApiClient) -> Page:
    """Log in as a user who exists already."""
    page = visitor.page
    tokens = {**owner.tokens, "sub": "", "ends": 9e15}
    page.evaluate("(tokens) => localStorage.setItem('orquestra.tokens', JSON.stringify(tokens))", tokens)
    page.reload()
    expect(page.locator("#agent .knows")).not_to_be_empty()
    return page


@pytest.fixture
def desk(browser: Browser, live: Stack, owner: ApiClient) -> Iterator[Page]:
    for one in visitor(browser, live.base_url):
        yield enter(one, owner)


def opened(page: Page, address: str, what: str) -> None:
    page.evaluate("(address) => { location.hash = address; }", address)
    expect(page.locator(what).first).to_be_visible()


def test_an_upload_asks_where_it_goes(ana: Visitor) -> None:
    page = ana.page
    ana.drag("Lagoa.pdf", REGULATION)
    dialog = page.locator("#upload-dialog")
    expect(dialog.locator("[type=submit]")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.locator("#documents")).not_to_contain_text("Lagoa.pdf")

    ana.drag("Lagoa.pdf", REGULATION)
    dialog.get_by_label("Agent that is to know them").select_option(label="None for now")
    dialog.locator("[name=collection]").select_option(label="Guide to Orquestra")
    expect(dialog).to_contain_text("This collection is known to Guide too.")
    dialog.locator("[name=collection]").select_option(label="New collection …")
    dialog.locator("[type=submit]").click()
    expect(dialog.locator("[name=name]")).to_have_accessible_description("Fill this in.")
    dialog.locator("[name=name]").fill("Waters")
    dialog.locator("[type=submit]").click()
    ana.wait_ready("Lagoa.pdf")
    expect(page.locator("#agent .knows")).to_contain_text("knows 1 document,")

    page.locator("#documents-title a").click()
    page.locator(".library a").filter(has_text="Lagoa.pdf").click()
    expect(page.locator("#sheet")).to_contain_text("No agent knows it.")
    page.reload()  # A sheet has an address.
    expect(page.locator("#sheet .chips").last).to_contain_text("Waters")


def test_the_library_says_for_good_what_went_wrong_and_who_knows_what(desk: Page) -> None:
    page, rows = desk, desk.locator(".library li")
    opened(page, "#/documents", ".library li")
    expect(rows.filter(has_text="Broken.pdf")).to_contain_text("It could not be read: it is damaged.")
    expect(rows.filter(has_text="Um relatório")).to_contain_text("No text was found in it; it may be a scan.")
    expect(rows.filter(has_text="Lagoa")).to_contain_text(re.compile("PDF, 3 pages, .* known to Balcão, Licence desk"))
    for name, badge in (("Broken.pdf", "failed"), ("Um relatório", "ready, in part"), ("Lagoa", "ready")):
        expect(rows.filter(has_text=name).locator(".badge-status")).to_have_text(badge)
    for status, name in (("failed", "Broken.pdf"), ("ready, in part", "Um relatório")):
        page.get_by_label("Status").select_option(label=status)
        expect(rows).to_have_text([re.compile(name)])
    page.get_by_label("Status").select_option(label="Any status")
    expect(rows).to_have_count(4)
    page.locator("#sheet").get_by_label("Find a document").fill("lagoa")
    expect(rows).to_have_text([re.compile("Lagoa Itaperema")])

    rows.locator("a").click()
    page.get_by_label("Take it away from “Balcão”").click()
    chips = page.locator("#sheet .chips").first
    expect(chips).not_to_contain_text("Balcão")
    expect(chips).to_contain_text("Licence desk")
    page.get_by_role("button", name="Delete", exact=True).click()
    asked = page.locator("dialog[open]")
    expect(asked).to_contain_text("Delete “Lagoa Itaperema.pdf”? No longer known to “Licence desk”.")
    asked.locator(".quiet").click()
    page.get_by_role("button", name="Show it").click()
    expect(page.locator("#source .name")).to_contain_text("Lagoa Itaperema.pdf")
    expect(page.locator("#sheet")).to_be_hidden()


def test_three_hundred_documents_come_page_by_page(desk: Page) -> None:
    page = desk
    one = page.evaluate(
        """() => import("/static/console/api.js").then(({ get }) => get("/api/v1/documents?limit=1"))"""
    )["results"][0]
    many = [{**one, "id": f"doc_{n:026}", "name": f"{n} {LONG}"} for n in range(300)]

    def answer(route: Route) -> None:
        found = re.search(r"cursor=(\d+)", route.request.url)
        start = int(found[1]) if found else 0
        following = f"http://x/api/v1/documents?cursor={start + 50}" if start + 50 < len(many) else None
        route.fulfill(json={"results": many[start : start + 50], "next": following, "previous": None})

    page.route(re.compile(r"/api/v1/documents(\?|$)"), answer)
    opened(page, "#/documents", ".library li")
    for shown in range(50, 300, 50):
        expect(page.locator(".library li")).to_have_count(shown)
        page.locator("#sheet .more").click()
    expect(page.locator(".library li")).to_have_count(300)
    expect(page.locator("#sheet .more")).to_be_hidden()
    assert sideways(page) <= 0
    name = page.locator(".library li").last
    assert name.evaluate("(row) => row.scrollWidth <= row.clientWidth")  # A long name is wrapped.


def test_an_agent_is_changed_where_it_can_be_seen(desk: Page, owner: ApiClient) -> None:
    page, form = desk, desk.locator(".agent-form")
    known = [{"document": one["id"]} for one in owner.call("GET", "/api/v1/documents?q=pdf")["results"][:3]]
    made = owner.call("POST", "/api/v1/agents", {"name": "Desk", "knowledge": known})
    page.evaluate("(id) => localStorage.setItem('orquestra.agent', id)", made["id"])
    page.reload()
    expect(page.locator("#agent .name")).to_have_text("Desk")
    page.locator("#agent").click()
    page.locator(".edit-agent").click()
    expect(form.locator(".price")).to_have_text(
        "Per million tokens: $0.40 for what it reads, $1.60 for what it writes."
    )
    expect(page.locator("#sheet h2")).to_have_text(page.locator("#agent .name").inner_text())
    expect(form.locator(".knowledge .chips")).to_contain_text(LONG)
    form.get_by_label(f"Take away “{LONG}”").click()
    form.locator("[name=name]").fill("")
    form.locator("summary").click()
    form.get_by_label("It may cost at most").fill("much")
    form.locator("summary").click()
    form.locator("[type=submit]").click()
    expect(form.locator("[name=name]")).to_be_focused()
    expect(form.locator("[name=name]")).to_have_accessible_description("Fill this in.")
    expect(form.get_by_label("It may cost at most")).to_be_visible()  # Its reason would be hidden with it.
    expect(form.locator(".error:not(:empty)")).to_have_count(2)

    form.locator("[name=name]").fill("Front desk")
    form.get_by_label("It may cost at most").fill("0.05")
    form.get_by_label("Questions to start with").fill("What does a licence cost?\n\n Who is exempt? ")
    form.locator("[type=submit]").click()
    expect(page.locator("#agent .name")).to_have_text("Front desk")
    expect(page.locator("#agent .knows")).to_contain_text("knows 2 documents")
    expect(page.locator(".starter")).to_have_text(["What does a licence cost?", "Who is exempt?"])
    expect(page.locator("#sheet")).to_be_hidden()

    page.locator("#agent").click()
    page.locator(".edit-agent").click()
    expect(form.get_by_label("It may cost at most")).to_have_value("0.05")
    form.get_by_role("button", name="Delete agent").click()
    page.locator("dialog[open] .primary").click()
    expect(page.locator("#agent .name")).not_to_have_text("Front desk")


def test_what_was_paid_leads_to_its_answer_on_a_phone(rui: Visitor, live: Stack) -> None:
    person = ApiClient.sign_up(live.base_url, password=PASSWORD)
    agent = person.call("GET", "/api/v1/agents")["results"][0]["id"]
    asked = person.call("POST", "/api/v1/conversations", {"agent": agent, "input": "Quanto custa uma resposta?"})
    page = enter(rui, person)
    page.locator("#tabs [data-view=wallet]").click()
    rows = page.locator("#wallet tbody tr")
    expect(rows.last).to_contain_text("Crédito de boas-vindas")
    expect(page.locator("#wallet .chart .zero")).to_have_count(1)
    paid = rows.filter(has_text="Resposta de").locator("a")
    for _ in range(40):  # Until the run has ended.
        if person.call("GET", f"/api/v1/runs/{asked['run']['id']}")["status"] == "completed":
            break
        page.wait_for_timeout(250)
    person.close()
    page.reload()
    expect(page.locator("#wallet .amount")).to_have_text(re.compile(r"^US\$\s4,99\d\d$"))
    expect(page.locator("#wallet .chart svg")).to_have_accessible_name(re.compile("US\\$\\s5,00 no máximo"))
    assert sideways(page) <= 0
    paid.click()
    expect(page.locator(".message.assistant .answer")).to_be_visible()
    expect(page.locator("#sheet")).to_be_hidden()

    def used_up(route: Route) -> None:
        wallet: dict[str, Any] = route.fetch().json()
        route.fulfill(json=wallet | {"available": "0.00", "posted": "0.00"})

    page.route("**/api/v1/billing/balance", used_up)
    page.locator("#tabs [data-view=wallet]").click()
    expect(page.locator(".wallet-empty")).to_contain_text("Seu saldo acabou.")


def test_settings_are_kept_and_a_password_is_changed(ana: Visitor) -> None:
    page, paper = ana.page, "() => getComputedStyle(document.body).backgroundColor"
    page.locator("#account").click()
    page.locator("#settings").click()
    page.get_by_label("dark", exact=True).check()
    dark = page.evaluate(paper)
    page.reload()
    expect(page.get_by_label("dark", exact=True)).to_be_checked()
    assert page.evaluate(paper) == dark == "rgb(23, 20, 18)"
    expect(page.locator(".sessions li")).to_contain_text(re.compile("Chrome, Linux.*here, now"))

    before, now = page.get_by_label("Password now"), page.get_by_label("New password")
    before.fill("not this one")
    now.fill("a quite different pass phrase")
    now.press("Enter")
    expect(before).to_have_accessible_description("This is not your password.")
    before.fill(PASSWORD)
    before.press("Enter")
    expect(page.locator("#toasts")).to_contain_text("Your password is changed.")
    page.locator("#sheet-close").click()
    page.locator("#account").click()
    page.locator("#logout").click()
    page.locator("#entrance [name=password]").fill("a quite different pass phrase")
    page.keyboard.press("Enter")
    expect(page.locator("#question")).to_be_focused()
