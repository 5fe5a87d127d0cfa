"""Computes boxes of characters on a PDF page as it is displayed."""

import ctypes
from collections import deque
from itertools import repeat
from typing import Any

import pypdfium2.raw as pdfium

SCALE = 10_000  # Boxes are integers in 1/10,000 of the page.

Box = tuple[int, int, int, int]  # Left, top, right, bottom; the origin is at the top left.

# PDFium returns rectangles one by one: thirty thousand in a hundred pages. ctypes' checks of argument types would take
# longer than the calls, so these two functions are called without.
_UNCHECKED = ctypes.CFUNCTYPE(ctypes.c_int)
_count_rectangles = _UNCHECKED(ctypes.cast(pdfium.FPDFText_CountRects, ctypes.c_void_p).value or 0)
_get_rectangle = _UNCHECKED(ctypes.cast(pdfium.FPDFText_GetRect, ctypes.c_void_p).value or 0)


class Rectangles:
    """A buffer for the rectangles of a span of characters, one for each text object, in points of the page."""

    def __init__(self) -> None:
        self._make_room(64)

    def _make_room(self, room: int) -> None:
        self.room = room
        self.edges = (ctypes.c_double * (4 * room))()  # Left, top, right, bottom; left, top, …
        width = ctypes.sizeof(ctypes.c_double)
        self.places = [
            [ctypes.byref(self.edges, width * index) for index in range(side, 4 * room, 4)] for side in range(4)
        ]

    def around(self, textpage: ctypes.c_void_p, start: int, count: int) -> tuple[float, float, float, float] | None:
        """The left, lower, right and upper edge of all of them; None if there is no rectangle."""
        number = _count_rectangles(textpage, start, count)
        if number < 1:
            return None
        if number > self.room:
            self._make_room(2 * number)
        deque(map(_get_rectangle, repeat(textpage, number), range(number), *self.places), maxlen=0)
        edges = self.edges[: 4 * number]
        if number == 1:
            left, top, right, bottom = edges
            return left, bottom, right, top
        return min(edges[::4]), min(edges[3::4]), max(edges[2::4]), max(edges[1::4])


class Boxes:
    """Maps a span of characters to its box on the page as displayed: cropped and rotated."""

    def __init__(self, page: Any, textpage: Any, rectangles: Rectangles) -> None:
        self.textpage = ctypes.cast(textpage, ctypes.c_void_p)
        self.rectangles = rectangles
        # The transformation from the page to the display is affine: three points determine it.
        origin, right, up = (_shown(page, x, y) for x, y in ((0, 0), (100, 0), (0, 100)))
        self.across = (origin[0], (right[0] - origin[0]) / 100, (up[0] - origin[0]) / 100)
        self.down = (origin[1], (right[1] - origin[1]) / 100, (up[1] - origin[1]) / 100)

    def __call__(self, start: int, count: int) -> Box | None:
        around = self.rectangles.around(self.textpage, start, count)
        return None if around is None else self.of(*around)

    def of(self, x0: float, y0: float, x1: float, y1: float) -> Box | None:
        """The box of an area of the page: left, lower, right and upper end, in points."""
        (a, b, c), (d, e, f) = self.across, self.down
        try:
            left, right = _in_order(a + b * x0 + c * y0, a + b * x1 + c * y1)
            top, bottom = _in_order(d + e * x0 + f * y0, d + e * x1 + f * y1)
        except (ValueError, OverflowError):  # Broken fonts give NaN or infinity.
            return None
        return left, top, right, bottom


def _in_order(one: float, other: float) -> tuple[int, int]:
    """Both as whole numbers within the page, the lower first."""
    low, high = (round(one), round(other)) if one < other else (round(other), round(one))
    if low < 0 or high > SCALE:
        return max(0, min(SCALE, low)), max(0, min(SCALE, high))
    return low, high


def _shown(page: Any, x: float, y: float) -> tuple[float, float]:
    """Where a point of the page is on the page as it is shown, in units of ``SCALE``."""
    across, down = ctypes.c_int(), ctypes.c_int()
    pdfium.FPDF_PageToDevice(page, 0, 0, SCALE * 1000, SCALE * 1000, 0, x, y, across, down)
    return across.value / 1000, down.value / 1000
