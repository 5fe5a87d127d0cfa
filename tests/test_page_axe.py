"""What axe-core finds on the page: nothing serious on any of its sheets, wide and light, narrow and dark."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import Visitor, barriers, email, visitor
from tests.live import Stack

SHEETS = {
    "#/documents": ".library li",
    "#/agents/new": ".agent-form",
    "#/wallet": "#wallet tbody tr",
    "#/settings": ".sessions li",
}


@pytest.fixture
def narrow(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def reader(browser: Browser, live: Stack, narrow: bool) -> Iterator[Visitor]:
    phone = {"viewport": {"width": 375, "height": 740}, "locale": "pt-BR", "color_scheme": "dark", "has_touch": True}
    yield from visitor(browser, live.base_url, **(phone if narrow else {}))


@pytest.mark.parametrize("narrow", [False, True], indirect=True, ids=["wide", "narrow"])
def test_axe_finds_nothing_serious(reader: Visitor, narrow: bool) -> None:
    page = reader.page
    page.locator("#entrance [type=submit]").first.click()
    expect(page.locator("[aria-invalid]").first).to_be_visible()
    found = barriers(page)
    reader.sign_up(email())
    reader.drop("Broken.pdf", b"%PDF-1.7\nnothing that follows makes sense")
    found += barriers(page)
    for address, what in list(SHEETS.items())[: 2 if narrow else None]:  # What is left is laid out alike.
        page.evaluate("(address) => { location.hash = address; }", address)
        expect(page.locator(what).first).to_be_visible()
        found += barriers(page)
    page.evaluate("() => { location.hash = '#/documents'; }")
    page.locator(".library a").filter(has_text="Broken").click()
    expect(page.locator("#sheet .state")).to_be_visible()
    found += barriers(page)

    assert found == []
