"""What the page does with text that is made to be slow to draw: it draws it, and has time for its reader."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser import Visitor, visitor
from tests.live import Stack


@pytest.fixture(scope="module")
def page_at_the_door(browser: Browser, live: Stack) -> Iterator[Visitor]:
    yield from visitor(browser, live.base_url)


SHAPES = [
    *(
        "> ",
        "- ",
        "1. ",
        "> - ",
        "- > ",
        "**",
        "**a ",
        "*a ",
        "*a* ",
        "__a ",
        "_a ",
        "_a_",
        "~~a",
        "***a",
        "**a*",
        "*a_b**c__",
    ),
    *(
        "`",
        "``a`",
        "`a``",
        "[",
        "![",
        "](",
        "[](",
        "[a](b",
        '[x](http://a "',
        "[1",
        "[1,",
        "[1] ",
        "https://",
        "http://.",
    ),
    *(
        "# ",
        "#",
        "# a #",
        " ",
        "  \n",
        "\n",
        "a  ",
        "<br ",
        "\\",
        "\t",
        "\u2028",
        "- \u2028",
        "a.",
        "“",
        "a\n",
        "word ",
    ),
    *(
        "- a\n\n",
        "- a\n\n\n",
        "|",
        "|a",
        "|-",
        "| - ",
        "| a | b |\n|---|---|\n",
        "```\n",
        "```\n\n",
        "~~~",
        "--- ",
        "-",
    ),
]
DRAW = """async (shapes) => {
    const { renderAll, plainText } = await import("/static/console/markdown.js");
    const cite = (n) => (n < 3 ? Object.assign(document.createElement("button"), { textContent: n }) : null);
    const slow = [];
    for (const shape of shapes) {
        const text = shape.repeat(100000).slice(0, 100000);
        const started = performance.now();
        const box = document.createElement("div");
        for (const node of renderAll(text, cite)) box.append(node);
        plainText(text);
        const taken = performance.now() - started;
        if (taken > 5000) slow.push([shape, Math.round(taken)]);
        await new Promise((resolve) => setTimeout(resolve));
    }
    return slow;
}"""
NESTED = """async (text) => {
    const { renderAll } = await import("/static/console/markdown.js");
    const box = document.createElement("div");
    for (const node of renderAll(text, () => null)) box.append(node);
    document.body.append(box); // Laid out, too.
    const height = box.getBoundingClientRect().height;
    let depth = 0;
    for (let inner = box; inner; inner = inner.firstElementChild) depth += 1;
    const elements = box.querySelectorAll("*").length;
    const words = box.textContent;
    box.remove();
    return [depth, elements, words, height > 0];
}"""


@pytest.mark.parametrize("half", [0, 1])
def test_markdown_of_any_shape_is_drawn_in_proportion_to_its_length(page_at_the_door: Visitor, half: int) -> None:
    assert page_at_the_door.page.evaluate(DRAW, SHAPES[half::2]) == []


@pytest.mark.parametrize(
    "markdown",
    [
        "> " * 8_000 + "the end",
        "- " * 8_000 + "the end",
        "> - " * 4_000 + "the end",
        "1. " * 8_000 + "the end",
        "\n".join("  " * depth + "- x" for depth in range(400)) + "the end",
        "*" * 9_000 + "the end",
        "_**" * 5_000 + "the end" + "**_" * 5_000,
        "[" * 9_000 + "the end" + "](http://a.example)" * 9_000,
        "x" * 1_000_000 + "the end",
        "**word** " * 100_000 + "the end",
        "para\n\n" * 100_000 + "the end",
        "| a " * 3_000 + "\n" + "|-" * 3_000 + "\n" + "|\n" * 5_000 + "the end",
    ],
    ids=lambda markdown: markdown[:12],
)
def test_what_is_deep_or_long_is_drawn_to_its_end(page_at_the_door: Visitor, markdown: str) -> None:
    depth, elements, words, shown = page_at_the_door.page.evaluate(NESTED, markdown)

    assert shown
    assert "the end" in words
    assert depth < 60
    assert elements < 120_000


def test_a_text_that_grows_is_cut_as_the_whole_is(page_at_the_door: Visitor) -> None:
    """Whatever the pieces; and what stands above the last two blocks is not looked at again."""
    different, kept = page_at_the_door.page.evaluate(
        """async () => {
            const { blockReader, blocks } = await import("/static/console/markdown.js");
            const bits = ["a", "b c", " ", "\\n", "\\n\\n", "**", "*", "`", "```\\n", "[1]", "- ", "  - ", "1. ",
                "> ", "# ", "| a | b |\\n|---|---|\\n| 1 | 2 |", "|", "---", "\\\\",
                "\\r\\n", "  \\n", "~~~\\n", "x\\n\\n  y"];
            let seed = 7;
            const random = (n) => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) % n;
            const different = [];
            for (let round = 0; round < 3000; round += 1) {
                const text = Array.from({ length: 1 + random(25) }, () => bits[random(bits.length)]).join("");
                const read = blockReader();
                let last = null;
                for (let at = 0; at < text.length; last = read(text.slice(0, at))) at += 1 + random(6);
                if (JSON.stringify(last.blocks) !== JSON.stringify(blocks(text))) different.push(text);
            }
            const read = blockReader();
            let kept = 0;
            let text = "";
            for (let round = 0; round < 500; round += 1) ({ kept } = read((text += "A paragraph.\\n\\n")));
            return [different, kept];
        }"""
    )
    assert different == []
    assert kept == 497


def test_text_beyond_what_is_read_as_markdown_is_shown_and_grows(page_at_the_door: Visitor) -> None:
    shown, expected, moved = page_at_the_door.page.evaluate(
        """async () => {
            const { createMessageView } = await import("/static/console/message.js");
            const parts = [{ type: "text", text: "" }];
            const message = { role: "assistant", status: "streaming", parts, citations: [] };
            const view = createMessageView(message, {});
            const body = view.root.querySelector(".answer");
            const observer = new MutationObserver(() => {});
            observer.observe(body, { childList: true });
            for (let round = 0; round < 150; round += 1) {
                parts[0].text += ("w".repeat(24) + " ").repeat(160) + "\\n\\n";
                view.update({ ...message }, null);
            }
            const moved = observer.takeRecords().reduce((sum, { addedNodes }) => sum + addedNodes.length, 0);
            return [body.textContent.replace(/\\s/g, "").length, parts[0].text.replace(/\\s/g, "").length, moved];
        }"""
    )
    assert shown == expected
    assert moved < 600  # A few for each piece.


def test_an_answer_is_read_aloud_once_and_in_proportion(page_at_the_door: Visitor) -> None:
    said, taken = page_at_the_door.page.evaluate(
        """async () => {
            const { sentenceReader } = await import("/static/console/announce.js");
            const region = document.querySelector("#announcements");
            region.replaceChildren();
            const reader = sentenceReader();
            const answer = "It costs **318** cruzados [1]. See [the rules](https://a.example). And `code`";
            for (let at = 1; at <= answer.length; at += 1) reader.grow(answer.slice(0, at));
            reader.finish();
            const said = [...region.children].map(({ textContent }) => textContent);
            const started = performance.now();
            const long = sentenceReader();
            const text = "word ".repeat(40000);
            for (let at = 0; at < text.length; at += 50) long.grow(text.slice(0, at));
            const dots = sentenceReader();
            for (let at = 0; at < 100000; at += 50) dots.grow(".".repeat(at));
            region.replaceChildren();
            return [said, performance.now() - started];
        }"""
    )
    assert said == ["It costs 318 cruzados.", "See the rules.", "And code"]
    assert taken < 10_000  # A second at most; looking at all of it for each piece takes minutes.


LOCATE = """async ([text, quote]) => {
    const { markedRange } = await import("/static/console/quotes.js");
    const started = performance.now();
    const { start, end } = markedRange({ text, char_start: 0, boxes: [] }, quote);
    return [Array.from(text).slice(start, end).join(""), performance.now() - started];
}"""


@pytest.mark.parametrize(
    ("text", "quote", "marked"),
    [
        ("First. The  licence\ncosts 318. Last.", "the licence costs 318", "The  licence\ncosts 318"),
        ("An exam-\nple of it.", "example", "exam-\nple"),
        ("\U0001f600 Olá, AÇÃO!", "olá ação", "Olá, AÇÃO"),
        ("It says (a+b)* here.", "(a+b)*", "a+b"),
        ("Nothing of it.", "something else", "Nothing of it."),
        ("Nothing of it.", "…", "Nothing of it."),
    ],
)
def test_a_quote_is_found_whatever_its_spaces_and_hyphens(
    page_at_the_door: Visitor, text: str, quote: str, marked: str
) -> None:
    found, _taken = page_at_the_door.page.evaluate(LOCATE, [text, quote])
    assert found == marked


@pytest.mark.parametrize("shape", ["a ", "a- ", "ab", "a", "- ", "a\n"])
def test_a_long_quote_is_looked_for_in_proportion(page_at_the_door: Visitor, shape: str) -> None:
    text = (shape * 50_000)[:50_000]
    _found, taken = page_at_the_door.page.evaluate(LOCATE, [text, text[:9_000] + "z"])
    assert taken < 5_000
