"""Inserts the text of annotations at its place: after the label of its line, or between the lines."""

import re
from collections.abc import Iterator, Sequence

from .glyphs import Glyphs
from .layout import Piece

_FILLERS = re.compile("[_.\u2026]{2,}|_")
_FAR = 320.0  # Points: a label that is further to the left belongs to something else.
_CLOSE = 40.0


def remove_fillers(glyphs: Glyphs, fields: Sequence[Piece]) -> None:
    """Remove the lines of dots or underscores below fields."""
    covered: list[int] = []
    for filler in _FILLERS.finditer(glyphs.text):
        for position in range(*filler.span()):
            x, y = (glyphs.left[position] + glyphs.right[position]) / 2, glyphs.top[position]
            if any(field.left <= x <= field.right and field.bottom - 2 <= y <= field.top + 8 for field in fields):
                covered.append(position)
    if covered:
        glyphs.blank(covered)


def attach(lines: Sequence[list[Piece]], fields: Sequence[Piece]) -> list[list[Piece]]:
    """The lines with the fields: each in the line that it overlaps with, else as a line of its own."""
    result = [list(line) for line in lines]
    for field in sorted(fields, key=lambda field: (-field.middle, field.left)):
        neighbour = _neighbour(result, field)
        if neighbour is None:
            result.insert(_place(result, field), [field])
            continue
        line, number, before = neighbour
        label = result[line][number]
        text = f"{field.text} {label.text}" if before else f"{label.text} {field.text}"
        result[line][number] = Piece(
            text,
            min(label.left, field.left),
            label.bottom,
            max(label.right, field.right),
            label.top,
            label.ranges,
            label.hyphenated and before,
            [*label.areas, *field.areas],
        )
    return result


def _neighbour(lines: Sequence[list[Piece]], field: Piece) -> tuple[int, int, bool] | None:
    """The piece in the same line of print that the field belongs to, and whether the field comes first."""
    left: tuple[float, int, int] | None = None
    right: tuple[float, int, int] | None = None
    for line, number, piece in _beside(lines, field):
        if piece.left < field.left and piece.right < field.right:
            away = max(0.0, field.left - piece.right)
            left = min(left or (away, line, number), (away, line, number))
        elif piece.left >= field.left:
            away = max(0.0, piece.left - field.right)
            right = min(right or (away, line, number), (away, line, number))
    if right and right[0] < _CLOSE and (field.checkable or not left or left[0] > _FAR):
        return right[1], right[2], True
    if left and left[0] < _FAR:
        return left[1], left[2], False
    return None


def _beside(lines: Sequence[list[Piece]], field: Piece) -> Iterator[tuple[int, int, Piece]]:
    for line, pieces in enumerate(lines):
        for number, piece in enumerate(pieces):
            overlap = min(piece.top, field.top) - max(piece.bottom, field.bottom)
            if overlap > 0.5 * min(piece.height, field.height):
                yield line, number, piece


def _place(lines: Sequence[list[Piece]], field: Piece) -> int:
    """Where a line of the field alone belongs: after the nearest line above it."""
    best, place = float("inf"), 0
    for number, line in enumerate(lines, 1):
        away = line[0].middle - field.middle
        sideways = max(0.0, max(line[0].left, field.left) - min(line[-1].right, field.right))
        if away >= 0 and away + sideways <= best:
            best, place = away + sideways, number
    return place
