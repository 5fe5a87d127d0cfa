"""Reads the lines of a PDF page in reading order, each with its box."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium

from . import annotations
from .boxes import Box, Boxes, Rectangles
from .cleaning import clean_line
from .fields import attach, remove_fillers
from .glyphs import HYPHEN, Glyphs, objects_of
from .layout import Piece, Print, arrange
from .line_numbers import remove_line_numbers
from .lines import Line
from .pdf_visibility import Visibility
from .spacing import Edits, cuts, join_broken_lines, raised_figures, reads_left_to_right, spaced_words
from .strikethrough import struck

_LINE = re.compile(f"[^\r\n{HYPHEN}]+")
_MARKER = re.compile(r"(?:\d{1,3}(?:\.\d{1,3}){0,4}[.)]?|[a-zA-Z][.)]|[ivxIVX]{1,5}[.)]|\([a-z0-9]{1,4}\)|[•▪◦●■*§–-])")


def read_lines(
    document: "pypdfium2.PdfDocument", index: int, rectangles: Rectangles, visibility: Visibility
) -> tuple[list[Line], int, bool]:
    """The lines of a page, how many of its characters have no Unicode value, and whether its fields were left out.

    :raises PdfiumError: the page is damaged.
    """
    page, form = _load(document, index)
    textpage = page.get_textpage()
    try:
        glyphs = Glyphs(textpage.raw)
        objects = objects_of(page.raw)
        if hidden := [*visibility.hidden(page, objects, glyphs), *struck(page, objects, glyphs)]:
            glyphs.blank(hidden)
        return list(_lines(document, index, page, glyphs, rectangles)), glyphs.lost, annotations.too_many(page)
    finally:
        textpage.close()
        if form is not None:
            pdfium.FORM_OnBeforeClosePage(page.raw, form.raw)
        page.close()


def _load(document: "pypdfium2.PdfDocument", index: int) -> tuple[Any, Any]:
    """A page and its form, unless it has too many fields: PDFium's time grows with the square of their number."""
    form, document.formenv = document.formenv, None
    try:
        page = document[index]
    finally:
        document.formenv = form
    if form is None or annotations.too_many(page):
        return page, None
    pdfium.FORM_OnAfterLoadPage(page.raw, form.raw)
    return page, form


def _lines(
    document: "pypdfium2.PdfDocument", index: int, page: Any, glyphs: Glyphs, rectangles: Rectangles
) -> Iterator[Line]:
    to_box = Boxes(page.raw, glyphs.textpage, rectangles)
    fields, drawn = annotations.pieces_of(document, page)
    if fields:
        remove_fillers(glyphs, fields)
    numbers = remove_line_numbers(glyphs)
    edits = join_broken_lines(glyphs)
    edits |= spaced_words(glyphs) | raised_figures(glyphs)
    lines = list(_pieces(glyphs, edits, numbers))
    if drawn:
        fields += annotations.drawings_of(document, index)
    if fields:
        lines = attach(lines, fields)
    for printed in arrange(lines):
        yield Line(printed.text, _box(printed, to_box), printed.hyphenated, printed.row, printed.column)


def _pieces(glyphs: Glyphs, edits: Edits, apart: Sequence[int]) -> Iterator[list[Piece]]:
    """PDFium's lines, divided at wide gaps and where it has put several lines into one."""
    gaps = iter([*cuts(glyphs, edits, apart), (len(glyphs.text), 0, False)])
    gap = next(gaps)
    for found in _LINE.finditer(glyphs.text):
        start, end = found.span()
        divided = reads_left_to_right(found[0])
        lines: list[list[Piece]] = [[]]
        while gap[0] < end:
            before, after, below = gap
            if divided or below:
                _add(lines[-1], _piece(glyphs, edits, start, before))
                if below:
                    lines.append([])
                start = after
            gap = next(gaps)
        _add(lines[-1], _piece(glyphs, edits, start, end))
        lines = [line for line in lines if line]
        if lines:
            lines[-1][-1].hyphenated = glyphs.text[end : end + 1] == HYPHEN
        yield from map(_with_its_marker, lines)


def _add(pieces: list[Piece], piece: Piece | None) -> None:
    if piece is not None:
        pieces.append(piece)


def _with_its_marker(line: list[Piece]) -> list[Piece]:
    """An item of a list is one piece, however far its number is from its text."""
    if len(line) != 2 or not _MARKER.fullmatch(line[0].text):
        return line
    marker, text = line
    if not 0 <= text.left - marker.right < 5 * marker.height or text.text[:1].isdigit():
        return line
    return [
        Piece(
            f"{marker.text} {text.text}",
            marker.left,
            min(marker.bottom, text.bottom),
            text.right,
            max(marker.top, text.top),
            [*marker.ranges, *text.ranges],
            text.hyphenated,
            [*marker.areas, *text.areas],
        )
    ]


def _piece(glyphs: Glyphs, edits: Edits, start: int, end: int) -> Piece | None:
    text = glyphs.text[start:end]
    if edits and not edits.keys().isdisjoint(range(start, end)):
        text = "".join(edits.get(position, glyphs.text[position]) for position in range(start, end))
    text = clean_line(text)
    if not text:
        return None
    left, right = min(glyphs.left[start:end]), max(glyphs.right[start:end])
    return Piece(text, left, min(glyphs.bottom[start:end]), right, max(glyphs.top[start:end]), [(start, end)])


def _box(printed: Print, to_box: Boxes) -> Box | None:
    boxes = [to_box(start, end - start) for piece in printed.pieces for start, end in piece.ranges]
    boxes += [to_box.of(*area) for piece in printed.pieces for area in piece.areas]
    return _around(box for box in boxes if box is not None)


def _around(boxes: Iterable[Box]) -> Box | None:
    known = list(boxes)
    if len(known) < 2:
        return known[0] if known else None
    left, top, right, bottom = zip(*known, strict=True)
    return min(left), min(top), max(right), max(bottom)
