"""Removes line numbers that are printed in the margin of a PDF page.

They are not part of the text and must not join its figures: "10 The owner shall pay" and, on the next line, "11 300
euros" do not mean 11 300 euros.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from .glyphs import HYPHEN, Glyphs
from .lines import goes_on, is_unfinished

_MIN_NUMBERS = 3  # Numbers that make a column of them.
_STEPS = (1, 2, 5, 10)
_ALIGNED = 1.5  # Points.
_FIRST = re.compile(f"(?:^|(?<=[\r\n{HYPHEN}]))[^\\S\r\n]*([0-9]{{1,4}})(?=[\\s{HYPHEN}]|$)")
_LAST = re.compile(f"(?<![^\\s{HYPHEN}])([0-9]{{1,4}})[^\\S\r\n]*(?=[\r\n{HYPHEN}]|$)")
_LINE = re.compile(f"[^\r\n{HYPHEN}]+")


@dataclass(slots=True)
class _Number:
    value: int
    start: int
    end: int
    left: float
    right: float
    bottom: float
    top: float


def remove_line_numbers(glyphs: Glyphs) -> list[int]:
    """Remove the line numbers.

    :return: positions after numbers that stand at the start of lines and may count them or what is in them, such as
        the rows of a table: what follows there is no part of the number.
    """
    if sum(map(str.isdigit, glyphs.text)) < _MIN_NUMBERS:
        return []
    apart: list[int] = []
    taken: list[int] = []
    for pattern, at_left in ((_FIRST, True), (_LAST, False)):
        numbers = [_number(glyphs, found) for found in pattern.finditer(glyphs.text)]
        for column in _columns(numbers):
            texts = _beside(glyphs, column, at_left=at_left)
            if texts is not None and _count_lines(column, texts):
                taken += (position for number in column for position in range(number.start, number.end))
            elif at_left:
                apart += (number.end for number in column)
    if taken:
        glyphs.blank(taken)
    return apart


def _number(glyphs: Glyphs, found: "re.Match[str]") -> _Number:
    start, end = found.span(1)
    left, right = min(glyphs.left[start:end]), max(glyphs.right[start:end])
    return _Number(int(found[1]), start, end, left, right, min(glyphs.bottom[start:end]), max(glyphs.top[start:end]))


def _columns(numbers: Sequence[_Number]) -> list[list[_Number]]:
    """Numbers below one another, on one edge, that count by equal steps."""
    columns: list[list[_Number]] = []
    for number in numbers:
        for column in reversed(columns[-8:]):
            last = column[-1]
            aligned = min(abs(number.left - last.left), abs(number.right - last.right)) < _ALIGNED
            step = number.value - last.value
            known = column[1].value - column[0].value if len(column) > 1 else step
            if aligned and number.top < last.top and step in _STEPS and step == known:
                column.append(number)
                break
        else:
            columns.append([number])
    return [column for column in columns if len(column) >= _MIN_NUMBERS]


def _beside(glyphs: Glyphs, column: Sequence[_Number], *, at_left: bool) -> list[str] | None:
    """The lines of print from the first number to the last; none if print is outside or within their column."""
    high, low = column[0].top + 1, column[-1].bottom - 1
    left, right = min(number.left for number in column), max(number.right for number in column)
    own = {position for number in column for position in range(number.start, number.end)}
    texts: list[str] = []
    for line in _LINE.finditer(glyphs.text):
        start, end = line.span()
        if not low < (glyphs.bottom[start] + glyphs.top[start]) / 2 < high:
            continue
        rest = [
            position for position in range(start, end) if position not in own and not glyphs.text[position].isspace()
        ]
        if not rest:
            continue
        if at_left and min(glyphs.left[position] for position in rest) < right:
            return None
        if not at_left and max(glyphs.right[position] for position in rest) > left:
            return None
        texts.append("".join(glyphs.text[position] for position in range(rest[0], rest[-1] + 1)))
    return texts


def _count_lines(column: Sequence[_Number], texts: Sequence[str]) -> bool:
    """Whether the numbers count lines of prose, and nothing that is in them.

    Sentences continue from line to line, and there are no more lines than were counted. The items of a list may begin
    with small letters too, but do not end with an article or a preposition.
    """
    pairs = list(pairwise(texts))
    counted = column[-1].value - column[0].value + 1
    if not pairs or not counted <= 2 * len(texts) or len(texts) > counted:
        return False
    on = sum(goes_on(one, other) for one, other in pairs)
    words = sum(len(text.split()) for text in texts) / len(texts)
    open_ends = sum(is_unfinished(text) for text in texts[:-1])
    return 3 * on >= len(pairs) and words >= 2 and (open_ends > 0 or words >= 6)
