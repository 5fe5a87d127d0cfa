"""The page's entrance in a browser: coming in, going out, and tabs that share one log-in."""

from playwright.sync_api import Request, expect

from tests.browser import Visitor


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
    refreshes: list[str] = []

    def count(request: Request) -> None:
        if "tokens/refresh" in request.url:
            refreshes.append(request.url)

    ana.context.on("request", count)
    for tab in tabs:  # Begun in both before either is done.
        tab.evaluate(
            """() => {
                const tokens = JSON.parse(localStorage.getItem("orquestra.tokens"));
                localStorage.setItem("orquestra.tokens", JSON.stringify({ ...tokens, ends: 0 }));
                window.asked = import("/static/console/api.js").then(({ accessToken }) =>
                    Promise.all([accessToken(), accessToken(), accessToken()]));
            }"""
        )
    for tab in tabs:
        tokens = set(tab.evaluate("() => window.asked"))
        assert len(tokens) == 1

    # One for both, or one each: what a tab stores reaches the other a moment after the lock may have.
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

    expect(page.locator("#entrance-error")).not_to_be_empty()
    expect(page.locator("#app")).to_be_hidden()
