"""Finds words of a PDF page that may be hidden: covered by later objects, clipped, or in the colour of their
background.

The result is a list of candidates; rendering the page with and without them decides (``pdf_visibility.py``).
"""

import ctypes
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pypdfium2.raw as pdfium

from .glyphs import Glyphs
from .layout import Area

MAX_AREAS = 400  # That may hide something, of a page: the largest ones.
MAX_OBJECTS = 20_000  # Of a page: more are a drawing.
MAX_ANNOTATIONS = 2_000  # Of a page.
MAX_CLIPPED = 5_000  # Text objects whose clipping is examined.
_MIN_COVER = 3.0  # Points, of what hides a letter.
_BROADEST_STROKE = 40.0  # Points.
_SIMILAR = 30  # Of 255, of each colour.
_HIDING = (
    pdfium.FPDF_ANNOT_SQUARE,
    pdfium.FPDF_ANNOT_CIRCLE,
    pdfium.FPDF_ANNOT_POLYGON,
    pdfium.FPDF_ANNOT_STAMP,
    pdfium.FPDF_ANNOT_FREETEXT,
    pdfium.FPDF_ANNOT_REDACT,
    pdfium.FPDF_ANNOT_INK,
    pdfium.FPDF_ANNOT_LINE,
    pdfium.FPDF_ANNOT_HIGHLIGHT,
)

_Bounds = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_void_p] * 5)
_get_bounds = _Bounds(ctypes.cast(pdfium.FPDFPageObj_GetBounds, ctypes.c_void_p).value or 0)


Group = tuple[list[int], list[tuple[int, int]]]  # Objects, and the spans of characters in them.


@dataclass(slots=True)
class Words:
    """Words of a page: their spans, and the object that each is in."""

    spans: Sequence[tuple[int, int]]
    objects: Sequence[int | None]


def doubtful(
    page: Any, objects: Sequence[tuple[int, int]], glyphs: Glyphs, words: Words
) -> tuple[list[Group], list[tuple[int, int]]]:
    """Candidates for hidden words, and words under an image of most of the page, as of a scan.

    Candidates are grouped by cause: an object drawn later, one drawn before in the same colour, clipping.
    """
    orders = {each: number for number, (each, _) in enumerate(objects)}
    places = sorted(
        ((glyphs.top[start] + glyphs.bottom[start]) / 2, number) for number, (start, _) in enumerate(words.spans)
    )
    heights = [place for place, _ in places]
    groups: tuple[Group, Group, Group] = ([], []), ([], []), ([], [])
    areas = [*_areas_of(objects), *_annotated(page)]
    width, height = page.get_size()
    scanned: list[tuple[int, int]] = []
    areas.sort(key=lambda found: -_size(found[1]))
    for order, area, cover in areas[:MAX_AREAS]:
        first, last = bisect_left(heights, area[1] - 5), bisect_right(heights, area[3] + 5)
        for _, number in places[first:last]:
            each = words.objects[number]
            if not each or not (inside := _inside(glyphs, words.spans[number], area)):
                continue
            if orders.get(each, -1) < order and cover is None and _size(area) > width * height / 2:
                scanned.append(words.spans[number])
            elif orders.get(each, -1) < order:
                _add(groups[0], each, inside)
            elif cover is None or _similar(each, cover):
                _add(groups[1], each, inside)
    for each, span in _clipped(glyphs, words):
        _add(groups[2], each, span)
    return [(list(dict.fromkeys(members)), spans) for members, spans in groups if members], scanned


def _size(area: Area) -> float:
    return (area[2] - area[0]) * (area[3] - area[1])


def _add(group: Group, member: int, span: tuple[int, int]) -> None:
    group[0].append(member)
    group[1].append(span)


def _inside(glyphs: Glyphs, span: tuple[int, int], area: Area) -> tuple[int, int] | None:
    """The characters of a word whose middle is in the area, from the first to the last."""
    found = [
        position
        for position in range(*span)
        if area[0] <= (glyphs.left[position] + glyphs.right[position]) / 2 <= area[2]
        and area[1] <= (glyphs.bottom[position] + glyphs.top[position]) / 2 <= area[3]
    ]
    return (found[0], found[-1] + 1) if found else None


