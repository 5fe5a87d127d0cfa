"""PDF to text with the box of every line, and pages to images, by PDFium."""

import ctypes
import io
import mmap
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import pypdfium2
import pypdfium2.raw as pdfium
from PIL import Image

from .boxes import SCALE, Box, Boxes, Rectangles
from .cleaning import clean_line
from .frames import Job, PageText, ParseError
from .legibility import is_unreadable

HYPHEN = "\ufffe"  # What PDFium writes for a hyphen that ends a line; it then omits the line break.
_LINE = re.compile(f"[^\r\n{HYPHEN}]+")
Image.preinit()  # Loads the writer of PNG, which could not be loaded any more when it is needed.
_UTF_16 = f"utf-16-{sys.byteorder[0]}e"
_HIGHEST_IMAGE = 6000  # Pixels.


@dataclass(slots=True)
class Line:
    """A line of print: its text, its box and whether its last word goes on in the next."""

    text: str
    box: Box | None
    hyphenated: bool

    def meets(self, other: "Line") -> bool:
        """Whether ``other`` is close below, in print of the same size."""
        if self.box is None or other.box is None:
            return False
        height, other_height = self.box[3] - self.box[1], other.box[3] - other.box[1]
        if min(height, other_height) * 4 < max(height, other_height) * 3:  # Another size of print.
            return False
        near = -height < other.box[1] - self.box[3] < height
        below = other.box[3] > self.box[3]
        return near and below


def open_document(source: IO[bytes]) -> "pypdfium2.PdfDocument":
    """The PDF that an open file holds.

    :raises ParseError: it needs a password, or is no readable PDF.
    """
    # Mapped, since PDFium reads by itself only what it may open, and calls Python for each piece of anything else.
    # A private copy, since only what may be written to can be handed over; what is not written to is not copied.
    try:
        mapped = mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_COPY)
    except ValueError as error:
        raise ParseError("corrupt", "The file is empty.") from error
    try:
        document = pypdfium2.PdfDocument((ctypes.c_char * len(mapped)).from_buffer(mapped))
        pages = len(document)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) in (pdfium.FPDF_ERR_PASSWORD, pdfium.FPDF_ERR_SECURITY):
            raise ParseError("encrypted", "The file is protected by a password.") from error
        raise ParseError("corrupt", "The file is damaged and cannot be opened.") from error
    if pages < 1:
        raise ParseError("corrupt", "The file has no pages.")
    return document


def read_pages(document: "pypdfium2.PdfDocument", job: Job) -> Iterator[tuple[PageText, bool]]:
    """Each page from ``job.start`` on, and whether it could be read."""
    rectangles = Rectangles()
    for index in range(job.start, len(document)):
        try:
            page = document[index]
            try:
                text, lines = compose(list(_lines(page, rectangles)))
            finally:
                page.close()
        except pypdfium2.PdfiumError:
            yield PageText(number=index + 1, text=""), False
        else:
            yield PageText(number=index + 1, text=text, lines=lines, unreadable=is_unreadable(text)), True


def compose(lines: list[Line]) -> tuple[str, list[tuple[int, int, int, int, int, int]]]:
    """A page's text, ending in an empty line, and its lines' boxes and spans."""
    text = ""
    spans: list[tuple[int, int, int, int, int, int]] = []
    for index, line in enumerate(lines):
        start = len(text)
        text += line.text
        if line.box is not None:
            spans.append((*line.box, start, len(text)))
        following = lines[index + 1] if index + 1 < len(lines) else None
        if following is None:
            text += "\n\n"
        elif line.hyphenated:
            text += "" if following.text[:1].islower() else "-"
        else:
            text += _between(lines, index)
    return text, spans


def render(document: "pypdfium2.PdfDocument", job: Job) -> bytes:
    """A page as PNG, ``job.width`` pixels wide unless that makes it too high."""
    if not 1 <= job.page <= len(document):
        raise ParseError("no_such_page", "The document has no such page.")
    document.init_forms()
    page = document[job.page - 1]
    width, height = page.get_size()
    scale = min(job.width / max(width, 1), _HIGHEST_IMAGE / max(height, 1))
    target = io.BytesIO()
    page.render(scale=scale).to_pil().convert("RGB").save(target, format="PNG", compress_level=4)
    return target.getvalue()


def _between(lines: list[Line], index: int) -> str:
    """A space where the paragraph goes on, an empty line where there is a gap, else a line break."""
    line, following = lines[index], lines[index + 1]
    if line.box is None or following.box is None:
        return "\n"
    if line.meets(following) and not following.text.startswith(("•", "- ", "– ")):
        right = _right_edge(lines, index)
        full = line.box[2] >= right - (right - line.box[0]) // 7
        # The last column of a table may end where a paragraph would.
        return " " if full and not (is_row(line.text) and is_row(following.text)) else "\n"
    gap = following.box[1] - line.box[3]
    return "\n\n" if gap > 0.9 * (line.box[3] - line.box[1]) or gap < -SCALE // 10 else "\n"


def is_row(text: str) -> bool:
    """Whether a line of print may be a row of a table: short, and much of it figures."""
    words = text.split()
    figures = sum(any(letter.isdigit() for letter in word) for word in words)
    return len(words) <= 12 and figures >= 2 and 3 * figures >= len(words)


def _right_edge(lines: list[Line], index: int) -> int:
    """Where the column of this line ends: the furthest right of its neighbours that overlap with it sideways."""
    own = lines[index].box
    if own is None:
        return SCALE
    near = (line.box for line in lines[max(0, index - 6) : index + 7] if line.box is not None)
    return max((box[2] for box in near if box[0] < own[2] and own[0] < box[2]), default=own[2])


def _lines(page: Any, rectangles: Rectangles) -> Iterator[Line]:
    textpage = page.get_textpage()
    try:
        characters = _characters(textpage.raw)
        to_box = Boxes(page.raw, textpage.raw, rectangles)
        for match in _LINE.finditer(characters):
            if text := clean_line(match[0]):
                hyphenated = characters[match.end() : match.end() + 1] == HYPHEN
                yield Line(text, to_box(match.start(), match.end() - match.start()), hyphenated)
    finally:
        textpage.close()


def _characters(textpage: Any) -> str:
    """One character per character of PDFium's, so that positions in it are PDFium's indices."""
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
