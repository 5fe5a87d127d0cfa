"""What axe-core finds on the page: nothing serious on any of its sheets, wide and light, narrow and dark."""

from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # It has no types.
from playwright.sync_api import Browser, Page, expect

from tests.browser import Visitor, email, visitor
from tests.live import Stack

# What of the rules of WCAG 2.2 A and AA, and of good practice, axe finds critical or serious.
OPTIONS = {"resultTypes": ["violations"]}
SHEETS = {
    "#/documents": ".library li",
    "#/agents/new": ".agent-form",
    "#/wallet": "#wallet tbody tr",
    "#/settings": ".sessions li",
}


def serious(page: Page) -> list[str]:
    found: list[dict[str, Any]] = Axe().run(page, options=OPTIONS).response["violations"]
    return [
        f"{page.url} {one['id']}: {node['html'][:160]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


@pytest.fixture
def narrow(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def reader(browser: Browser, live: Stack, narrow: bool) -> Iterator[Visitor]:
    phone = {"viewport": {"width": 375, "height": 740}, "locale": "pt-BR", "color_scheme": "dark", "has_touch": True}
    # axe makes markup from text, which the page's own policy forbids.
    yield from visitor(browser, live.base_url, bypass_csp=True, **(phone if narrow else {}))


@pytest.mark.parametrize("narrow", [False, True], indirect=True, ids=["wide", "narrow"])
def test_axe_finds_nothing_serious(reader: Visitor, narrow: bool) -> None:
    page = reader.page
    page.locator("#entrance [type=submit]").first.click()
    expect(page.locator("[aria-invalid]").first).to_be_visible()
    found = serious(page)
    reader.sign_up(email())
    reader.drop("Broken.pdf", b"%PDF-1.7\nnothing that follows makes sense")
    found += serious(page)
    page.locator(".starter").last.click()
    reader.answered()
    page.locator(".cite").first.click()
    expect(page.locator("#source mark")).to_be_visible()
    found += serious(page)
    page.locator("#source-close").click()
    for address, what in list(SHEETS.items())[: 2 if narrow else None]:  # What is left is laid out alike.
        page.evaluate("(address) => { location.hash = address; }", address)
        expect(page.locator(what).first).to_be_visible()
        found += serious(page)
    page.evaluate("() => { location.hash = '#/documents'; }")
    page.locator(".library a").filter(has_text="Broken").click()
    expect(page.locator("#sheet .state")).to_be_visible()
    found += serious(page)

    assert found == []