def _areas_of(objects: Sequence[tuple[int, int]]) -> Iterator[tuple[float, Area, int | None]]:
    """What may hide print, with its place among the objects; and the address of a path, which has one colour."""
    edges = (ctypes.c_float * 4)()
    addresses = [ctypes.addressof(edges) + 4 * side for side in range(4)]
    mode, stroked = ctypes.c_int(), ctypes.c_int()
    if len(objects) > MAX_OBJECTS or not any(kind == pdfium.FPDF_PAGEOBJ_TEXT for _, kind in objects[:MAX_OBJECTS]):
        return
    for order, (each, kind) in enumerate(objects):
        if kind == pdfium.FPDF_PAGEOBJ_TEXT or not _get_bounds(each, *addresses):
            continue
        left, bottom, right, top = edges
        smallest = min(right - left, top - bottom)
        if smallest < _MIN_COVER:
            continue
        if kind == pdfium.FPDF_PAGEOBJ_PATH:
            filled = pdfium.FPDFPath_GetDrawMode(_object(each), mode, stroked) and mode.value
            if filled or (stroked.value and smallest < _BROADEST_STROKE):
                yield order, (left, bottom, right, top), each
        else:
            yield order, (left, bottom, right, top), None


def _annotated(page: Any) -> Iterator[tuple[float, Area, int | None]]:
    """Annotations, which are drawn over all else."""
    rectangle = pdfium.FS_RECTF()
    for number in range(min(pdfium.FPDFPage_GetAnnotCount(page.raw), MAX_ANNOTATIONS)):
        annotation = pdfium.FPDFPage_GetAnnot(page.raw, number)
        try:
            if pdfium.FPDFAnnot_GetSubtype(annotation) in _HIDING and pdfium.FPDFAnnot_GetRect(annotation, rectangle):
                left, right = sorted((rectangle.left, rectangle.right))
                bottom, top = sorted((rectangle.bottom, rectangle.top))
                yield float("inf"), (left, bottom, right, top), None
        finally:
            pdfium.FPDFPage_CloseAnnot(annotation)


def _similar(one: int, other: int) -> bool:
    colours = [_colour(one), _colour(other)]
    return all(abs(a - b) <= _SIMILAR for a, b in zip(*colours, strict=True))


def _colour(each: int) -> tuple[int, int, int]:
    red, green, blue, opacity = (ctypes.c_uint() for _ in range(4))
    pdfium.FPDFPageObj_GetFillColor(_object(each), red, green, blue, opacity)
    return red.value, green.value, blue.value


def _clipped(glyphs: Glyphs, words: Words) -> Iterator[tuple[int, tuple[int, int]]]:
    """Words that are not in the rectangle around a path that cuts their object off."""
    known: dict[int, Area | None] = {}
    for each, span in zip(words.objects, words.spans, strict=True):
        if not each or (each not in known and len(known) > MAX_CLIPPED):
            continue
        if each not in known:
            known[each] = _clip(each)
        area = known[each]
        if area is not None and _inside(glyphs, span, area) != span:
            yield each, span


def _clip(text_object: int) -> Area | None:
    """The rectangle that all paths leave; none if nothing is cut off."""
    path = pdfium.FPDFPageObj_GetClipPath(_object(text_object))
    count = pdfium.FPDFClipPath_CountPaths(path) if path else -1
    area: Area | None = None
    x, y = ctypes.c_float(), ctypes.c_float()
    for number in range(min(count, 8)):
        segments = range(min(pdfium.FPDFClipPath_CountPathSegments(path, number), 16))
        found = (pdfium.FPDFClipPath_GetPathSegment(path, number, segment) for segment in segments)
        points = [(x.value, y.value) for each in found if pdfium.FPDFPathSegment_GetPoint(each, x, y)]
        if points:
            across, up = sorted(point[0] for point in points), sorted(point[1] for point in points)
            own = across[0], up[0], across[-1], up[-1]
            area = own if area is None else _both(area, own)
    return area


def _both(one: Area, other: Area) -> Area:
    return max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])


def _object(address: int) -> Any:
    return ctypes.cast(address, pdfium.FPDF_PAGEOBJECT)
