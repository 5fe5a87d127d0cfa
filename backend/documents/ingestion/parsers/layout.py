"""Sorts the text of a PDF page into reading order: columns one after the other, the cells of a row in one line.

PDFium returns text in the order of the file, and merges text that is side by side into one line. Where text is side by
side, adjacent lines form a band as long as a vertical gutter is free in all of them. The columns of a band are either
prose, each read to its end, or cells of a table, read row by row. All other text keeps its order.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from .lines import goes_on

MAX_PIECES = 4_000  # On a page: more are no text that is set in columns.
_MAX_COLUMNS = 40
_GUTTER = 0.7  # Of the height of print.
_NARROW_GUTTER = 0.35  # Likewise, beside figures.
_MAX_LEADING = 3.5  # From one line of a band to the next, of the height of print.

Interval = tuple[float, float]
Area = tuple[float, float, float, float]  # Left, bottom, right, top.


@dataclass(slots=True)
class Piece:
    """Text without a wide gap, or the text of an annotation. Units as in ``glyphs.py``.

    :ivar ranges: the positions of its characters, from and up to.
    :ivar areas: the areas of its annotations.
    :ivar checkable: it is a box to be checked, whose label follows it.
    """

    text: str
    left: float
    bottom: float
    right: float
    top: float
    ranges: list[tuple[int, int]] = field(default_factory=list)
    hyphenated: bool = False
    areas: list[Area] = field(default_factory=list)
    checkable: bool = False

    @property
    def height(self) -> float:
        return self.top - self.bottom

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2

    def beside(self, other: "Piece") -> bool:
        """Whether both are in one line of print, not one over the other."""
        overlap = min(self.top, other.top) - max(self.bottom, other.bottom)
        apart = max(self.left, other.left) - min(self.right, other.right)
        return overlap > 0.5 * min(self.height, other.height) and apart > 0


@dataclass(slots=True)
class Print:
    """A line in reading order: its pieces and its text; other fields as of ``lines.Line``."""

    text: str
    pieces: list[Piece]
    row: bool = False
    column: int = 0

    @property
    def hyphenated(self) -> bool:
        return self.pieces[-1].hyphenated and not self.row


def arrange(lines: Sequence[list[Piece]]) -> Iterator[Print]:
    """Lines of pieces, as PDFium has them, in the order of reading."""
    if sum(map(len, lines)) > MAX_PIECES:
        yield from (_joined(line) for line in lines)
        return
    for band in _bands(lines):
        if any(len(line) > 1 for line in band) or any(one[-1].beside(other[0]) for one, other in pairwise(band)):
            yield from _ordered(band)
        else:
            yield from (_joined(line) for line in band)


def _joined(pieces: list[Piece], column: int = 0) -> Print:
    text = pieces[0].text
    for before, piece in pairwise(pieces):
        # Figures that stand apart are never joined to one.
        between = " | " if before.text[-1].isdigit() and piece.text[0].isdigit() else " "
        text += between + piece.text
    return Print(text, pieces, column=column)


def _bands(lines: Sequence[list[Piece]]) -> Iterator[list[list[Piece]]]:
    """Runs of lines in which a gutter stays free."""
    band: list[list[Piece]] = []
    covered: list[Interval] = []
    for line in lines:
        # Turned print has no height here. Most lines are one piece below another.
        if band and line[0].height > 0 < band[-1][0].height and not _is_below(covered, line):
            union = _union(covered, line)
            free = max(2, len(covered), len(_union([], line)))  # Gutters of neither are closed by the other.
            if free <= len(union) <= _MAX_COLUMNS and _near(band[-1], line):
                band.append(line)
                covered = union
                continue
        if band:
            yield band
        band = [line]
        covered = [(line[0].left, line[0].right)] if len(line) == 1 else _union([], line)
    if band:
        yield band


def _is_below(covered: Sequence[Interval], line: Sequence[Piece]) -> bool:
    """Whether there is no gutter at all: one piece, and all above it is in its way."""
    return len(line) == len(covered) == 1 and line[0].left < covered[0][1] and covered[0][0] < line[0].right


def _near(line: list[Piece], following: list[Piece]) -> bool:
    """Whether the next line is not far below, and not further up than lines of two columns that alternate."""
    height = max(line[0].height, following[0].height)
    low, high = min(piece.bottom for piece in line), max(piece.top for piece in following)
    return -1.6 * height - line[0].height < low - high < _MAX_LEADING * height


def _union(covered: Sequence[Interval], pieces: Sequence[Piece]) -> list[Interval]:
    """What is covered sideways; gaps that are no gutter count as covered."""
    figures = sum(_is_figure(piece.text) for piece in pieces)
    gutter = (_NARROW_GUTTER if len(pieces) > 1 and 3 * figures >= len(pieces) else _GUTTER) * min(
        piece.height for piece in pieces
    )
    union: list[Interval] = []
    for left, right in sorted([*covered, *((piece.left, piece.right) for piece in pieces)]):
        if union and left - union[-1][1] < gutter:
            union[-1] = (union[-1][0], max(union[-1][1], right))
        else:
            union.append((left, right))
    return union


def _ordered(band: Sequence[list[Piece]]) -> Iterator[Print]:
    pieces = [piece for line in band for piece in line]
    starts = [left for left, _ in _union([], pieces)]
    columns: list[list[Piece]] = [[] for _ in starts]
    rows = _rows(pieces)
    for row in rows:
        for piece in row:
            columns[max(0, bisect_right(starts, piece.left) - 1)].append(piece)
    if _is_prose(columns):
        for number, column in enumerate(columns, 1):
            yield from (_joined(row, number) for row in _rows(column))
        return
    table = list(_table(rows, starts))
    several = sum(len(row) > 1 for row in rows)
    dense = several > 1 and 2 * several >= len(table) and 2 * len(pieces) >= len(table) * len(starts)
    if dense or _is_sparse(rows, len(starts)):
        yield from table
    else:
        yield from (_joined(line) for line in band)


def _rows(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Pieces of one line of print together, from left to right; the upper lines first."""
    rows: list[list[Piece]] = []
    for piece in sorted(pieces, key=lambda piece: -piece.middle):
        if rows and piece.middle > rows[-1][0].bottom + 0.1 * rows[-1][0].height:
            rows[-1].append(piece)
        else:
            rows.append([piece])
    for row in rows:
        row.sort(key=lambda piece: piece.left)
    return rows


