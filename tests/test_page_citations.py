"""Where the numbers in an answer lead, in the page, and what the page says of the knowledge that was ready."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser import Visitor, visitor
from tests.live import Stack


@pytest.fixture(scope="module")
def reader(browser: Browser, live: Stack) -> Iterator[Visitor]:
    yield from visitor(browser, live.base_url)


def draw(page: Page, message: dict[str, Any], context: dict[str, Any] | None = None) -> Any:
    """Draw one message; returns which citation each of its numbers leads to, and what it says of its knowledge."""
    return page.evaluate(
        """async ([message, context]) => {
            const { createMessageView } = await import("/static/console/message.js");
            const led = [];
            const view = createMessageView(message, { cite: (citation) => led.push(citation?.quote) });
            view.update(message, context);
            for (const button of view.root.querySelectorAll(".answer .cite")) button.click();
            const known = view.root.querySelector(".known");
            return { led, known: known.hidden ? null : known.textContent };
        }""",
        [{"id": "msg_1", "role": "assistant", "status": "streaming", "parts": [], "citations": [], **message}, context],
    )


def citations(text: str, *quotes: tuple[int, str, int], part: int = 0) -> list[dict[str, Any]]:
    """One entry for each (number, marker, how many of those stand before it)."""
    found = []
    for n, marker, before in quotes:
        start = -1
        for _ in range(before + 1):
            start = text.index(marker, start + 1)
        found.append(
            {"n": n, "quote": f"{n}@{before}", "document_name": "d", "page_from": None, "part": part}
            | {"start": start, "end": start + len(marker)}
        )
    return found


@pytest.mark.parametrize(
    ("text", "quotes", "led"),
    [
        ("Five [1]. Six [1].", [(1, "[1]", 0), (1, "[1]", 1)], ["1@0", "1@1"]),
        ("🎣🎣 Five [1].\n\n- Six [2]\n- é [1]", [(1, "[1]", 0), (2, "[2]", 0), (1, "[1]", 1)], ["1@0", "2@0", "1@1"]),
        ("`a[1]` and [1]", [(1, "[1]", 1)], ["1@1"]),
        ("```\nx[1]\n```\n\nSo [1]", [(1, "[1]", 1)], ["1@1"]),
        ("So:\n\n    x = y[1]\n\nThus [1]", [(1, "[1]", 1)], ["1@1"]),
        ("Cinco 【1】 seis【2】", [(1, "【1】", 0), (2, "【2】", 0)], ["1@0", "2@0"]),
        ("Both [1, 2]", [(1, "[1, 2]", 0), (2, "[1, 2]", 0)], ["1@0", "2@0"]),
        ("| a | b |\n|---|---|\n| x [1] | **y** [1] |", [(1, "[1]", 0), (1, "[1]", 1)], ["1@0", "1@1"]),
        ("> **Five** [1]\n> six [9]", [(1, "[1]", 0)], ["1@0"]),
        ("[see [1]](https://a.example/)", [(1, "[1]", 0)], []),
    ],
)
def test_each_number_leads_to_its_own_sentence(
    reader: Visitor, text: str, quotes: list[tuple[int, str, int]], led: list[str]
) -> None:
    message = {"parts": [{"type": "text", "text": text}], "citations": citations(text, *quotes)}
    assert draw(reader.page, message)["led"] == led


def test_of_several_parts_and_of_old_messages_too(reader: Visitor) -> None:
    first, second = "One [1].", "Two [1]."
    parts = [{"type": "text", "text": first}, {"type": "tool_call", "id": "t"}, {"type": "text", "text": second}]
    found = [*citations(first, (1, "[1]", 0)), {**citations(second, (1, "[1]", 0), part=2)[0], "quote": "second"}]
    assert draw(reader.page, {"parts": parts, "citations": found})["led"] == ["1@0", "second"]

    old = [{"n": 1, "quote": "old", "document_name": "d", "page_from": 2, "part": None, "start": None, "end": None}]
    assert draw(reader.page, {"parts": parts, "citations": old})["led"] == ["old", "old"]


@pytest.mark.parametrize(
    ("status", "knowledge", "unread", "said"),
    [
        ("streaming", (3, 2, 0, True), [], "2 of 3 documents are ready. The answer begins when all have been read."),
        ("complete", (3, 2, 0, None), [], "Answered from 2 of 3 documents."),
        (
            "complete",
            (3, 2, 1, None),
            ["Broken.pdf"],
            "Answered from 2 of 3 documents. “Broken.pdf” could not be read.",
        ),
        ("complete", (3, 1, 2, None), ["Broken.pdf"], "Answered from 1 of 3 documents. 2 could not be read."),
        ("complete", (3, 3, 0, None), [], None),
    ],
)
def test_an_answer_says_which_part_of_its_knowledge_was_ready(
    reader: Visitor, status: str, knowledge: tuple[int, int, int, bool | None], unread: list[str], said: str | None
) -> None:
    numbers = dict(zip(("total", "ready", "failed", "waiting"), knowledge, strict=True))
    message = {
        "status": status,
        "knowledge": {k: v for k, v in numbers.items() if v is not None},
        "finish_reason": "stop",
    }
    message |= {"usage": {"input_tokens": 0, "output_tokens": 0}, "cost": "0", "currency": "USD"}
    assert draw(reader.page, message, {"unread": unread})["known"] == said
