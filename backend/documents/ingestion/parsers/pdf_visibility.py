"""Finds the characters of a PDF page that are not visible.

PDFium's text includes text of disabled layers, in the colour of the paper, outside the page, and without ink. A page
with such candidates is rendered, and rendered again without them: a candidate that changes nothing is not visible. Text
without ink over an image, as text recognition adds to scans, counts as visible where the image is not empty.
"""

import ctypes
import re
from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any

import pypdfium2.raw as pdfium
from PIL import Image, ImageChops

from . import occlusion
from .glyphs import Glyphs

MAX_LAYERS = 32  # On a page; further ones are tested together.
_MAX_MARKS = 16  # Of an object.
_WORD = re.compile(r"\S+")
_PALE = 245  # Of 255, in each colour.
_FAINT = 26  # Of 255: the opacity.
_TINY = 0.8  # Points: lower text is not visible.
_CHANGE, _CONTRAST = 6, 24  # Of 255 levels of grey.
_MAX_PIXELS = 4_000_000
_NO_INK = "no ink"
_INKLESS_MODES = (pdfium.FPDF_TEXTRENDERMODE_INVISIBLE, pdfium.FPDF_TEXTRENDERMODE_CLIP)
_FILLED = (pdfium.FPDF_TEXTRENDERMODE_FILL, pdfium.FPDF_TEXTRENDERMODE_FILL_CLIP)

# Called for each word of a page, hence without checks of argument types.
_Function = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
_Question = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
_Colour = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_void_p] * 5)


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


_text_object = _Function(_address(pdfium.FPDFText_GetTextObject))
_mark = _Function(_address(pdfium.FPDFPageObj_GetMark))
_count_marks = _Question(_address(pdfium.FPDFPageObj_CountMarks))
_render_mode = _Question(_address(pdfium.FPDFTextObj_GetTextRenderMode))
_fill_colour = _Colour(_address(pdfium.FPDFPageObj_GetFillColor))

Span = tuple[int, int]


def has_layered_forms(data: bytes | Any) -> bool:
    """Whether a form or picture of the file belongs to a layer. Their dictionaries are never compressed."""
    return _LAYERED.search(data) is not None


_LAYERED = re.compile(rb"/OC[ \r\n\t]{0,4}[0-9]{1,10}[ \r\n\t]")


class Visibility:
    """Finds hidden characters on the pages of a document."""

    def __init__(self, *, layered_forms: bool) -> None:
        self.layered_forms = layered_forms

    def hidden(self, page: Any, page_objects: Sequence[tuple[int, int]], glyphs: Glyphs) -> list[int]:
        """The positions of characters that the page does not show."""
        outside = list(_outside(page, glyphs))
        words = [found.span() for found in _WORD.finditer(glyphs.text)]
        starts = [start for start, _ in words]
        objects = list(map(_text_object, repeat(_address(glyphs.textpage)), starts))
        groups = _groups(objects, words)
        inkless = groups.pop(_NO_INK, ([], []))[1]
        doubtful = _at_most(list(groups.values()), MAX_LAYERS)
        doubtful += _in_forms(page_objects, objects, words, all_forms=self.layered_forms)
        invisible = set(inkless)
        inked = [None if word in invisible else each for each, word in zip(objects, words, strict=True)]
        may_be_covered, scanned = occlusion.doubtful(page, page_objects, glyphs, occlusion.Words(words, inked))
        doubtful += may_be_covered
        inkless += scanned
        outside += _tiny(glyphs)
        if not doubtful and not inkless:
            return outside
        picture = _Picture(page)
        hidden = picture.nothing_at(glyphs, inkless)
        for members, their_words in doubtful:
            hidden += picture.unchanged_without(members, glyphs, their_words)
        return [*outside, *(position for word in hidden for position in range(*word))]


Group = tuple[list[int], list[Span]]  # Objects, and the words in them.


