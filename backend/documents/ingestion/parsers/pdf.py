"""PDF to text with the box of every line, and pages to images, by PDFium."""

import ctypes
import io
import mmap
from collections.abc import Iterator
from typing import IO

import pypdfium2
import pypdfium2.raw as pdfium
from PIL import Image

from .boxes import Rectangles
from .frames import Job, PageText, ParseError
from .legibility import is_unreadable
from .lines import compose
from .picture import Visibility, has_layered_forms
from .reading import read_lines

Image.preinit()  # Loads the writer of PNG, which could not be loaded any more when it is needed.
_HIGHEST_IMAGE = 6000  # Pixels.


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
        document.mapped = mapped
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
    document.init_forms()
    visibility = Visibility(layered_forms=has_layered_forms(document.mapped))
    for index in range(job.start, len(document)):
        try:
            printed, lost = read_lines(document, index, rectangles, visibility)
            text, lines = compose(printed)
        except pypdfium2.PdfiumError:
            yield PageText(number=index + 1, text=""), False
        else:
            yield PageText(number=index + 1, text=text, lines=lines, unreadable=is_unreadable(text, lost=lost)), True


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
