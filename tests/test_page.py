"""The page in a browser, against the whole product running: the main job and what may come between."""

import json
import uuid
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, FloatRect, Locator, Page, Request, Route, expect

from tests.browser import Visitor, chromium
from tests.live import Stack, stack
from tests.pages import pdf

LINES = [
    "Capítulo 4. Das licenças",
    "O cais abre ao nascer do sol e fecha quando a última lanterna se apaga.",
    "A licença de pesca da lagoa Itaperema custa 318 cruzados por temporada.",
    "São isentos os residentes com mais de sessenta e cinco anos.",
]
REGULATION = pdf(
    "Regulamento da Lagoa Itaperema\nBarcos a motor navegam entre seis e vinte horas.",
    "\n".join(LINES),
    "Capítulo 9. Das multas\nQuem pesca sem licença paga multa de 90 cruzados ao cais.",
)
QUESTION = "Quanto custa a licença de pesca por temporada?"

# Slow enough that a person, or a test, can act in the middle of an answer.
MODELS = """
[[provider]]
name = "offline"
kind = "offline"
tokens_per_second = {speed}

[[provider.model]]
name = "offline"
input_price = 0.40
output_price = 1.60
context_window = 128000
max_output_tokens = 2048
"""


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    models = tmp_path_factory.mktemp("models") / "models.toml"
    models.write_text(MODELS.format(speed=12))
    with stack(settings={"DEMO_CONTENT": "true", "MODELS_FILE": str(models)}) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def visitor(browser: Browser, live: Stack, **options: object) -> Iterator[Visitor]:
    context = browser.new_context(
        **{"viewport": {"width": 1440, "height": 900}, "locale": "en-US", "reduced_motion": "reduce"} | options  # type: ignore[arg-type]  # Options of several types.
    )
    context.set_default_timeout(15_000)
    visitor = Visitor(context, live.base_url)
    yield visitor
    assert visitor.complaints == []
    context.close()


@pytest.fixture
def ana(browser: Browser, live: Stack) -> Iterator[Visitor]:
    """At a desk, signed up."""
    for ana in visitor(browser, live):
        ana.sign_up(email())
        yield ana


@pytest.fixture
def rui(browser: Browser, live: Stack) -> Iterator[Visitor]:
    """On a phone, in Portuguese and in the dark."""
    size = {"width": 375, "height": 700}
    yield from visitor(browser, live, viewport=size, locale="pt-BR", color_scheme="dark", has_touch=True)


def email() -> str:
    return f"{uuid.uuid4().hex}@example.com"


def rectangle(locator: Locator) -> FloatRect:
    box = locator.bounding_box()
    assert box is not None
    return box


def sideways(page: Page) -> float:
    """How far the page can be scrolled to the side, in pixels."""
    return float(page.evaluate("() => document.documentElement.scrollWidth - innerWidth"))


def test_the_main_job(ana: Visitor) -> None:
    page = ana.page
    expect(page.locator("#balance .amount")).to_have_text("$5.00")
    expect(page.locator(".starter")).to_have_count(3)

    ana.drop("Lagoa Itaperema.pdf", REGULATION)
    ana.wait_ready("Lagoa Itaperema.pdf")
    ana.ask(QUESTION)
    ana.answered()

    answer = page.locator(".message.assistant")
    expect(answer.locator(".answer")).to_contain_text("318 cruzados")
    expect(answer.locator(".activity")).to_contain_text("Searched")
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

    expect(page.locator("#balance .amount")).to_have_text("$4.99")
    page.locator("#balance").click()
    expect(page.locator("#wallet tbody tr")).to_have_count(2)
    expect(page.locator("#wallet tbody tr").first).to_contain_text("Usage")
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


def test_keyboard_alone_is_enough(browser: Browser, live: Stack) -> None:
    for ana in visitor(browser, live, viewport={"width": 900, "height": 800}):
        page, keyboard = ana.page, ana.page.keyboard
        expect(page.locator("[name=email]")).to_be_focused()
        keyboard.type(email())
        keyboard.press("Tab")
        keyboard.type("a long enough pass phrase")
        keyboard.press("Tab")
        keyboard.press("Enter")
        page.locator(".starter").first.wait_for()
        page.keyboard.press("Tab")
        expect(page.locator(".skip")).to_be_focused()
        keyboard.press("Enter")
        expect(page.locator("#question")).to_be_focused()
        keyboard.type("What does an answer")
        keyboard.press("Shift+Enter")
        keyboard.type("cost?")
        assert page.locator("#question").input_value() == "What does an answer\ncost?"
        keyboard.press("Enter")
        ana.answered()
        expect(page.locator("#announcements")).to_contain_text("The answer is complete.")

        first = page.locator(".cite").first
        first.focus()
        keyboard.press("Enter")
        expect(page.locator("#source")).to_be_focused()  # A sheet at this width.
        expect(page.locator("#source mark")).to_be_visible()
        keyboard.press("Escape")
        expect(first).to_be_focused()
        if page.locator(".cite").count() > 1:
            keyboard.press("ArrowRight")
            expect(page.locator(".cite").nth(1)).to_be_focused()
            keyboard.press("ArrowLeft")
            expect(first).to_be_focused()
        keyboard.press("Control+k")
        expect(page.locator("#question")).to_be_focused()
        expect(page.locator(".message")).to_have_count(0)


