"""Every regular expression does work in proportion to the text, or meets short texts only.

A new one is tested from its first day, with texts made from the pattern itself. Where it meets short texts only, or
text of ours or of the operator alone, it is listed here with the reason.
"""

import re
import time
from typing import Any

import pytest

from tests.patterns import Expression, expressions, hard_texts
from tests.work import at_most

LENGTH = 120_000  # Characters. A pattern that looks from each of them at all that follow takes seconds.
SAMPLE = 2_000
WORK = 1.0  # Seconds of processor time for a text; where work is in proportion to it, the slowest takes 0.1.
HARDEST = 8  # Of the texts at the length of the sample, which are tried at full length.

# Patterns that meet no longer texts than so many characters, and why.
SHORT = {
    "agents.answers.quotes._QUOTED": (1_000, "the claim before a marker"),
    "documents.filetypes._TEXTUAL": (255, "a content type, cut before"),
    "llm.identities": (10_000, "a provider's message, cut before (refusals.MAX_MESSAGE_CHARACTERS)"),
}

# Patterns that meet text of ours or of the operator alone, or are made at run time, and why no text makes them slow.
TRUSTED = {
    "accounts.keys.PEM": "keys of the settings",
    "embedded.options.from_environment": "the operator's address",
    "http.pagination.CursorPagination.decode_cursor": "a prefix of bounded length and a position of ours: dates, ids",
    "llm.prose.literally": "words of a claim, in a passage: test_citations tries both at their longest",
    "llm.transport.refused_parameter": "names of our own parameters, in a message that is cut",
}

FOUND = expressions()


@pytest.mark.parametrize("expression", FOUND, ids=lambda expression: expression.name)
def test_a_pattern_takes_time_in_proportion_to_the_text(expression: Expression) -> None:
    if expression.name in TRUSTED:
        return
    pattern = expression.compiled
    assert pattern is not None, "put together at run time: bound what it is made of, and list the reason"
    length, _reason = SHORT.get(expression.name, (LENGTH, ""))
    makers = list(hard_texts(pattern))
    for most in (5 * HARDEST, HARDEST):  # Twice, as what else runs here disturbs the first.
        makers = sorted(makers, key=lambda make: -_seconds(pattern, make(SAMPLE)))[:most]
    for make in makers:
        text = make(length)
        with at_most(WORK):
            for _match in pattern.finditer(text):
                pass
            pattern.fullmatch(text)


def _seconds(pattern: "re.Pattern[Any]", text: Any) -> float:
    with at_most(WORK):
        started = time.process_time()
        for _match in pattern.finditer(text):
            pass
        return time.process_time() - started


def test_what_is_listed_exists() -> None:
    assert {*SHORT, *TRUSTED} <= {expression.name for expression in FOUND}