def _groups(objects: Sequence[int | None], words: Sequence[Span]) -> dict[str, Group]:
    """Candidates and their words, by cause: the layer, no ink, pale."""
    known = list({each for each in objects if each})
    colours = (ctypes.c_uint * (4 * len(known)))()
    first = ctypes.addressof(colours)
    ends = first + 16 * len(known)
    channels = [range(first + 4 * channel, ends + 4 * channel, 16) for channel in range(4)]
    marks, modes = list(map(_count_marks, known)), list(map(_render_mode, known))
    filled = list(map(_fill_colour, known, *channels))
    values = memoryview(colours).cast("B").cast("I")
    red, green, blue, opacity = (values[channel::4].tolist() for channel in range(4))
    kinds: dict[int, str] = {}
    for number, each in enumerate(known):
        if marks[number] and (layer := _layer(each, marks[number])):
            kinds[each] = layer
        elif modes[number] in _INKLESS_MODES:
            kinds[each] = _NO_INK
        elif modes[number] in _FILLED and filled[number]:
            pale = red[number] >= _PALE and green[number] >= _PALE and blue[number] >= _PALE
            if pale or opacity[number] < _FAINT:
                kinds[each] = "pale"
    groups: dict[str, Group] = {}
    if kinds:
        for of_word, word in zip(objects, words, strict=True):
            if of_word and of_word in kinds:
                groups.setdefault(kinds[of_word], ([], []))[1].append(word)
        for each, kind in kinds.items():
            groups[kind][0].append(each)
    return groups


def _layer(text_object: int, marks: int) -> str:
    """A key of the layers that an object belongs to; empty if it belongs to none."""
    names: list[str] = []
    for number in range(min(marks, _MAX_MARKS)):
        mark = _mark(text_object, number)
        if mark and _string(pdfium.FPDFPageObjMark_GetName, mark) == "OC":
            names.append(_string(pdfium.FPDFPageObjMark_GetParamStringValue, mark, b"Name") or str(mark))
    return f"layer {names}" if names else ""


def _at_most(groups: list[Group], number: int) -> list[Group]:
    """At most so many groups: the rest is merged into one."""
    if len(groups) <= number:
        return groups
    rest = groups[number:]
    members = [each for group in rest for each in group[0]]
    return [*groups[:number], (members, [word for group in rest for word in group[1]])]


def _in_forms(
    page_objects: Sequence[tuple[int, int]], objects: Sequence[int | None], words: Sequence[Span], *, all_forms: bool
) -> list[Group]:
    """Forms of the page that are in a layer, or all, each with the words that are in it."""
    forms = [each for each, kind in page_objects if kind == pdfium.FPDF_PAGEOBJ_FORM]
    if not all_forms:
        forms = [form for form in forms if (marks := _count_marks(form)) and _layer(form, marks)]
    groups: list[Group] = []
    for form in forms[:MAX_LAYERS]:
        inside = set(_within(form, 0))
        groups.append(([form], [word for each, word in zip(objects, words, strict=True) if each in inside]))
    return groups


def _within(form: int, depth: int) -> Iterator[int]:
    for number in range(pdfium.FPDFFormObj_CountObjects(_object(form))):
        each = _address(pdfium.FPDFFormObj_GetObject(_object(form), number))
        yield each
        if depth < 8 and pdfium.FPDFPageObj_GetType(_object(each)) == pdfium.FPDF_PAGEOBJ_FORM:
            yield from _within(each, depth + 1)


def _object(address: int) -> Any:
    return ctypes.cast(address, pdfium.FPDF_PAGEOBJECT)


def _string(function: Any, mark: int, *key: bytes) -> str:
    buffer, size = (ctypes.c_ushort * 128)(), ctypes.c_ulong()
    handle = ctypes.cast(mark, pdfium.FPDF_PAGEOBJECTMARK)
    if not function(handle, *key, buffer, ctypes.sizeof(buffer), size):
        return ""
    return bytes(buffer)[: max(0, min(size.value, ctypes.sizeof(buffer)) - 2)].decode("utf-16-le", "replace")


