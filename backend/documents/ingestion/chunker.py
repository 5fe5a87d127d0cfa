"""Splits a text into passages at the ends of paragraphs and sentences.

The end of a passage depends only on the ``LOOKAHEAD`` characters after its start. So a long document can be split while
it is being read, and splitting it again from any passage on gives the same result.
"""

import re
from collections.abc import Iterator

TARGET_LENGTH = 1000  # Characters.
MIN_LENGTH = 500
MAX_LENGTH = 1300
LOOKAHEAD = 2 * MAX_LENGTH
MAX_SENTENCE_REST = 600  # Characters of a sentence on the page after the one that it begins on.

Span = tuple[int, int]

# What may end a passage, with a penalty: by how many characters an end of a paragraph may be farther from the target
# length and still be chosen.
_PARAGRAPH = re.compile(r"\n\s*\n")
_SENTENCE = re.compile(r"(?<=[.!?…])[\"'”’»)\]]*\s+(?=[\"'“‘«(\[]*[A-ZÀ-ÖØ-Þ0-9])")
_END = re.compile(r"[.!?…][\"'”’»)\]]*(?=\s)")
_LINE = re.compile(r"\n")
_SPACE = re.compile(r"\s+")
_BREAKS = ((_PARAGRAPH, 0), (_SENTENCE, 150), (_LINE, 250), (_SPACE, 700))
_AFTER_HEADING = 400
_HEADING = re.compile(r"(?:^|\n)[^\n]{1,80}[^\s.!?:;,]$")


def split(text: str, *, final: bool) -> Iterator[Span]:
    """The passages of a text, as spans without white space at their ends.

    :param final: nothing follows the text. Otherwise it stops where a passage's end may depend on what follows.
    """
    start = _skip(text, 0)
    while start < len(text):
        if not final and len(text) - start < LOOKAHEAD:
            return
        end = _end(text, start)
        stripped = start + len(text[start:end].rstrip())
        yield start, stripped
        start = _skip(text, end)


def sentence_end(text: str, start: int, end: int) -> int:
    """The end of the sentence that continues at ``start``, with the white space after it; ``start`` if it is too long.

    :param end: the end of the sentence, at the latest.
    """
    window = text[start : min(end, start + MAX_SENTENCE_REST)]
    found = min((match.end() for match in (_END.search(window), _PARAGRAPH.search(window)) if match), default=None)
    if found is None:
        return end if start + len(window) == end else start
    return _skip(text, start + found) if start + found < end else end


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def _end(text: str, start: int) -> int:
    rest = len(text[start : start + LOOKAHEAD].rstrip())
    if rest <= MAX_LENGTH:
        return start + rest
    goal = (
        rest // 2 if rest < 2 * TARGET_LENGTH else TARGET_LENGTH
    )  # Two of equal size rather than a long one and a short rest.
    window = text[start : start + MAX_LENGTH + 1]
    best, best_cost = MAX_LENGTH, 10 * MAX_LENGTH
    for pattern, penalty in _BREAKS:
        for found in pattern.finditer(window, min(MIN_LENGTH, goal)):
            cost = abs(found.start() - goal) + penalty
            if pattern is _PARAGRAPH and _HEADING.search(window, max(0, found.start() - 90), found.start()):
                cost += _AFTER_HEADING
            if cost < best_cost:
                best, best_cost = found.start(), cost
        if best_cost < penalty:
            break
    return start + best
