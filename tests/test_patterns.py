"""Every regular expression does work in proportion to the text, or meets short texts only.

A new one is tested from its first day, with texts made from the pattern itself. Where it meets short texts only, or
text of ours or of the operator alone, it is listed here with the reason.
"""

import time

import pytest

from tests.patterns import Expression, expressions, hard_texts
from tests.work import at_most

LENGTH = 40_000  # Characters. A pattern that looks from each of them at all that follow takes seconds.
SAMPLE = 2_000
WORK = 0.4  # Seconds of processor time for a text; where work is in proportion to it, the slowest takes 0.03.
HARDEST = 12  # Of the texts at the length of the sample, which are tried at full length.

# Patterns that meet no longer texts than so many characters, and why.
SHORT = {"agents.citations._QUOTED": (1_000, "the claim before a marker")}

# Patterns that meet text of ours or of the operator alone, or are made at run time, and why no text makes them slow.
TRUSTED = {
    "accounts.keys.PEM": "keys of the settings",
    "embedded.options.from_environment": "the operator's address",
    "agents.citations._literally": "words of a claim, in a passage: test_citations tries both at their longest",
    "llm.transport.named": "names of our own parameters, in a message that is cut",
}

FOUND = expressions()


@pytest.mark.parametrize("expression", FOUND, ids=lambda expression: expression.name)
def test_a_pattern_takes_time_in_proportion_to_the_text(expression: Expression) -> None:
    if expression.name in TRUSTED:
        return
    pattern = expression.compiled
    assert pattern is not None, "put together at run time: bound what it is made of, and list the reason"
    length, _reason = SHORT.get(expression.name, (LENGTH, ""))
    taken = []
    for number, make in enumerate(hard_texts(pattern)):
        with at_most(WORK):
            started = time.process_time()
            for _match in pattern.finditer(make(SAMPLE)):
                pass
            taken.append((time.process_time() - started, number, make))
    for _seconds, _number, make in sorted(taken, reverse=True)[:HARDEST]:
        text = make(length)
        with at_most(WORK):
            for _match in pattern.finditer(text):
                pass
            pattern.fullmatch(text)


def test_what_is_listed_exists() -> None:
    assert {*SHORT, *TRUSTED} <= {expression.name for expression in FOUND}
