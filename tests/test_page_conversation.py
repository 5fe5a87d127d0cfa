"""The page in a browser, against the whole product running: the main job and what may come between."""

import re

from playwright.sync_api import Route, expect

from tests.browser import Visitor, answer_with, rectangle
from tests.live import Stack
from tests.pages import QUESTION, REGULATION, pdf


def test_the_main_job(ana: Visitor) -> None:
    page = ana.page
    asked: list[str] = []
    page.on("request", lambda sent: asked.append(f"{sent.method} {sent.url.partition('/api/v1/')[2]}"))
    expect(page.locator("#balance .amount")).to_have_text("$5.00")
    expect(page.locator(".starter")).to_have_count(3)

    ana.drop("Lagoa Itaperema.pdf", REGULATION)
    ana.wait_ready("Lagoa Itaperema.pdf")
    ana.ask(QUESTION)
    ana.answered()

    answer = page.locator(".message.assistant")
    expect(answer.locator(".answer")).to_contain_text("318 cruzados")
    assert "POST conversations" in asked  # Its response is the stream of the answer.
    assert not [line for line in asked if line.startswith("GET runs/")]
    expect(answer.locator(".activity")).to_contain_text("Found ")
    expect(answer.locator(".facts")).to_contain_text("tokens")
    expect(page.locator("#conversations [aria-current=page]")).to_contain_text("Quanto custa")
    expect(page).to_have_title("Quanto custa a licença de pesca por temporada? – Orquestra")

    citation = answer.locator(".cite").first
    citation.click()
    expect(page.locator("#source .name")).to_have_text("Lagoa Itaperema.pdf")
    expect(page.locator("#source .where")).to_contain_text("page 2 of 3")
    sheet, marks = rectangle(page.locator("#source img")), page.locator("#source .mark")
    expect(marks.first).to_be_visible()
    found = [rectangle(mark) for mark in marks.all()]
    # Where tests.pages puts the third line of an A4 page: 12 points high, 14.4 apart, the first 96 below the top.
    baseline = sheet["y"] + sheet["height"] * (96 + 2 * 14.4) / 841.89
    line_height = sheet["height"] * 14.4 / 841.89
    centres = [box["y"] + box["height"] / 2 for box in found]
    assert all(baseline - line_height < centre < baseline + 2 for centre in centres), (centres, baseline)
    assert abs(found[0]["x"] - (sheet["x"] + sheet["width"] * 72 / 595.28)) < 4
    page.locator("#source-next").click()
    expect(page.locator("#source .where")).to_contain_text("page 3 of 3")
    expect(marks).to_have_count(0)

    expect(page.locator("#balance .amount")).to_have_text(re.compile(r"^\$4\.99\d+$"))
    page.locator("#balance").click()
    expect(page.locator("#wallet tbody tr")).to_have_count(2)
    expect(page.locator("#wallet tbody tr").first).to_contain_text("Answer by Guide")
    expect(page.locator("#wallet tbody tr").last).to_contain_text("$5.00")


def test_an_answer_goes_on_after_a_reload(ana: Visitor) -> None:
    page = ana.page
    ana.ask("What is Orquestra, and what does an answer cost?")
    expect(page.locator(".answer p").first).to_be_visible(timeout=20_000)
    page.reload()

    expect(page.locator("#stop")).to_be_visible()
    ana.answered()

    shown = page.locator(".message.assistant .answer").inner_text()
    page.reload()
    ana.answered()
    assert page.locator(".message.assistant .answer").inner_text() == shown
    assert page.locator(".message").count() == 2


def test_stop_keeps_what_was_written_and_says_what_it_cost(ana: Visitor) -> None:
    page = ana.page
    ana.ask("What is Orquestra, and what does an answer cost?")
    expect(page.locator(".answer p").first).to_be_visible(timeout=20_000)
    page.keyboard.press("Escape")

    notice = page.locator(".message.assistant .notice")
    expect(notice).to_contain_text("Stopped. It cost $0.0")
    expect(page.locator("#send")).to_be_visible()
    written = page.locator(".message.assistant .answer").inner_text()
    assert written
    page.reload()
    expect(notice).to_contain_text("Stopped. It cost $0.0")
    assert page.locator(".message.assistant .answer").inner_text() == written


def test_a_question_during_an_answer_has_to_wait_and_is_told_so(ana: Visitor) -> None:
    page = ana.page
    ana.ask("What is Orquestra, and what does an answer cost?")
    expect(page.locator(".answer p").first).to_be_visible(timeout=20_000)
    page.locator("#question").fill("And who pays?")
    page.keyboard.press("Enter")

    expect(page.locator("#chat-error")).to_contain_text("The answer is still being written.")
    assert page.locator("#question").input_value() == "And who pays?"
    ana.answered()
    expect(page.locator("#chat-error")).to_be_empty()
    expect(page.locator(".message")).to_have_count(2)


def test_a_question_while_another_tab_is_answered_is_told_why_it_waits(ana: Visitor, live: Stack) -> None:
    page = ana.page
    ana.ask("What is Orquestra?")
    ana.answered()
    other = ana.tab()
    other.goto(page.url)
    expect(other.locator(".message")).to_have_count(2)

    with live.paused("agents"):  # So that the answer does not end before the second question.
        ana.ask("What is Orquestra, and what does an answer cost?")
        expect(page.locator(".message.assistant")).to_have_count(2)
        expect(page.locator("#stop")).to_be_visible()
        other.locator("#question").fill("And who pays?")
        other.keyboard.press("Enter")

        expect(other.locator("#chat-error")).to_contain_text("This conversation is still being answered.")
        assert other.locator("#question").input_value() == "And who pays?"
        expect(other.locator(".message")).to_have_count(4)


