"""What can be done with an answer in the page: followed to its sources, copied, given anew, linked to."""

from uuid import UUID

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from backend.http.ids import encode
from tests.browser import Visitor, answer_with, barriers, email, held_back, rectangle, visitor
from tests.live import Stack
from tests.pages import QUESTION, REGULATION, pdf

USAGE = {"input_tokens": 3, "cached_input_tokens": 0, "output_tokens": 1}


def idle(page: Page) -> None:
    """Until no answer is being written."""
    expect(page.locator("#send")).to_be_visible(timeout=30_000)


def test_the_source_follows_the_newest_answer_and_stays_closed_when_closed(ana: Visitor) -> None:
    page, panel = ana.page, ana.page.locator("#source")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    ana.drop("Lagoa Itaperema.pdf", REGULATION)
    ana.wait_ready("Lagoa Itaperema.pdf")
    ana.ask(QUESTION)
    ana.answered()
    expect(panel.locator(".where")).to_contain_text("page 2 of 3")
    idle(page)
    ana.ask("Qual é a multa para quem pesca sem licença?")
    ana.answered(1)
    expect(panel.locator(".where")).to_contain_text("page 3 of 3")  # Without a click.
    idle(page)
    assert barriers(page) == []

    # Closer: by button, key and wheel; the mark stays on its line.
    image, mark = panel.locator("img"), panel.locator(".mark").first

    def place() -> float:
        return (rectangle(mark)["y"] - rectangle(image)["y"]) / rectangle(image)["height"]

    whole, line = rectangle(image)["width"], place()
    panel.get_by_label("Larger").click()
    assert rectangle(image)["width"] == pytest.approx(1.25 * whole, rel=0.02)
    panel.locator(".scroller").focus()
    page.keyboard.press("+")
    assert rectangle(image)["width"] == pytest.approx(1.5 * whole, rel=0.02)
    page.keyboard.press("0")
    assert rectangle(image)["width"] == pytest.approx(whole, rel=0.02)
    image.hover()
    page.keyboard.down("Control")
    page.mouse.wheel(0, -100)
    page.keyboard.up("Control")
    expect(panel.locator(".zoom .position")).not_to_have_text("100 %")
    assert rectangle(image)["width"] > 1.5 * whole
    assert place() == pytest.approx(line, abs=0.005)

    # Closed, it stays closed, until a source is asked for.
    page.locator("#source-close").click()
    expect(panel).to_be_hidden()
    page.reload()
    ana.answered(1)
    expect(panel).to_be_hidden()
    page.locator(".message.assistant").first.locator(".sources").click()
    expect(panel.locator(".where")).to_contain_text("page 2 of 3")
    expect(page.locator(".cite[aria-current]")).to_have_count(1)

    page.locator(".message.assistant").first.get_by_label("Copy the answer").click()
    copied = page.evaluate("() => navigator.clipboard.readText()")
    assert "318 cruzados" in copied
    assert "- [1] Lagoa Itaperema.pdf, page 2: “" in copied