def _is_prose(columns: Sequence[Sequence[Piece]]) -> bool:
    """Whether the columns are text that runs on from line to line, and not cells."""
    long = [column for column in columns if len(column) > 1]
    if len(long) < 2 or len(columns) > 5:
        return False
    return all(_runs_on(column) for column in long) and not any(
        _is_figure(piece.text) for column in columns if len(column) == 1 for piece in column
    )


def _runs_on(column: Sequence[Piece]) -> bool:
    words = sum(len(piece.text.split()) for piece in column) / len(column)
    if words < 2.5 or sum(_is_figure(piece.text) for piece in column) > 0.3 * len(column):
        return False
    pairs = list(pairwise(column))
    on = sum(one.hyphenated or one.text[-1:] == "-" or goes_on(one.text, other.text) for one, other in pairs)
    if 3 * on >= len(pairs):
        return True
    right = max(piece.right for piece in column)
    left = min(piece.left for piece in column)
    full = sum(piece.right > right - (right - left) / 6 for piece in column)
    return words >= 4.5 and 2 * full >= len(column) and 6 * on >= len(pairs)


def _is_figure(text: str) -> bool:
    return 2 * sum(map(str.isdigit, text)) >= len(text.replace(" ", ""))


def _is_sparse(rows: Sequence[list[Piece]], columns: int) -> bool:
    """Whether single figures stand below a row that has all columns: a table with few values."""
    return (
        len(rows) > 2
        and len(rows[0]) == columns > 2
        and all(len(row) > 1 or _is_figure(row[0].text) for row in rows)
        and not any(map(_is_figure, (piece.text for piece in rows[0])))
    )


def _table(rows: list[list[Piece]], starts: Sequence[float]) -> Iterator[Print]:
    """Each row a line, its cells divided by bars; empty cells where the others have print."""
    lines: list[tuple[list[list[Piece]], list[Piece]]] = []
    for row in rows:
        cells: list[list[Piece]] = [[] for _ in starts]
        for piece in row:
            cells[max(0, bisect_right(starts, piece.left) - 1)].append(piece)
        if lines and _continues(lines[-1], cells, row):
            for cell, more in zip(lines[-1][0], cells, strict=True):
                cell.extend(more)
            lines[-1][1].extend(row)
        else:
            lines.append((cells, list(row)))
    for cells, row in lines:
        texts = [" ".join(piece.text for piece in cell) for cell in cells]
        filled = [text for text in texts if text]
        if len(filled) == 1 and texts[0] and not _is_figure(texts[0]):
            yield Print(texts[0], row)
        else:
            yield Print(_barred(texts), row, row=True)


def _barred(texts: Sequence[str]) -> str:
    line = texts[0]
    for before, text in pairwise(texts):
        line += f" {text}" if before.endswith(":") and text else f" | {text}"
    return line.strip()


def _continues(above: tuple[list[list[Piece]], list[Piece]], cells: list[list[Piece]], row: list[Piece]) -> bool:
    """Whether this is the second line of cells of the row above."""
    upper, pieces = above
    filled = [number for number, cell in enumerate(cells) if cell]
    if len(filled) >= sum(map(bool, upper)) or not all(upper[number] for number in filled):
        return False
    distance = pieces[-1].middle - row[0].middle
    if distance > 1.4 * row[0].height or any(_is_figure(piece.text) for piece in row):
        return False
    lower_case = all(piece.text[:1].islower() for piece in row)
    return lower_case or bool(filled[0] and not cells[0])
