"""Chromium for tests and pictures of the page."""

import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # It has no types.
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    FloatRect,
    Locator,
    Page,
    Route,
    expect,
    sync_playwright,
)

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def executable() -> str | None:
    """The Chromium or Chrome of this machine; CHROMIUM names another."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Skips the test where there is no browser."""
    path = executable()
    if path is None:
        pytest.skip("There is no Chromium here (apt install chromium), so nobody has looked at the page.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, headless=True, args=FLAGS)
        yield browser
        browser.close()


class Visitor:
    """A person with the page open. ``complaints``: what the browser's console logged that no page may cause."""

    def __init__(self, context: BrowserContext, base_url: str) -> None:
        self.context, self.base_url = context, base_url
        self.complaints: list[str] = []
        self.page = self.tab()

    def tab(self) -> Page:
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._listen)
        page.goto(self.base_url)
        try:
            expect(page.locator("#entrance, #app").filter(visible=True)).to_be_visible(timeout=10_000)
        except AssertionError:
            # Chromium drops what it is loading when a network interface comes or goes: a container beside this test.
            page.reload()
        return page

    def _listen(self, message: ConsoleMessage) -> None:
        # The browser reports every refusal of the server; those are the page's to handle, and it has no say in this.
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self.complaints.append(message.text)

    def sign_up(self, email: str, password: str = "a long enough pass phrase") -> None:
        form = self.page.locator("#entrance form")
        form.locator("[name=email]").fill(email)
        form.locator("[name=password]").fill(password)
        form.locator("[name=password]").press("Enter")
        expect(self.page.locator("#agent .knows")).not_to_be_empty(timeout=15_000)

    def drop(self, name: str, content: bytes) -> None:
        """Drop a file onto the page, as from a file manager, for the agent that is talked to."""
        self.drag(name, content)
        self.page.locator("#upload-dialog [type=submit]").click()

    def drag(self, name: str, content: bytes) -> None:
        """Drop a file onto the page, which then asks where it goes."""
        self.page.evaluate(
            """([name, bytes]) => {
                const dataTransfer = new DataTransfer();
                dataTransfer.items.add(new File([new Uint8Array(bytes)], name));
                for (const type of ["dragenter", "dragover", "drop"])
                    document.body.dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
            }""",
            [name, list(content)],
        )

    def wait_ready(self, name: str) -> None:
        """Until the list says that the document is ready."""
        row = self.page.locator("#documents li").filter(has_text=name)
        row.locator(".badge-status.ready").wait_for(timeout=60_000)

    def ask(self, question: str) -> None:
        self.page.locator("#question").fill(question)
        self.page.locator("#question").press("Enter")

    def answered(self, number: int = 0) -> None:
        """Until the answer with this number has its facts: sources, tokens, cost, time."""
        self.page.locator(".message.assistant").nth(number).locator(".facts").wait_for(timeout=60_000)


def answer_with(page: Page, **run: object) -> None:
    """From now on, questions get this run as their answer: it has ended already."""
    ids = {"id": "run_1", "input_message": "msg_1", "output_message": "msg_2"}
    frames = [
        ("run.queued", {"run": {**ids, "status": "queued"}}),
        (f"run.{run['status']}", {"run": {**ids, **run}}),
    ]
    body = "".join(f"id: 1-{n}\nevent: {name}\ndata: {json.dumps(data)}\n\n" for n, (name, data) in enumerate(frames))
    headers = {"Orquestra-Run": "run_1", "Location": "/api/v1/conversations/cnv_1"}

    def answer(route: Route) -> None:
        if route.request.method != "POST":
            route.continue_()
            return
        route.fulfill(status=200, content_type="text/event-stream", headers=headers, body=body)

    page.route(re.compile(r"/api/v1/conversations(/[^/]+/runs)?$"), answer)


def visitor(browser: Browser, base_url: str, **options: object) -> Iterator[Visitor]:
    """A person with the page open on a desktop, unless ``options`` of the browser's context say otherwise."""
    context = browser.new_context(
        **{"viewport": {"width": 1440, "height": 900}, "locale": "en-US", "reduced_motion": "reduce"} | options  # type: ignore[arg-type]  # Options of several types.
    )
    context.set_default_timeout(15_000)
    visitor = Visitor(context, base_url)
    yield visitor
    assert visitor.complaints == []
    context.close()


def held_back(page: Page, held: list[Route], number: int) -> None:
    """Until so many requests have been held back."""
    for _ in range(500):
        if len(held) >= number:
            return
        page.wait_for_timeout(20)
    raise AssertionError(held)


def email() -> str:
    return f"{uuid.uuid4().hex}@example.com"


def rectangle(locator: Locator) -> FloatRect:
    box = locator.bounding_box()
    assert box is not None
    return box


def sideways(page: Page) -> float:
    """How far the page can be scrolled to the side, in pixels."""
    return float(page.evaluate("() => document.documentElement.scrollWidth - innerWidth"))


def barriers(page: Page) -> list[str]:
    """What keeps people with assistive software out, serious or worse, as axe-core finds it in what is on show."""
    rules = {"label-content-name-mismatch": {"enabled": True}}  # It is off unless it is asked for.
    found = Axe().run(page, options={"rules": rules}).response["violations"]
    return [
        f"{one['id']}: {[node['html'][:200] for node in one['nodes']]}"
        for one in found
        if one["impact"] in ("serious", "critical") or one["id"] == "landmark-unique"
    ]


def screenshot(page: Page, path: Path) -> None:
    page.evaluate("() => document.fonts.ready")
    page.screenshot(path=path, animations="disabled", caret="hide")