def test_a_page_is_never_shown_under_another_name_nor_for_an_answer_without_sources(ana: Visitor) -> None:
    page, panel = ana.page, ana.page.locator("#source")
    ana.drop("Lagoa Itaperema.pdf", REGULATION)
    ana.drop("Moinho.pdf", pdf("O moinho fecha no domingo.", "Anexo"))
    ana.wait_ready("Lagoa Itaperema.pdf")
    ana.wait_ready("Moinho.pdf")
    ana.ask(QUESTION)
    ana.answered()
    idle(page)
    expect(panel.locator("img")).to_have_attribute("alt", "Page 2 of Lagoa Itaperema.pdf")
    panel.get_by_label("Larger").click()
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/pages/*.png", hold)
    page.locator("#documents .item").filter(has_text="Moinho").click()
    expect(panel.locator(".name")).to_have_text("Moinho.pdf")
    expect(panel.locator("img")).to_have_count(0, timeout=1)
    expect(panel.locator(".scroller")).to_have_text("Loading")  # Nor what was marked, for screen readers.
    expect(panel.locator(".zoom .position")).to_have_text("100 %")
    held_back(page, held, 1)
    page.locator(".cite").first.click()
    held_back(page, held, 2)
    expect(panel.locator(".where")).to_contain_text("page 2 of 3")
    for route in reversed(held):  # The one that was asked for first comes last.
        route.continue_()
    expect(panel.locator("img")).to_have_attribute("alt", "Page 2 of Lagoa Itaperema.pdf")
    expect(panel.locator(".name")).to_have_text("Lagoa Itaperema.pdf")
    held.clear()
    panel.locator("#source-next").click()
    expect(panel.locator(".scroller")).to_have_text("Loading")
    held_back(page, held, 1)
    expect(panel.locator("#source-next")).to_be_hidden()  # The last page.
    expect(panel.locator(".scroller")).to_be_focused()
    for route in held:
        route.continue_()
    expect(panel.locator("img")).to_have_attribute("alt", "Page 3 of Lagoa Itaperema.pdf")

    # An answer that cites nothing.
    answer_with(page, status="failed", cost="0", usage=USAGE, error={"code": "timed_out"})
    ana.ask("Xyzzy?")
    expect(panel.locator(".scroller")).to_have_text("The newest answer names no source.")
    expect(panel.locator(".name")).to_be_empty()

    def without_citations(route: Route) -> None:
        response = route.fetch()
        body = response.json()
        body["results"][-1]["citations"] = []
        route.fulfill(response=response, json=body)

    page.route("**/messages?*", without_citations)
    page.reload()
    expect(panel.locator(".scroller")).to_have_text("The newest answer names no source.")


def test_questions_and_answers_have_versions_and_addresses(ana: Visitor, live: Stack) -> None:
    page = ana.page
    questions, answers = page.locator(".message.user"), page.locator(".message.assistant")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/api/v1/documents", hold)
    page.reload()
    expect(page.locator("#agent .knows")).not_to_be_empty()
    ana.ask("What does an answer cost?")  # Before the page has everything: it is asked all the same.
    for route in held[:]:
        route.continue_()
    ana.answered()
    page.unroute("**/api/v1/documents", hold)
    idle(page)
    first = page.url
    assert "#/conversations/cnv_" in first

    questions.hover()
    questions.get_by_label("Ask in other words").click()
    page.locator(".edit textarea").fill("How do citations work?")
    page.keyboard.press("Enter")
    expect(questions.locator(".bubble")).to_have_text("How do citations work?")
    expect(questions.locator(".turns")).to_have_text("2/2")
    expect(page.locator("#question")).to_be_focused()
    idle(page)
    answers.get_by_label("Answer anew").click()
    expect(answers.locator(".turns")).to_have_text("2/2", timeout=30_000)
    expect(page.locator("#question")).to_be_focused()
    idle(page)
    questions.get_by_label("Version before").click()
    expect(questions.locator(".bubble")).to_have_text("What does an answer cost?")
    expect(questions.get_by_label("Next version")).to_be_focused()  # There is none before.
    expect(answers.locator(".turns")).to_have_count(0)
    page.reload()
    expect(questions.locator(".bubble")).to_have_text("What does an answer cost?")  # It is the branch that goes on.

    # The answer that a transaction paid for, on another branch.
    [(run, message)] = live.rows(
        "SELECT id::text, output_message_id::text FROM agents_run WHERE conversation_id = "
        "(SELECT conversation_id FROM agents_run ORDER BY id DESC LIMIT 1) ORDER BY id DESC LIMIT 1"
    )
    page.evaluate("([run]) => (location.hash = `#/runs/${run}`)", [encode("run", UUID(str(run)))])
    expect(questions.locator(".bubble")).to_have_text("How do citations work?")
    expect(answers).to_be_focused()
    assert page.url.endswith(f"/{encode('msg', UUID(str(message)))}")
    page.go_back()
    expect(page).to_have_url(first)

    row = page.locator("#conversations li")
    row.hover()
    row.get_by_label("Rename").click()
    page.keyboard.type("On costs")
    page.keyboard.press("Enter")
    expect(page).to_have_title("On costs – Orquestra")
    expect(row).to_have_text("On costs")
    expect(row.locator("a")).to_be_focused()

    page.keyboard.press("Control+Home")
    page.reload()
    answers.wait_for()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.locator(".skip").nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    expect(answers).to_be_focused()


