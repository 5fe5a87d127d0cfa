"""The page's entrance in a browser: coming in, going out, and tabs that share one log-in."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser import Visitor, held_back, sideways, visitor
from tests.http_client import ApiClient
from tests.live import Stack
from tests.second_factor import PASSWORD, SecondFactor, somebody_with_a_second_factor


def test_logging_out_in_one_tab_shows_the_entrance_in_the_other(ana: Visitor) -> None:
    other = ana.tab()
    other.locator(".starter").first.wait_for()
    ana.page.locator("#question").fill("half a thought")
    other.locator("#account").click()
    other.locator("#logout").click()

    expect(ana.page.locator("#entrance-why")).to_contain_text("another tab")
    expect(ana.page.locator("#app")).to_be_hidden()
    expect(ana.page.locator("#entrance [name=email]")).not_to_have_value("")
    ana.page.locator("#entrance [name=password]").fill("a long enough pass phrase")
    ana.page.locator("#entrance [name=password]").press("Enter")
    expect(ana.page.locator("#question")).to_have_value("half a thought")


def test_tabs_that_refresh_at_once_all_stay_logged_in(ana: Visitor) -> None:
    tabs = [ana.page, ana.tab()]
    tabs[1].locator(".starter").first.wait_for()
    refreshes: list[Route] = []
    released = False

    def hold(route: Route) -> None:
        """So that no tab has new tokens before the other asks."""
        refreshes.append(route)
        if released:
            route.continue_()

    ana.context.route("**/tokens/refresh", hold)
    tabs[0].evaluate(
        """() => {
            const tokens = JSON.parse(localStorage.getItem("orquestra.tokens"));
            localStorage.setItem("orquestra.tokens", JSON.stringify({ ...tokens, ends: 0 }));
        }"""
    )
    # What one tab stores reaches the other a moment later.
    tabs[1].wait_for_function("() => JSON.parse(localStorage.getItem('orquestra.tokens')).ends === 0", polling=50)
    for tab in tabs:
        tab.evaluate(
            """() => {
                window.asked = import("/static/console/api.js").then(({ accessToken }) =>
                    Promise.all([accessToken(), accessToken(), accessToken()]));
            }"""
        )
    held_back(tabs[0], refreshes, 1)
    released = True
    for route in refreshes[:]:
        route.continue_()
    for tab in tabs:
        tokens = set(tab.evaluate("() => window.asked"))
        assert len(tokens) == 1

    # One for both, or one each: what a tab stores may reach the other a moment after the lock does.
    assert 1 <= len(refreshes) <= 2
    for tab in tabs:
        tab.locator("#balance").click()
        expect(tab.locator("#wallet tbody tr")).to_have_count(1)


def test_a_wrong_password_is_said_in_words(ana: Visitor) -> None:
    page = ana.page
    page.locator("#account").click()
    page.locator("#logout").click()
    page.locator("#entrance [name=password]").fill("not this one")
    page.locator("#entrance [name=password]").press("Enter")

    password = page.locator("#entrance [name=password]")
    expect(password).to_be_focused()
    expect(password).to_have_accessible_name("Password")
    expect(password).to_have_accessible_description("The address or the password is wrong.")
    expect(page.locator("#entrance .error").filter(visible=True)).to_have_count(1)  # Once, and at its field.
    expect(page.locator("#app")).to_be_hidden()


@pytest.fixture(scope="module")
def careful(live: Stack) -> tuple[str, SecondFactor]:
    """The e-mail address of an account that asks for a second factor, and that factor."""
    return somebody_with_a_second_factor(live)


@pytest.fixture
def door(browser: Browser, live: Stack) -> Iterator[Visitor]:
    """A person without a log-in, on a desktop."""
    yield from visitor(browser, live.base_url)


def log_in(page: Page, address: str) -> None:
    """With the password, from the form that a new person is shown."""
    page.locator("#entrance-other").click()
    page.locator("#entrance [name=email]").fill(address)
    page.locator("#entrance [name=password]").fill(PASSWORD)
    page.locator("#entrance [name=password]").press("Enter")


def test_the_code_of_an_app_is_the_second_step(door: Visitor, careful: tuple[str, SecondFactor]) -> None:
    (address, factor), page, keyboard = careful, door.page, door.page.keyboard
    log_in(page, address)
    code, error = page.locator("[name=code]"), page.locator("#second-step .error").filter(visible=True)
    expect(code).to_be_focused()
    expect(code).to_have_accessible_name("Code")
    expect(code).to_have_accessible_description(re.compile("^Enter the 6 digits"))
    expect(code).to_have_attribute("autocomplete", "one-time-code")
    expect(page.locator("#entrance h1").filter(visible=True)).to_have_text("Second step")

    keyboard.press("Enter")
    expect(error).to_have_text("Enter the code first.")
    keyboard.type("00000x")
    keyboard.press("Enter")
    expect(error).to_contain_text("This code is not right")
    expect(code).to_be_focused()
    expect(code).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#app")).to_be_hidden()

    right = factor.code()
    keyboard.type(f"{right[:3]} {right[3:]}")  # Over the wrong one, which is selected; in groups, as apps show it.
    keyboard.press("Enter")
    expect(page.locator("#balance .amount")).to_have_text("$5.00")
    page.reload()
    expect(page.locator("#balance .amount")).to_have_text("$5.00")


def test_a_recovery_code_does_too_on_a_phone_and_the_way_back_is_open(
    rui: Visitor, careful: tuple[str, SecondFactor]
) -> None:
    (address, factor), page = careful, rui.page
    password = page.locator("#entrance [name=password]")
    log_in(page, address)
    expect(page.locator("#second-step h1")).to_have_text("Segunda etapa")
    assert sideways(page) <= 0
    page.locator("#second-step-back").click()
    expect(password).to_be_focused()
    expect(password).to_have_value("")
    expect(page.locator("#entrance [name=email]")).to_have_value(address)
    expect(page.locator("#second-step")).to_be_hidden()

    password.fill(PASSWORD)
    password.press("Enter")
    expect(page.locator("[name=code]")).to_be_focused()  # A press does not wait until it can be seen.
    page.locator("[name=code]").press("Escape")
    expect(password).to_be_focused()
    password.fill(PASSWORD)
    password.press("Enter")
    page.locator("[name=code]").fill(factor.recovery_codes[0])
    page.locator("#second-step [type=submit]").click()
    expect(page.locator("#tabs .amount")).to_have_text("US$\xa05,00")


def test_a_log_in_that_waited_too_long_begins_again(
    door: Visitor, live: Stack, careful: tuple[str, SecondFactor]
) -> None:
    (address, factor), page = careful, door.page
    log_in(page, address)
    expect(page.locator("[name=code]")).to_be_focused()
    assert live.rows("DELETE FROM django_session RETURNING session_key")
    page.locator("[name=code]").fill(factor.recovery_codes[1])
    page.locator("[name=code]").press("Enter")

    expect(page.locator("#entrance-error")).to_have_text("That took too long. Enter your password once more.")
    expect(page.locator("#entrance [name=password]")).to_be_focused()


@pytest.fixture
def person(live: Stack) -> Iterator[ApiClient]:
    """An account that was made through the API."""
    client = ApiClient.sign_up(live.base_url)
    yield client
    client.close()


def mailed(live: Stack, to: str, pattern: str) -> str:
    """What a mail to an address holds; a worker sends it a moment after the request."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        mails = sorted(Path(live.environment["DATA_DIR"], "mail").glob("*"), reverse=True)
        for text in (mail.read_text() for mail in mails):
            if f"To: {to}" in text and (found := re.search(pattern, text, flags=re.MULTILINE)):
                return found[0]
        time.sleep(0.1)
    raise AssertionError(f"no mail to {to}")


