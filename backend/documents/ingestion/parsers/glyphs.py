"""The characters of a PDF page in PDFium's order, each with its box.

Boxes are PDFium's loose boxes: as wide as the character's advance and as high as its font, so that all characters of
one size on one baseline have the same upper and lower edge. Units are points of the page; the origin is at the lower
left.
"""

import ctypes
import re
import sys
from collections import deque
from collections.abc import Iterable
from itertools import repeat
from operator import sub
from typing import Any

import pypdfium2.raw as pdfium

HYPHEN = "\ufffe"  # What PDFium writes for a hyphen that ends a line; it then omits the line break.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
_UTF_16 = f"utf-16-{sys.byteorder[0]}e"

# Called for thousands of characters of a page, hence without checks of argument types.
_LOOSE_BOX = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
_get_loose_box = _LOOSE_BOX(ctypes.cast(pdfium.FPDFText_GetLooseCharBox, ctypes.c_void_p).value or 0)
_OBJECT = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
_get_object = _OBJECT(ctypes.cast(pdfium.FPDFPage_GetObject, ctypes.c_void_p).value or 0)
_TYPE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
_get_type = _TYPE(ctypes.cast(pdfium.FPDFPageObj_GetType, ctypes.c_void_p).value or 0)
_EDGES = 4  # Of a box (FS_RECTF): left, top, right, bottom.


class Glyphs:
    """The characters of a page.

    :ivar text: one character per character of PDFium's, so that positions in it are PDFium's indices.
    :ivar lost: how many characters have a glyph and no Unicode value.
    """

    def __init__(self, textpage: Any) -> None:
        self.textpage = textpage
        self.text = _characters(textpage)
        self.lost = len(_CONTROL.findall(self.text))
        count = len(self.text)
        edges = (ctypes.c_float * (_EDGES * count))()
        first, size = ctypes.addressof(edges), _EDGES * ctypes.sizeof(ctypes.c_float)
        raw = ctypes.cast(textpage, ctypes.c_void_p).value
        places = range(first, first + size * count, size)
        deque(map(_get_loose_box, repeat(raw), range(count), places), maxlen=0)
        values = memoryview(edges).cast("B").cast("f")
        self.left, self.top, self.right, self.bottom = (values[side::_EDGES].tolist() for side in range(_EDGES))

    def heights(self) -> list[float]:
        return list(map(sub, self.top, self.bottom))

    def baseline(self, position: int) -> float:
        across, up = ctypes.c_double(), ctypes.c_double()
        pdfium.FPDFText_GetCharOrigin(self.textpage, position, across, up)
        return up.value

    def blank(self, positions: Iterable[int]) -> None:
        """Replace characters by spaces."""
        letters = list(self.text)
        for position in positions:
            letters[position] = " "
        self.text = "".join(letters)


def _characters(textpage: Any) -> str:
    count = pdfium.FPDFText_CountChars(textpage)
    if count < 1:
        return ""
    buffer = (ctypes.c_ushort * (count + 1))()
    written = pdfium.FPDFText_GetText(textpage, 0, count, buffer)
    if written == count + 1:
        text = bytes(buffer)[: 2 * count].decode(_UTF_16, "surrogatepass")
        return text if len(text) == count else "".join(map(chr, buffer[:count]))  # PDFium counts surrogates as two.
    codes = (pdfium.FPDFText_GetUnicode(textpage, index) for index in range(count))  # Some have no Unicode value.
    return "".join(chr(code) if 0 < code <= 0x10FFFF else " " for code in codes)


def objects_of(page: Any) -> list[tuple[int, int]]:
    """The objects of a page, each with its address and its type."""
    count = pdfium.FPDFPage_CountObjects(page)
    found = list(map(_get_object, repeat(ctypes.cast(page, ctypes.c_void_p).value), range(count)))
    return [(each, kind) for each, kind in zip(found, map(_get_type, found), strict=True) if each]
