"""Converts tables to lines with the same number of cells in each row, so that values stay in their columns."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

MAX_COLUMNS = 1000
_MAX_ROW_LENGTH = 2000  # Characters. A longer row with paragraphs in its cells is page layout, not a row of values.
SEPARATOR = " | "


class Row(str):
    """A row of a table.

    :ivar within: its text within a row of another table, which uses the same separator.
    """

    within: str

    @classmethod
    def of(cls, cells: Sequence[str]) -> "Row":
        row = cls(SEPARATOR.join(cells).strip())
        row.within = ", ".join(cells)
        return row


class Cell(NamedTuple):
    blocks: list[str]
    across: int = 1  # Columns.
    down: int = 1  # Rows.


def blocks(rows: Sequence[Sequence[Cell]], *, layout: bool = False) -> Iterator[str]:
    """The rows, one line each. The cells of a layout, or of a table of one column, are paragraphs.

    A merged cell has its text in its first column and row, the rest is empty; a column in which no cell begins is left
    out.
    """
    begun: set[int] = set()
    for line in _placed(rows):
        begun.update(line)
    columns = sorted(begun)
    if layout or len(columns) <= 1:
        for row in rows:
            for cell in row:
                yield from cell.blocks
        return
    for row, line in zip(rows, _placed(rows), strict=True):
        texts = [flat(line[column].blocks) if column in line else "" for column in columns]
        if not any(texts):
            continue
        if sum(map(len, texts)) > _MAX_ROW_LENGTH and any(len(cell.blocks) > 1 for cell in row):
            for cell in row:
                yield from cell.blocks
        else:
            yield Row.of(texts)


def flat(blocks: Sequence[str]) -> str:
    """Join paragraphs and lines to one line. A slash separates two numbers, so that they do not read as one."""
    text = ""
    parts: list[str] = []
    after_row = False
    for block in blocks:
        is_row = isinstance(block, Row)
        for piece in (block.within if isinstance(block, Row) else block).split("\n"):
            line = piece.strip()
            if not line:
                continue
            if text:
                both = text[-1].isdigit() and line[0].isdigit()
                parts.append("; " if is_row and after_row else " / " if both else " ")
            parts.append(line)
            text, after_row = line, is_row
    return "".join(parts)


def _placed(rows: Sequence[Sequence[Cell]]) -> Iterator[dict[int, Cell]]:
    """Each row's cells by the column in which they begin."""
    covered: dict[int, int] = {}  # Rows from here on that a cell above covers, by column.
    for row in rows:
        line: dict[int, Cell] = {}
        below = {column: more - 1 for column, more in covered.items() if more > 1}
        column = 0
        for cell in row:
            while column in covered and column < MAX_COLUMNS:
                column += 1
            place = min(column, MAX_COLUMNS)
            if place in line:  # Beyond the last column.
                line[place].blocks.extend(cell.blocks)
            else:
                line[place] = cell if place < MAX_COLUMNS else Cell(list(cell.blocks))
            across = min(max(1, cell.across), MAX_COLUMNS)
            if cell.down > 1:
                below.update(dict.fromkeys(range(place, place + across), cell.down - 1))
            column = place + across
        covered = below
        yield line