def test_a_forgotten_password_is_chosen_anew_by_the_mailed_link(door: Visitor, live: Stack, person: ApiClient) -> None:
    page = door.page
    error = page.locator("#entrance .error").filter(visible=True)
    page.locator("#entrance-other").click()
    page.locator("#entrance-forgotten").click()
    page.keyboard.press("Enter")
    expect(page.locator("[name=email]")).to_have_accessible_description("Fill this in.")
    page.keyboard.type(person.email)
    expect(error).to_have_count(0)
    page.keyboard.press("Enter")
    expect(page.locator("#entrance-why")).to_contain_text(f"If {person.email} has an account here")

    link = mailed(live, person.email, r"http://\S+/#/reset-password/\S+")
    page.goto(link)
    password = page.locator("#entrance [name=password]")
    expect(password).to_be_focused()
    expect(page.locator("#entrance [name=email]")).to_be_hidden()
    assert "reset-password" not in page.url  # The key is not kept in the address.
    page.keyboard.type("12")
    page.keyboard.press("Enter")
    expect(password).to_have_accessible_description(re.compile("too short"))
    password.fill("an even longer pass phrase")
    page.keyboard.press("Enter")
    expect(page.locator("#balance .amount")).to_have_text("$5.00")
    expect(page.locator("#question")).to_be_focused()

    page.goto(link)  # A second time: the page stays, and only its address changes.
    expect(password).to_be_focused()
    page.keyboard.type("a third pass phrase")
    page.keyboard.press("Enter")
    expect(page.locator("#entrance-why")).to_contain_text("not good any more")
    page.locator("[name=email]").fill(person.email)
    page.locator("#entrance-code").click()
    expect(page.locator("[name=code]")).to_be_focused()
    page.keyboard.type(mailed(live, person.email, r"^[A-Z0-9]{4}-[A-Z0-9]{4}$"))
    page.keyboard.press("Enter")
    expect(page.locator("#balance .amount")).to_have_text("$5.00")


