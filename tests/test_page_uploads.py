"""The page in a browser: a question during an upload, and what the page requests for an answer."""

import re
from pathlib import Path

from playwright.sync_api import Request, Route, expect

from tests.browser import Visitor, email, held_back, rectangle
from tests.pages import QUESTION, REGULATION

NAME = "Lagoa Itaperema.pdf"
KNOWLEDGE = re.compile(r"/api/v1/agents/[^/]+/knowledge$")


def hold(visitor: Visitor, url: str | re.Pattern[str], method: str) -> list[Route]:
    """Hold back the requests with this method; the list grows as they come."""
    held: list[Route] = []
    visitor.page.route(url, lambda route: held.append(route) if route.request.method == method else route.continue_())
    return held


def questions(visitor: Visitor) -> list[Request]:
    """The questions that the page sends from now on."""
    sent: list[Request] = []
    asks = re.compile(r"/api/v1/conversations(/[^/]+/runs)?$")
    visitor.page.on("request", lambda one: sent.append(one) if one.method == "POST" and asks.search(one.url) else None)
    return sent


def test_a_question_waits_until_the_agent_knows_the_file(ana: Visitor) -> None:
    page = ana.page
    sent, uploads, puts = questions(ana), hold(ana, "**/api/v1/documents", "POST"), hold(ana, KNOWLEDGE, "PUT")
    ana.drop(NAME, REGULATION)
    ana.ask(QUESTION)

    waiting = page.locator(".message.assistant .known")
    expect(waiting).to_contain_text(f"Waiting for the upload of “{NAME}”.")
    held_back(page, uploads, 1)
    uploads[0].continue_()
    held_back(page, puts, 1)
    expect(waiting).to_contain_text(f"Waiting for the upload of “{NAME}”.")
    assert not sent

    page.locator("#stop").click()  # Nothing was asked, so the question goes back.
    expect(page.locator("#question")).to_have_value(QUESTION)
    expect(page.locator(".message")).to_have_count(0)
    page.locator("#question").press("Enter")
    expect(waiting).to_contain_text(NAME)
    assert not sent
    puts[0].continue_()
    ana.answered()
    expect(page.locator(".message.assistant .answer")).to_contain_text("318 cruzados")
    expect(page.locator(".message")).to_have_count(2)
    assert len(sent) == 1


def test_a_question_goes_on_without_a_file_whose_upload_failed(ana: Visitor) -> None:
    page = ana.page
    sent, uploads, puts = questions(ana), hold(ana, "**/api/v1/documents", "POST"), hold(ana, KNOWLEDGE, "PUT")
    for number, (held, name) in enumerate([(uploads, "First.pdf"), (puts, NAME)]):
        ana.drop(name, REGULATION)
        ana.ask("What does an answer cost?")
        if held is puts:
            held_back(page, uploads, 2)
            uploads[1].continue_()
        held_back(page, held, 1)
        assert len(sent) == number
        held[0].fulfill(status=403, json={"code": "permission_denied", "status": 403})
        ana.answered(number)
        known = page.locator(".message.assistant").nth(number).locator(".known")
        expect(known).to_contain_text(f"Asked without “{name}”: the upload failed.")
    assert len(sent) == 2


def test_a_question_makes_one_other_request_and_its_response_is_read_to_the_end(ana: Visitor) -> None:
    page = ana.page
    ana.wait_ready("Guide to Orquestra.md")  # Its end requests the balance as well.
    page.reload()
    expect(page.locator("#balance .amount")).to_have_text("$5.00")
    seen: list[str] = []
    failed: list[str] = []
    watched = re.compile(r"/api/v1/(billing/\w+|conversations)")
    page.on("request", lambda one: seen.append(f"{one.method} {one.url}") if watched.search(one.url) else None)
    page.on("requestfailed", lambda one: failed.append(f"{one.method} {one.url}"))
    for number, expected in enumerate([["GET balance", "GET conversations"], ["GET balance"]]):
        seen.clear()
        with page.expect_response("**/api/v1/billing/balance"):
            ana.ask("What does an answer cost?")
            ana.answered(number)
        assert sorted(re.sub(r"http\S*/", "", one) for one in seen if one.startswith("GET")) == expected
    assert failed == []

    expect(page.locator("#balance .amount")).to_have_text(re.compile(r"^\$4\.99\d+$"))
    page.locator("#balance").click()
    expect(page.locator("#wallet tbody tr")).to_have_count(3)
    expect(page.locator("#wallet .summary .amount")).to_have_text(page.locator("#balance .amount").inner_text())


def test_a_phone_shows_the_whole_notice_of_a_stopped_answer(rui: Visitor, tmp_path: Path) -> None:
    page = rui.page
    rui.sign_up(email())
    for number in range(4):  # When an answer ends, every message on show gets its buttons back, so each adds a line.
        rui.ask("What is Orquestra, and what does an answer cost?")
        page.locator("#stop").click()
        notice = page.locator(".message.assistant").nth(number).locator(".notice button")
        expect(notice).to_be_visible(timeout=20_000)
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        end, composer = rectangle(page.locator(".message.assistant").nth(number)), rectangle(page.locator(".foot"))
        page.screenshot(path=tmp_path / f"stopped-{number}.png")
        assert end["y"] + end["height"] <= composer["y"], (end, composer)
