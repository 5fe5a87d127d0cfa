"""Finds struck-out text on a PDF page. It was withdrawn, so it must not be quoted as valid."""

import ctypes
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pypdfium2.raw as pdfium

from .glyphs import Glyphs
from .layout import Area
from .occlusion import MAX_ANNOTATIONS, MAX_OBJECTS

MAX_STROKES = 500  # On a page: more are a drawing.
_THICK = 0.15  # Of the height of print, at most.
_MIDDLE, _REACH = 0.45, 0.17  # Where in the height of print a stroke goes through it; below it is an underline.
_MIN_LENGTH = 6.0  # Points that a stroke is long.
_THIN = 3.0
_MIN_PIECE, _APART = 1.0, 2.5  # Points: pieces of a stroke, and between them.
_MAX_RISE = 16.0  # Points that a slanting stroke rises.
_LINE = re.compile("[^\r\n]+")

_BOUNDS = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_void_p] * 5)
_get_bounds = _BOUNDS(ctypes.cast(pdfium.FPDFPageObj_GetBounds, ctypes.c_void_p).value or 0)


def struck(page: Any, objects: Sequence[tuple[int, int]], glyphs: Glyphs) -> list[int]:
    """The positions of struck-out characters."""
    strokes = list(_strokes(page.raw, objects))
    if not strokes or len(strokes) > MAX_STROKES:
        return []
    found: list[int] = []
    for line in _LINE.finditer(glyphs.text):
        start, end = line.span()
        bottom, top = min(glyphs.bottom[start:end]), max(glyphs.top[start:end])
        for stroke in strokes:
            if bottom - 1 < stroke[1] and stroke[3] < top + 1:
                found += _through(stroke, glyphs, range(start, end))
    return found


def _through(stroke: Area, glyphs: Glyphs, positions: range) -> list[int]:
    left, low, right, high = stroke
    found: list[int] = []
    for position in positions:
        height = glyphs.top[position] - glyphs.bottom[position]
        away = abs(glyphs.bottom[position] + _MIDDLE * height - (low + high) / 2)
        across = left <= (glyphs.left[position] + glyphs.right[position]) / 2 <= right
        slanting = _THIN < high - low <= 1.2 * height
        if across and away <= _REACH * height and (slanting or high - low <= _THICK * height):
            found.append(position)
    letters = sum(glyphs.text[position].isalnum() for position in found)
    # Else it is the bar of a fraction, beside whose middle a sign may stand.
    return found if letters > 1 and 2 * letters > len(found) else []


def _strokes(page: Any, objects: Sequence[tuple[int, int]]) -> Iterator[Area]:
    """Thin horizontal lines, drawn or as the annotation for it."""
    edges = (ctypes.c_float * 4)()
    left, bottom, right, top = (ctypes.addressof(edges) + 4 * side for side in range(4))
    thin: list[Area] = []
    for each, kind in objects if len(objects) <= MAX_OBJECTS else ():
        if kind == pdfium.FPDF_PAGEOBJ_PATH and _get_bounds(each, left, bottom, right, top):
            x0, y0, x1, y1 = edges
            if y1 - y0 <= _THIN and x1 - x0 >= _MIN_PIECE:
                thin.append((x0, y0, x1, y1))
            elif x1 - x0 >= _MIN_LENGTH and y1 - y0 <= _MAX_RISE and _is_single_line(each):
                yield x0, y0, x1, y1
    yield from _longest(thin)
    for number in range(min(pdfium.FPDFPage_GetAnnotCount(page), MAX_ANNOTATIONS)):
        annotation = pdfium.FPDFPage_GetAnnot(page, number)
        try:
            if pdfium.FPDFAnnot_GetSubtype(annotation) in (pdfium.FPDF_ANNOT_STRIKEOUT, pdfium.FPDF_ANNOT_REDACT):
                yield from _struck_areas(annotation)
        finally:
            pdfium.FPDFPage_CloseAnnot(annotation)


def _longest(strokes: list[Area]) -> Iterator[Area]:
    """The strokes, with adjacent ones joined and short ones left out."""
    strokes.sort(key=lambda stroke: (round(stroke[1]), stroke[0]))
    joined: Area | None = None
    for stroke in strokes:
        if joined and abs(stroke[1] - joined[1]) < 1 and -1 <= stroke[0] - joined[2] < _APART:
            joined = joined[0], min(joined[1], stroke[1]), stroke[2], max(joined[3], stroke[3])
            continue
        if joined and joined[2] - joined[0] >= _MIN_LENGTH:
            yield joined
        joined = stroke
    if joined and joined[2] - joined[0] >= _MIN_LENGTH:
        yield joined


def _is_single_line(each: int) -> bool:
    """Whether a path goes from one point to another, and no further."""
    path = ctypes.cast(each, pdfium.FPDF_PAGEOBJECT)
    if pdfium.FPDFPath_CountSegments(path) != 2:  # To the start, and on to the end.
        return False
    return bool(pdfium.FPDFPathSegment_GetType(pdfium.FPDFPath_GetPathSegment(path, 1)) == pdfium.FPDF_SEGMENT_LINETO)


def _struck_areas(annotation: Any) -> Iterator[Area]:
    """A line through the middle of each quadrilateral that the annotation covers."""
    if pdfium.FPDFAnnot_GetFlags(annotation) & (pdfium.FPDF_ANNOT_FLAG_HIDDEN | pdfium.FPDF_ANNOT_FLAG_NOVIEW):
        return
    points = pdfium.FS_QUADPOINTSF()
    count = pdfium.FPDFAnnot_CountAttachmentPoints(annotation)
    rectangle = pdfium.FS_RECTF()
    if not count and pdfium.FPDFAnnot_GetRect(annotation, rectangle):
        left, right = sorted((rectangle.left, rectangle.right))
        middle = (rectangle.top + rectangle.bottom) / 2
        yield left, middle, right, middle
    for number in range(min(count, MAX_STROKES)):
        if pdfium.FPDFAnnot_GetAttachmentPoints(annotation, number, points):
            across = sorted((points.x1, points.x2, points.x3, points.x4))
            up = sorted((points.y1, points.y2, points.y3, points.y4))
            middle = (up[0] + up[-1]) / 2
            yield across[0], middle, across[-1], middle