def test_no_word_is_lost_when_the_web_process_dies(ana: Visitor, live: Stack) -> None:
    page = ana.page
    ana.ask("What is Orquestra, and what does an answer cost?")
    expect(page.locator(".answer p").first).to_be_visible(timeout=20_000)
    live.kill("web")
    expect(page.locator("#reconnecting")).to_be_visible()
    live.start("web")
    ana.answered()

    expect(page.locator("#reconnecting")).to_be_hidden()
    shown = page.locator(".message.assistant .answer").inner_text()
    page.reload()
    ana.answered()
    assert page.locator(".message.assistant .answer").inner_text() == shown


def test_a_question_whose_answer_got_lost_is_asked_once(ana: Visitor) -> None:
    page = ana.page
    keys: list[str | None] = []

    def lose_the_first_answer(route: Route) -> None:
        if route.request.method != "POST":
            route.continue_()
            return
        keys.append(route.request.headers.get("idempotency-key"))
        if len(keys) == 1:
            route.fetch()  # It arrives; its answer does not.
            route.abort()
        else:
            route.continue_()

    page.route("**/api/v1/conversations", lose_the_first_answer)
    ana.ask("What does an answer cost?")
    ana.answered()

    assert len(keys) == 2
    assert keys[0] == keys[1] is not None
    expect(page.locator("#conversations li")).to_have_count(1)
    expect(page.locator(".message")).to_have_count(2)
    page.locator("#balance").click()
    expect(page.locator("#wallet tbody tr")).to_have_count(2)


def test_an_empty_balance_says_why_and_keeps_the_question(ana: Visitor) -> None:
    page = ana.page
    refusal = {
        "code": "insufficient_balance",
        "status": 402,
        "available": "0.001",
        "required": "0.02",
        "currency": "USD",
    }
    page.route(
        "**/api/v1/conversations",
        lambda route: route.fulfill(status=402, json=refusal) if route.request.method == "POST" else route.continue_(),
    )
    ana.ask("Can I afford this?")

    expect(page.locator("#chat-error")).to_contain_text("$0.02 needed")
    expect(page.locator("#question")).to_have_value("Can I afford this?")
    expect(page.locator(".message")).to_have_count(0)


def test_a_failed_answer_says_what_happened_and_can_be_tried_again(ana: Visitor) -> None:
    page = ana.page

    error = {"code": "provider_unavailable", "detail": "x", "provider": "p", "retryable": True}
    usage = {"input_tokens": 3, "cached_input_tokens": 0, "output_tokens": 1}
    answer_with(page, status="failed", cost="0.000600", usage=usage, error=error)
    ana.ask("What is Orquestra?")

    notice = page.locator(".message.assistant .notice")
    expect(notice).to_contain_text("The model’s provider did not answer, or not to the end. It cost $0.0006.")
    expect(notice.locator("button")).to_have_text("Try again")


def test_files_that_cannot_be_read_are_named_with_the_reason(ana: Visitor) -> None:
    page = ana.page
    ana.drop("Broken.pdf", b"%PDF-1.7\nnothing that follows makes sense")
    ana.drop("tool.exe", b"MZ\x90\x00" + bytes(500))
    row = page.locator("#documents li").filter(has_text="Broken.pdf")
    expect(row.locator(".badge-status.failed")).to_be_visible(timeout=60_000)
    expect(page.locator("#toasts")).to_contain_text("“Broken.pdf” could not be read: it is damaged.")
    expect(page.locator("#documents")).not_to_contain_text("tool.exe")
    ana.drop("Scan.pdf", pdf(""))
    expect(page.locator("#toasts")).to_contain_text("“Scan.pdf” was read, but not all of it.", timeout=60_000)

    row.hover()
    row.locator(".icon-button").click()
    expect(page.locator("dialog[open]")).to_contain_text("No longer known to “Guide”.")
    page.locator("dialog[open] .primary").click()
    expect(row).to_have_count(0)
    expect(page.locator("#agent .knows")).to_contain_text("knows 2 documents")  # The guide and the scan.


def test_a_new_agent_knows_what_was_chosen(ana: Visitor) -> None:
    page = ana.page
    ana.drop("Lagoa Itaperema.pdf", REGULATION)
    ana.wait_ready("Lagoa Itaperema.pdf")
    page.locator("#agent").click()
    page.locator(".new-agent").click()
    page.locator(".agent-form [name=name]").fill("Mesa de licenças")
    page.locator(".agent-form [name=instructions]").fill("Responda em uma frase.")
    page.locator(".knowledge input").fill("lagoa")
    page.locator(".found button").filter(has_text="Lagoa Itaperema.pdf").click()
    page.locator(".agent-form [type=submit]").click()

    expect(page.locator("#agent .name")).to_have_text("Mesa de licenças")
    expect(page.locator("#agent .knows")).to_contain_text("knows 1 document")
    ana.ask(QUESTION)
    ana.answered()
    expect(page.locator(".message.assistant .answer")).to_contain_text("318")