def test_a_question_need_not_wait_for_every_document(ana: Visitor, live: Stack) -> None:
    page = ana.page
    for name in ("Moinho.pdf", "Lagoa Itaperema.pdf"):
        ana.drop(name, REGULATION if name.startswith("Lagoa") else pdf("O moinho fecha no domingo."))
        ana.wait_ready(name)
    live.rows("UPDATE documents_document SET active_ingestion_id = NULL WHERE name = 'Moinho.pdf' RETURNING id")
    ana.ask(QUESTION)
    expect(page.locator(".known").first).to_contain_text("of 3 documents are ready")
    expect(page.locator("#answer-now")).to_have_text("Answer now from what is ready")
    page.locator("#answer-now").click()

    expect(page.locator(".message.assistant .answer")).to_contain_text("318 cruzados", timeout=30_000)
    idle(page)
    expect(page.locator("#answer-now")).to_be_hidden()
    expect(page.locator("#question")).to_be_focused()
    expect(page.locator(".message.user")).to_have_count(1)
    expect(page.locator(".message.user .turns")).to_have_count(0)
    expect(page.locator(".known")).to_contain_text("Answered from 2 of 3 documents.")


def test_a_second_question_is_not_taken_while_the_first_is_on_its_way(ana: Visitor) -> None:
    page = ana.page
    held: list[Route] = []
    page.route(
        "**/api/v1/conversations",
        lambda route: held.append(route) if route.request.method == "POST" else route.continue_(),
    )
    ana.ask("What does an answer cost?")
    expect(page.locator(".message.user")).to_have_count(1)
    ana.ask("And who pays?")

    expect(page.locator("#chat-error")).to_contain_text("The answer is still being written.")
    assert page.locator("#question").input_value() == "And who pays?"
    assert len(held) == 1
    page.locator("#stop").click()  # Nor is it too early to stop.
    held[0].continue_()
    expect(page.locator(".message.assistant .notice")).to_contain_text("Stopped.", timeout=20_000)
    expect(page.locator(".message")).to_have_count(2)
    assert "wait_for_knowledge" in (held[0].request.post_data or "")


def test_logging_out_in_the_middle_of_an_answer_leaves_no_refused_request(ana: Visitor) -> None:
    page = ana.page
    refused: list[str] = []
    ana.drop("Lagoa Itaperema.pdf", REGULATION)
    ana.ask("What is Orquestra, and what does an answer cost?")
    expect(page.locator(".answer p").first).to_be_visible(timeout=20_000)
    page.on("response", lambda response: refused.append(response.url) if response.status >= 400 else None)
    page.locator("#account").click()
    page.locator("#logout").click()
    expect(page.locator("#entrance [name=password]").first).to_be_visible()
    page.wait_for_timeout(1500)  # Longer than the time between two looks at a document.

    assert refused == []


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (375, "dark")])
def test_nothing_keeps_assistive_software_out(browser: Browser, live: Stack, width: int, scheme: str) -> None:
    options = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme, "locale": "pt-BR"}
    for person in visitor(browser, live.base_url, **options):
        page = person.page
        assert barriers(page) == []
        person.sign_up(email())
        expect(page.locator(".starter").first).to_contain_text("Como envio")  # The guide speaks the page's language.
        expect(page.locator("#agent .name")).to_have_text("Guia")
        assert barriers(page) == []
