"""Text that is struck out on a PDF page: what was withdrawn must not be quoted as if it held."""

import ctypes
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import repeat
from operator import sub
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

_Function = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
_Question = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
_page_object = _Function(ctypes.cast(pdfium.FPDFPage_GetObject, ctypes.c_void_p).value or 0)
_type = _Question(ctypes.cast(pdfium.FPDFPageObj_GetType, ctypes.c_void_p).value or 0)


def struck(page: Any, glyphs: Glyphs) -> list[int]:
    """The positions of characters that a line goes through."""
    strokes = list(_strokes(page.raw))
    if not strokes or len(strokes) > MAX_STROKES:
        return []
    heights = list(map(sub, glyphs.top, glyphs.bottom))
    reach = _REACH * max(heights, default=0.0)
    middles = [bottom + _MIDDLE * height for bottom, height in zip(glyphs.bottom, heights, strict=True)]
    order = sorted(range(len(middles)), key=middles.__getitem__)
    sorted_middles = [middles[position] for position in order]
    found: list[int] = []
    for left, low, right, high in strokes:
        y = (low + high) / 2
        through: list[int] = []
        for position in order[bisect_left(sorted_middles, y - reach) : bisect_right(sorted_middles, y + reach)]:
            height = heights[position]
            across = left <= (glyphs.left[position] + glyphs.right[position]) / 2 <= right
            if across and abs(middles[position] - y) <= _REACH * height and high - low <= _THICK * height:
                through.append(position)
        letters = sum(glyphs.text[position].isalnum() for position in through)
        if letters > 1 and 2 * letters > len(through):  # Not a bar of a formula, beside whose middle a sign may stand.
            found += through
    return found


def _strokes(page: Any) -> Iterator[Area]:
    """Thin horizontal lines, drawn or as the annotation for it."""
    count = pdfium.FPDFPage_CountObjects(page)
    if count > MAX_OBJECTS:
        count = 0
    objects = list(map(_page_object, repeat(ctypes.cast(page, ctypes.c_void_p).value), range(count)))
    edges = [ctypes.c_float() for _ in range(4)]
    for each, kind in zip(objects, map(_type, objects), strict=True):
        if kind != pdfium.FPDF_PAGEOBJ_PATH or not each:
            continue
        if pdfium.FPDFPageObj_GetBounds(ctypes.cast(each, pdfium.FPDF_PAGEOBJECT), *edges):
            left, bottom, right, top = (edge.value for edge in edges)
            if top - bottom <= _THIN and right - left >= _FEWEST:
                yield left, bottom, right, top
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