def test_on_a_phone_in_portuguese(rui: Visitor) -> None:
    page = rui.page
    expect(page.locator("#entrance h1")).to_have_text("Criar conta")
    assert page.locator("html").get_attribute("lang") == "pt-BR"
    rui.sign_up(email())
    expect(page.locator("#empty h2")).to_have_text("O que você quer saber?")
    expect(page.locator("#tabs .amount")).to_have_text("US$\xa05,00")
    assert sideways(page) <= 0

    rui.drop("Um regulamento com um nome muito, muito comprido da Lagoa Itaperema e arredores.pdf", REGULATION)
    page.locator("#tabs [data-view=documents]").click()
    rui.wait_ready("Um regulamento")
    assert sideways(page) <= 0
    page.locator("#tabs [data-view=chat]").click()
    rui.ask(QUESTION)
    rui.answered()
    expect(page.locator(".facts")).to_contain_text("US$")
    assert sideways(page) <= 0
    page.locator(".cite").first.click()
    expect(page.locator("#source")).to_have_attribute("role", "dialog")
    expect(page.locator("#source .mark").first).to_be_visible()
    assert sideways(page) <= 0
    page.locator("#source-close").click()
    page.locator("#tabs [data-view=wallet]").click()
    expect(page.locator("#wallet tbody tr").first).to_contain_text("Uso")
    assert sideways(page) <= 0


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
    ended = json.dumps({"run": {"status": "failed", "cost": "0.000600", "usage": usage, "error": error}})

    def fail(route: Route) -> None:
        frame = f"id: 1-1\nevent: run.failed\ndata: {ended}\n\n"
        route.fulfill(status=200, content_type="text/event-stream", body=frame)

    page.route("**/api/v1/runs/*/events", fail)
    ana.ask("What is Orquestra?")

    notice = page.locator(".message.assistant .notice")
    expect(notice).to_contain_text("The model’s provider did not answer. It cost $0.0006.")
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
    expect(page.locator("#toasts")).to_contain_text("“Scan.pdf” has no text", timeout=60_000)

    row.hover()
    row.locator(".icon-button").click()
    page.locator("dialog[open] .primary").click()
    expect(row).to_have_count(0)
    expect(page.locator("#agent .knows")).to_contain_text("knows 3 documents")  # The two of the guide and the scan.


def test_a_new_agent_knows_what_was_chosen(ana: Visitor) -> None:
    page = ana.page
    ana.drop("Lagoa Itaperema.pdf", REGULATION)
    ana.wait_ready("Lagoa Itaperema.pdf")
    page.locator("#agent").click()
    page.locator(".new-agent").click()
    page.locator("#agent-dialog [name=name]").fill("Mesa de licenças")
    page.locator("#agent-dialog [name=instructions]").fill("Responda em uma frase.")
    page.locator("#agent-dialog .check").filter(has_text="Lagoa Itaperema.pdf").locator("input").check()
    page.locator("#agent-dialog [type=submit]").click()

    expect(page.locator("#agent .name")).to_have_text("Mesa de licenças")
    expect(page.locator("#agent .knows")).to_contain_text("knows 1 document")
    ana.ask(QUESTION)
    ana.answered()
    expect(page.locator(".message.assistant .answer")).to_contain_text("318")


NAMELESS = """() => [...document.querySelectorAll("button, a[href], input, textarea, select, img, [role=img]")]
    .filter((node) => node.checkVisibility() && !node.closest("[aria-hidden=true]"))
    .filter((node) => !(node.getAttribute("aria-label") || node.innerText?.trim() || node.labels?.[0]?.innerText.trim()
        || node.getAttribute("alt") !== null))
    .map((node) => node.outerHTML)"""
