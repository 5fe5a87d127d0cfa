"""The admin in a browser: its Content-Security-Policy leaves every page of it working."""

import re
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from tests.http_client import ApiClient
from tests.live import ROOT, Stack

OPERATOR, PASSWORD = "op@example.com", "a long enough pass phrase"
ID = re.compile(r"/([0-9a-f]{8}-[0-9a-f-]{27}|\d+)/")
VIOLATIONS = """addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
    console.error(`Refused by ${violatedDirective}: ${blockedURI}`));"""


@pytest.fixture(scope="module")
def furnished(live: Stack) -> Stack:
    """An operator, and a row in every list: a user with documents, an agent, an answer and its price."""
    command = [sys.executable, "manage.py", "create_operator", "--email", OPERATOR, "--password", PASSWORD]
    subprocess.run(command, cwd=ROOT, env=live.environment, check=True, capture_output=True, timeout=60)
    person = ApiClient.sign_up(live.base_url)
    agent = person.call("GET", "/api/v1/agents")["results"][0]["id"]
    person.ask(agent, "What does an answer cost?")
    person.close()
    return live


@pytest.fixture
def admin(browser: Browser, furnished: Stack) -> Iterator[Page]:
    """The operator before the dashboard. Whatever the browser complained of fails the test."""
    context = browser.new_context(
        base_url=furnished.base_url, viewport={"width": 1440, "height": 900}, locale="en-US", reduced_motion="reduce"
    )
    context.set_default_timeout(15_000)
    context.add_init_script(VIOLATIONS)
    complaints: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(f"{message.page.url if message.page else ''}: {message.text}")

    context.on("console", listen)
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    page = context.new_page()
    page.goto("/admin/")
    page.locator("[name=username]").fill(OPERATOR)
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("[name=password]").press("Enter")
    expect(page.get_by_role("link", name="Overview")).to_be_visible()
    yield page
    context.close()
    assert complaints == []


def test_every_page_opens_without_a_complaint(admin: Page) -> None:
    """Whatever can be reached by links, one page of each kind: an id stands for all ids, queries are left out."""
    waiting, seen = ["/admin/"], {"/admin/"}
    while waiting:
        response = admin.goto(waiting.pop())
        assert response is not None
        assert response.status == 200, response.url
        assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
        for address in admin.eval_on_selector_all("a[href]", "links => links.map((link) => link.href)"):
            path = urlsplit(address).path
            kind = ID.sub("/…/", path)
            if path.startswith("/admin/") and kind not in seen:
                seen.add(kind)
                waiting.append(path)

    assert {"/admin/agents/run/", "/admin/agents/run/…/change/", "/admin/accounts/membership/add/"} <= seen
    assert {"/admin/billing/wallet/…/move-money/", "/admin/documents/ingestion/…/change/"} <= seen


def test_a_list_is_filtered_by_date(admin: Page) -> None:
    admin.goto("/admin/billing/transfer/")
    admin.get_by_text("filter_list").click()
    admin.get_by_role("link", name="Today").click()
    expect(admin).to_have_url(re.compile("created_at__gte"))
    expect(admin.locator("#result_list tbody tr").first).to_be_visible()


def test_an_action_is_run(admin: Page) -> None:
    admin.goto("/admin/accounts/session/")
    admin.locator("input.action-select").first.check()
    admin.locator("select[name=action]").select_option("revoke")
    admin.get_by_role("button", name="Run").click()
    expect(admin.get_by_text("1 log-in ended.")).to_be_visible()


def test_another_object_is_searched_for_or_made_in_a_window_beside(admin: Page) -> None:
    admin.goto("/admin/accounts/membership/add/")
    admin.locator(".select2-selection").first.click()
    admin.locator(".select2-results__option", has_text="op").first.click()
    expect(admin.locator("#select2-id_workspace-container")).not_to_be_empty()
    admin.locator("[x-ref=relatedWidgetWrapperuser]").click()
    with admin.expect_popup() as opened:
        admin.locator("#add_id_user").click()
    window = opened.value
    window.locator("[name=email]").fill("new@example.com")
    window.locator("[name=password1]").fill(PASSWORD)
    window.locator("[name=password2]").fill(PASSWORD)
    with window.expect_event("close"):
        window.locator("[name=_save]").click()
    expect(admin.locator("#id_user option:checked")).to_have_text("new@example.com")


def test_colours_are_chosen_and_pages_found(admin: Page) -> None:
    admin.get_by_text("unfold_more").click()
    admin.get_by_text("Dark", exact=True).click()
    expect(admin.locator("html")).to_have_class(re.compile(r"\bdark\b"))
    admin.keyboard.press("Escape")
    admin.keyboard.press("Control+k")
    admin.locator("#search-input-command").press_sequentially("wallet")
    admin.locator("#command-results a", has_text="Wallets").click()
    expect(admin).to_have_url(re.compile("/admin/billing/wallet/"))