def test_a_link_that_confirms_an_address_leads_to_words(door: Visitor) -> None:
    page = door.page
    page.goto(f"{door.base_url}/#/verify-email/nonsense")
    expect(page.locator("#entrance-why")).to_contain_text("not good any more")

    page.route(
        "**/api/v1/auth/email/verify",
        lambda route: route.fulfill(status=401, json={"status": 401, "data": {"flows": [{"id": "login"}]}}),
    )
    page.goto(f"{door.base_url}/#/verify-email/good")
    expect(page.locator("#entrance-why")).to_contain_text("Your address is confirmed.")
    expect(page.locator("#entrance h1").filter(visible=True)).to_have_text("Forgotten password")


def test_who_is_shut_out_reads_why(rui: Visitor, live: Stack, person: ApiClient) -> None:
    page = rui.page
    live.rows("UPDATE accounts_user SET is_active = false WHERE email = %s RETURNING id", person.email)
    log_in(page, person.email)
    error = page.locator("#entrance .error").filter(visible=True)
    expect(error).to_have_text(
        "Sua senha está certa, mas esta conta está desativada. Fale com quem cuida desta instalação."
    )

    for _guess in range(10):
        refused = person.http.post("/api/v1/auth/login", json={"email": person.email, "password": "a wrong one"})
    assert refused.status_code == 422
    page.locator("#entrance [name=password]").press("Enter")
    expect(error).to_have_text("Tentativas demais sem sucesso. Tente de novo em 5 min.")
    page.route(
        "**/api/v1/auth/login",
        lambda route: route.fulfill(status=429, headers={"Retry-After": "40"}, json={"code": "rate_limited"}),
    )
    page.locator("#entrance [name=password]").press("Enter")
    expect(error).to_have_text("Pedidos demais. Tente de novo em 40 segundos.")


def test_logging_out_leaves_no_refusal_behind(ana: Visitor) -> None:
    page, refused = ana.page, list[str]()
    page.on("response", lambda response: refused.append(response.url) if response.status >= 400 else None)
    page.locator("#account").click()
    with page.expect_response("**/api/v1/sessions/*") as ended:
        page.locator("#logout").click()

    assert ended.value.status == 204
    expect(page.locator("#entrance [name=password]")).to_be_focused()
    assert refused == []


def test_an_address_that_does_not_exist_has_a_page_for_people(rui: Visitor) -> None:
    page = rui.page
    response = page.goto(f"{rui.base_url}/nope")

    assert response is not None
    assert response.status == 404
    expect(page.locator("h1")).to_have_text("Não há nada neste endereço")
    assert sideways(page) <= 0
    page.locator("a").click()
    expect(page.locator("#entrance form").first).to_be_visible()


def test_a_step_that_cannot_be_done_here_is_said_so(door: Visitor) -> None:
    page = door.page
    flows = [{"id": "login"}, {"id": "mfa_authenticate", "is_pending": True, "types": ["webauthn"]}]
    answer = {"status": 401, "data": {"flows": flows}, "meta": {"is_authenticated": False, "session_token": "x"}}
    page.route("**/api/v1/auth/login", lambda route: route.fulfill(status=401, json=answer))
    log_in(page, "ana@example.com")

    expect(page.locator("#entrance-error")).to_contain_text("a passkey")
    expect(page.locator("#second-step")).to_be_hidden()
