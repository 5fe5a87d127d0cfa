"""Removes repeated headers, footers and page numbers, which would divide sentences that continue on the next page.

Lines that consecutive pages have at the same place of their upper or lower edge, apart from the rest, are kept on the
first of these pages, before its text, and left out of the others.
"""

import re
from collections.abc import Iterator, Sequence

from .boxes import SCALE
from .lines import Line

_EDGE = SCALE // 6  # Of the page's height, at its upper and lower end.
_OUTERMOST = SCALE // 14
_MAX_LINES = 3  # Lines at either edge.
_SAME_PLACE = SCALE // 100
_NUMBER = re.compile("[0-9]+")
_PAGE_NUMBER = re.compile(r"\W{0,3}(?:[0-9]{1,5}|[ivxlc]{1,7})\W{0,3}", re.IGNORECASE)


def without_running(
    lines: list[Line], *, before: Sequence[Sequence[Line]], after: Sequence[Line], distances: Sequence[int]
) -> list[Line]:
    """The lines of a page in reading order, without those that earlier pages have already.

    :param before: the lines of earlier pages.
    :param distances: how many pages before this one they are.
    :param after: the lines of the next page.
    """
    edges = list(_edges(lines))
    repeated = [
        line
        for line in edges
        if any(_recurs(line, page, -distance) for page, distance in zip(before, distances, strict=True))
    ]
    first = [line for line in edges if line not in repeated and _recurs(line, after, 1)]
    taken = {id(line) for line in [*repeated, *first]}
    if not taken:
        return lines
    kept = sorted((line for line in first if not _PAGE_NUMBER.fullmatch(line.text)), key=_top)
    return [*kept, *(line for line in lines if id(line) not in taken)]


def _edges(lines: Sequence[Line]) -> Iterator[Line]:
    """The lines at the upper and the lower edge of the page that stand apart from what is between."""
    placed = sorted((line for line in lines if line.box is not None), key=_top)
    yield from _apart(placed, upper=True)
    yield from _apart(placed[::-1], upper=False)


def _apart(lines: Sequence[Line], *, upper: bool) -> Iterator[Line]:
    """The first of the lines, from an edge on, up to a gap."""
    last = 0
    for number, line in enumerate(lines[: _MAX_LINES + 1]):
        top, bottom = _place(line)
        if (bottom > _EDGE) if upper else (top < SCALE - _EDGE):
            break
        if number + 1 == len(lines):  # All that there is.
            break
        next_top, next_bottom = _place(lines[number + 1])
        gap = next_top - bottom if upper else top - next_bottom
        outermost = bottom < _OUTERMOST if upper else top > SCALE - _OUTERMOST
        if outermost or gap > 1.2 * (bottom - top):
            last = number + 1
    yield from lines[: min(last, _MAX_LINES)]


def _recurs(line: Line, page: Sequence[Line], pages: int) -> bool:
    """Whether another page has the same line at the same place, except for its page number."""
    return any(_is_same(line, other, pages) for other in page)


def _is_same(line: Line, other: Line, pages: int) -> bool:
    if line.box is None or other.box is None:
        return False
    if abs(line.box[1] - other.box[1]) > _SAME_PLACE or abs(line.box[3] - other.box[3]) > _SAME_PLACE:
        return False
    if line.text == other.text:
        return True
    if _NUMBER.sub("#", line.text) != _NUMBER.sub("#", other.text):
        return False
    numbers, others = (_NUMBER.findall(each.text) for each in (line, other))
    differing = [int(its[-9:]) - int(own[-9:]) for own, its in zip(numbers, others, strict=True) if own != its]
    return differing == [pages]


def _top(line: Line) -> int:
    return line.box[1] if line.box else 0


def _place(line: Line) -> tuple[int, int]:
    return (line.box[1], line.box[3]) if line.box else (0, 0)