SMALL = """() => [...document.querySelectorAll("button, a[href]")]
    .filter((node) => node.checkVisibility())
    .map((node) => [node.outerHTML.slice(0, 80), node.getBoundingClientRect()])
    .filter(([, { width, height }]) => Math.min(width, height) > 1 && Math.min(width, height) < 18)"""


def test_every_control_has_a_name_and_there_is_one_of_each_landmark(ana: Visitor) -> None:
    page = ana.page
    ana.ask("What does an answer cost?")
    ana.answered()
    page.locator(".cite").first.click()
    expect(page.locator("#source mark")).to_be_visible()
    assert page.evaluate(NAMELESS) == []
    assert page.evaluate(SMALL) == []
    assert page.evaluate("() => [...document.querySelectorAll('main')].filter((m) => m.checkVisibility()).length") == 1
    duplicated = """() => { const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
        return ids.filter((id, at) => ids.indexOf(id) !== at); }"""
    assert page.evaluate(duplicated) == []
    page.locator("#balance").click()
    assert page.evaluate(NAMELESS) == []
    assert page.evaluate("() => [...document.querySelectorAll('main')].filter((m) => m.checkVisibility()).length") == 1
    page.locator("#account").click()
    page.locator("#logout").click()
    page.locator("#entrance form").wait_for()
    assert page.evaluate(NAMELESS) == []


RENDER = """async (text) => {
    const { renderAll } = await import("/static/console/markdown.js");
    const box = document.createElement("div");
    const cite = (n) => (n === 1 ? Object.assign(document.createElement("button"), { textContent: n }) : null);
    box.append(...renderAll(text, cite));
    return box.innerHTML;
}"""


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("a **b** *c* `d` ~~e~~", "<p>a <strong>b</strong> <em>c</em> <code>d</code> <s>e</s></p>"),
        ("# T\n\ntext", "<h3>T</h3><p>text</p>"),
        ("- a\n- b\n  - c", "<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul>"),
        ("3. a\n4. b", '<ol start="3"><li>a</li><li>b</li></ol>'),
        ("x [1] y [2]", "<p>x <button>1</button> y [2]</p>"),
        ("x[1, 1]", "<p>x<button>1</button><button>1</button></p>"),
        ("```js\na < b [1]\n```", '<pre tabindex="0"><code>a &lt; b [1]</code></pre>'),
        ("```\nunfinished", '<pre tabindex="0"><code>unfinished</code></pre>'),
        ("> q\n> r", "<blockquote><p>q\nr</p></blockquote>"),
        ("<img src=x onerror=alert(1)>", "<p>&lt;img src=x onerror=alert(1)&gt;</p>"),
        ("[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>"),
        (
            "[x](https://a.example/(b))",
            '<p><a href="https://a.example/(b)" target="_blank" rel="noopener noreferrer">x</a></p>',
        ),
        (
            "![i](https://a.example/i.png)",
            '<p><a href="https://a.example/i.png" target="_blank" rel="noopener noreferrer">i</a></p>',
        ),
        ("2 * 3 * 4 and snake_case_name", "<p>2 * 3 * 4 and snake_case_name</p>"),
        (r"\*not\*", "<p>*not*</p>"),
        ("**unfinished", "<p>**unfinished</p>"),
    ],
)
def test_markdown_becomes_elements_and_nothing_else(ana_at_the_door: Visitor, markdown: str, html: str) -> None:
    assert ana_at_the_door.page.evaluate(RENDER, markdown) == html


@pytest.fixture(scope="module")
def ana_at_the_door(browser: Browser, live: Stack) -> Iterator[Visitor]:
    yield from visitor(browser, live)


def test_ten_thousand_words_are_drawn_quickly(ana_at_the_door: Visitor) -> None:
    milliseconds = ana_at_the_door.page.evaluate(
        """async () => {
            const { createMessageView } = await import("/static/console/message.js");
            const parts = [{ type: "text", text: "" }];
            const message = { role: "assistant", status: "streaming", parts, citations: [] };
            const view = createMessageView(message, {});
            document.body.append(view.root);
            const paragraph = "word ".repeat(99) + "end.\\n\\n";
            const before = performance.now();
            for (let piece = 0; piece < 1000; piece += 1) {
                parts[0].text += paragraph.slice((piece % 10) * 50, (piece % 10) * 50 + 50);
                view.update({ ...message }, null);
            }
            const spent = performance.now() - before;
            view.root.remove();
            return spent;
        }"""
    )
    assert milliseconds < 5000  # A thousand updates; each fits into a frame.
