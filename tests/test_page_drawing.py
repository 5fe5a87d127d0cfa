"""What the page draws, in a browser: by keyboard, on a phone, for screen readers, and whatever a model writes."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import Visitor, email, sideways, visitor
from tests.live import Stack
from tests.pages import QUESTION, REGULATION


def test_keyboard_alone_is_enough(browser: Browser, live: Stack) -> None:
    options = {"viewport": {"width": 900, "height": 800}, "reduced_motion": "no-preference"}
    for ana in visitor(browser, live.base_url, **options):  # What slides in must take the focus all the same.
        page, keyboard = ana.page, ana.page.keyboard
        expect(page.locator("[name=email]")).to_be_focused()
        keyboard.type(email())
        keyboard.press("Tab")
        keyboard.type("a long enough pass phrase")
        keyboard.press("Tab")
        keyboard.press("Enter")
        expect(page.locator("#question")).to_be_focused()
        page.reload()
        page.locator(".starter").first.wait_for()
        keyboard.press("Tab")
        expect(page.locator(".skip").first).to_be_focused()
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
    expect(page.locator("#entrance h1").filter(visible=True)).to_have_text("Criar conta")
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
    expect(page.locator("#wallet tbody tr").first).to_contain_text("Resposta de Guia")
    assert sideways(page) <= 0


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
    page.locator("#entrance [name=email]").wait_for()
    assert page.evaluate(NAMELESS) == []


@pytest.fixture(scope="module")
def ana_at_the_door(browser: Browser, live: Stack) -> Iterator[Visitor]:
    yield from visitor(browser, live.base_url)


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


def test_of_ten_thousand_words_only_the_end_is_drawn_again(ana_at_the_door: Visitor) -> None:
    updates, drawn, blocks = ana_at_the_door.page.evaluate(
        """async () => {
            const { createMessageView } = await import("/static/console/message.js");
            const parts = [{ type: "text", text: "" }];
            const message = { role: "assistant", status: "streaming", parts, citations: [] };
            const view = createMessageView(message, {});
            const body = view.root.querySelector(".answer");
            const observer = new MutationObserver(() => {});
            observer.observe(body, { childList: true });
            const paragraph = "word ".repeat(99) + "so.\\n\\n";
            for (let piece = 0; piece < 1000; piece += 1) {
                parts[0].text += paragraph.slice((piece % 10) * 50, (piece % 10) * 50 + 50);
                view.update({ ...message }, null);
            }
            const drawn = observer.takeRecords().reduce((sum, { addedNodes }) => sum + addedNodes.length, 0);
            return [1000, drawn, body.children.length];
        }"""
    )
    assert blocks == 100
    assert drawn <= updates  # One block for each update at most, however many stand above it.


@pytest.mark.parametrize(
    ("text", "reason", "notice"),
    [
        ("It is nine.", "stop", None),
        ("It is n", "length", "The answer reached its token limit and ends here."),
        ("", "length", "The model used up its token limit before it wrote anything."),
        ("", "stop", "The model answered nothing."),
    ],
)
def test_an_answer_that_lacks_something_says_so(
    ana_at_the_door: Visitor, text: str, reason: str, notice: str | None
) -> None:
    shown = ana_at_the_door.page.evaluate(
        """async ([text, finish_reason]) => {
            const { createMessageView } = await import("/static/console/message.js");
            const message = {
                role: "assistant", status: "complete", parts: text ? [{ type: "text", text }] : [], citations: [],
                finish_reason, usage: { input_tokens: 3, output_tokens: 1 }, cost: "0.0006", currency: "USD",
            };
            const view = createMessageView(message, {});
            view.update(message, null);
            const notice = view.root.querySelector(".notice");
            return notice.hidden ? null : notice.textContent;
        }""",
        [text, reason],
    )
    assert shown == notice