def _outside(page: Any, glyphs: Glyphs) -> Iterator[int]:
    """Characters that are wholly outside the page."""
    box = pdfium.FS_RECTF()
    if not glyphs.text or not pdfium.FPDF_GetPageBoundingBox(page.raw, box):
        return
    left, right = sorted((box.left, box.right))
    bottom, top = sorted((box.bottom, box.top))
    if right - left < 1 or top - bottom < 1:
        return
    edges = zip(glyphs.left, glyphs.right, glyphs.bottom, glyphs.top, strict=True)
    if (
        min(glyphs.left) >= left
        and max(glyphs.right) <= right
        and min(glyphs.bottom) >= bottom
        and max(glyphs.top) <= top
    ):
        return
    for position, (x0, x1, y0, y1) in enumerate(edges):
        if (x1 <= left or x0 >= right or y1 <= bottom or y0 >= top) and not glyphs.text[position].isspace():
            yield position


def _tiny(glyphs: Glyphs) -> list[int]:
    """Print that is too small to be seen. Turned print has no height."""
    return [position for position, height in enumerate(glyphs.heights()) if 0 < height < _TINY]


class _Picture:
    """The page as it is drawn, in levels of grey."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.annotated = pdfium.FPDFPage_GetAnnotCount(page.raw) <= occlusion.MAX_ANNOTATIONS
        width, height = page.get_size()
        self.scale = min(1.5, (_MAX_PIXELS / max(width * height, 1)) ** 0.5)
        self.image = self._draw()

    def _draw(self) -> Image.Image:
        picture: Image.Image = self.page.render(
            scale=self.scale, grayscale=True, may_draw_forms=False, draw_annots=self.annotated
        ).to_pil()
        return picture

    def nothing_at(self, glyphs: Glyphs, words: Sequence[Span]) -> list[Span]:
        """The words whose area is empty; none if most areas are not, as on a scan."""
        empty: list[Span] = []
        for word in words:
            low, high = self._extrema(self.image, glyphs, word)
            if high - low < _CONTRAST:
                empty.append(word)
        return empty if 2 * len(empty) > len(words) else []

    def unchanged_without(self, objects: Sequence[int], glyphs: Glyphs, words: Sequence[Span]) -> list[Span]:
        """The words whose area looks the same without the objects."""
        for each in objects:
            pdfium.FPDFPageObj_SetIsActive(_object(each), False)
        change = ImageChops.difference(self.image, self._draw())
        for each in objects:
            pdfium.FPDFPageObj_SetIsActive(_object(each), True)
        if change.getbbox() is None:
            return list(words)
        return [word for word in words if self._extrema(change, glyphs, word)[1] < _CHANGE]

    def _extrema(self, image: Image.Image, glyphs: Glyphs, word: Span) -> tuple[int, int]:
        start, end = word
        corners = [
            self._pixel(x, y)
            for x in (min(glyphs.left[start:end]), max(glyphs.right[start:end]))
            for y in (min(glyphs.bottom[start:end]), max(glyphs.top[start:end]))
        ]
        (left, right), (top, bottom) = ((min(side), max(side)) for side in zip(*corners, strict=True))
        left, top = max(0, left - 1), max(0, top - 1)
        right, bottom = min(image.width, max(right + 1, left + 2)), min(image.height, max(bottom + 1, top + 2))
        if left >= right or top >= bottom:
            return 0, 0
        extrema = image.crop((left, top, right, bottom)).getextrema()
        return int(extrema[0]), int(extrema[1])  # type: ignore[arg-type]

    def _pixel(self, x: float, y: float) -> tuple[int, int]:
        across, down = ctypes.c_int(), ctypes.c_int()
        size = self.image.width, self.image.height
        pdfium.FPDF_PageToDevice(self.page.raw, 0, 0, *size, 0, x, y, across, down)
        return across.value, down.value
