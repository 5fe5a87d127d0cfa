"""Text that is struck out on a PDF page: what was withdrawn must not be quoted as if it held."""

import ctypes
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pypdfium2.raw as pdfium

from .glyphs import Glyphs
from .layout import Area

MAX_STROKES = 500  # On a page: more are a drawing.
MAX_OBJECTS = 20_000  # Of a page: so are these.
_THICK = 0.15  # Of the height of print, at most.
_MIDDLE, _REACH = 0.45, 0.17  # Where in the height of print a stroke goes through it; below it is an underline.
_FEWEST = 6.0  # Points that a stroke is long.
_THIN = 3.0
_LINE = re.compile("[^\r\n]+")

_BOUNDS = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_void_p] * 5)
_get_bounds = _BOUNDS(ctypes.cast(pdfium.FPDFPageObj_GetBounds, ctypes.c_void_p).value or 0)


def struck(page: Any, objects: Sequence[tuple[int, int]], glyphs: Glyphs) -> list[int]:
    """The positions of characters that a line goes through."""
    strokes = list(_strokes(page.raw, objects))
    if not strokes or len(strokes) > MAX_STROKES:
        return []
    found: list[int] = []
    for line in _LINE.finditer(glyphs.text):
        start, end = line.span()
        bottom, top = min(glyphs.bottom[start:end]), max(glyphs.top[start:end])
        for stroke in strokes:
            if bottom < stroke[1] and stroke[3] < top:
                found += _through(stroke, glyphs, range(start, end))
    return found


def _through(stroke: Area, glyphs: Glyphs, positions: range) -> list[int]:
    left, low, right, high = stroke
    found: list[int] = []
    for position in positions:
        height = glyphs.top[position] - glyphs.bottom[position]
        away = abs(glyphs.bottom[position] + _MIDDLE * height - (low + high) / 2)
        across = left <= (glyphs.left[position] + glyphs.right[position]) / 2 <= right
        if across and away <= _REACH * height and high - low <= _THICK * height:
            found.append(position)
    letters = sum(glyphs.text[position].isalnum() for position in found)
    # Else it is the bar of a fraction, beside whose middle a sign may stand.
    return found if letters > 1 and 2 * letters > len(found) else []


def _strokes(page: Any, objects: Sequence[tuple[int, int]]) -> Iterator[Area]:
    """Thin horizontal lines, drawn or as the annotation for it."""
    edges = (ctypes.c_float * 4)()
    left, bottom, right, top = (ctypes.addressof(edges) + 4 * side for side in range(4))
    for each, kind in objects if len(objects) <= MAX_OBJECTS else ():
        if kind == pdfium.FPDF_PAGEOBJ_PATH and _get_bounds(each, left, bottom, right, top):
            x0, y0, x1, y1 = edges
            if y1 - y0 <= _THIN and x1 - x0 >= _FEWEST:
                yield x0, y0, x1, y1
    for number in range(pdfium.FPDFPage_GetAnnotCount(page)):
        annotation = pdfium.FPDFPage_GetAnnot(page, number)
        try:
            if pdfium.FPDFAnnot_GetSubtype(annotation) == pdfium.FPDF_ANNOT_STRIKEOUT:
                yield from _struck_areas(annotation)
        finally:
            pdfium.FPDFPage_CloseAnnot(annotation)


def _struck_areas(annotation: Any) -> Iterator[Area]:
    """A line through the middle of each quadrilateral that the annotation covers."""
    if pdfium.FPDFAnnot_GetFlags(annotation) & (pdfium.FPDF_ANNOT_FLAG_HIDDEN | pdfium.FPDF_ANNOT_FLAG_NOVIEW):
        return
    points = pdfium.FS_QUADPOINTSF()
    for number in range(min(pdfium.FPDFAnnot_CountAttachmentPoints(annotation), MAX_STROKES)):
        if pdfium.FPDFAnnot_GetAttachmentPoints(annotation, number, points):
            across = sorted((points.x1, points.x2, points.x3, points.x4))
            up = sorted((points.y1, points.y2, points.y3, points.y4))
            middle = (up[0] + up[-1]) / 2
            yield across[0], middle, across[-1], middle
