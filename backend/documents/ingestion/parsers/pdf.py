"""Converts PDF pages to text with a box for each line, and to images, with PDFium."""

import ctypes
import io
import mmap
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import pypdfium2
import pypdfium2.raw as pdfium
from PIL import Image

from .boxes import Rectangles
from .frames import Job, PageText, ParseError
from .legibility import is_unreadable
from .lines import Line, compose, page_ending
from .page_headers import without_running
from .pdf_visibility import Visibility, has_layered_forms
from .reading import read_lines

Image.preinit()  # Loads the PNG encoder now: later, this process can open no files.
_MAX_IMAGE_HEIGHT = 6000  # Pixels.
_CONTEXT = 2  # Earlier pages whose headers are compared: left and right pages may have different ones.


def open_document(source: IO[bytes]) -> "pypdfium2.PdfDocument":
    """Open a PDF.

    :raises ParseError: it needs a password, or is not a readable PDF.
    """
    # Mapped into memory: PDFium cannot open the file, and a file object would be called back for each piece.
    # A private (copy-on-write) mapping, because ctypes needs a writable buffer; nothing is written, so nothing is
    # copied.
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
    """Each page from ``job.start`` on, and whether it could be read.

    A page is returned after the next one is read: headers that both have are not part of their text, and a sentence may
    continue on the next page. With a batch of 1, because a page takes too long, each page is read by itself.
    """
    if job.batch == 1:
        yield from ((_finished([], page, None), page.readable) for page in _pages(document, job.start))
        return
    pages: deque[_Page] = deque(maxlen=_CONTEXT + 2)
    for page in _pages(document, max(0, job.start - _CONTEXT)):
        pages.append(page)
        if len(pages) > 1 and pages[-2].number > job.start:
            yield _finished(list(pages)[:-2], pages[-2], page), pages[-2].readable
    if pages and pages[-1].number > job.start:
        yield _finished(list(pages)[:-1], pages[-1], None), pages[-1].readable


@dataclass(slots=True)
class _Page:
    number: int
    lines: list[Line]
    lost: int = 0
    readable: bool = True
    fields_left_out: bool = False
    body: list[Line] | None = None  # Without headers and footers.


def _pages(document: "pypdfium2.PdfDocument", start: int) -> Iterator[_Page]:
    rectangles = Rectangles()
    document.init_forms()
    visibility = Visibility(layered_forms=has_layered_forms(document.mapped))
    for index in range(start, len(document)):
        try:
            printed, lost, left_out = read_lines(document, index, rectangles, visibility)
        except pypdfium2.PdfiumError:
            yield _Page(index + 1, [], readable=False)
        else:
            yield _Page(index + 1, printed, lost, fields_left_out=left_out)


def _finished(before: list[_Page], page: _Page, after: _Page | None) -> PageText:
    if page.body is None:
        page.body = _body(before, page, after)
    ending = "\n\n"
    if after is not None:
        # Only the first lines of the next page matter here, so its own next page is not needed.
        after_lines = _body([*before, page][-_CONTEXT:], after, None)
        ending = page_ending(page.body, after_lines)
    text, spans = compose(page.body, ending=ending)
    unreadable = is_unreadable(text, lost=page.lost)
    return PageText(page.number, text, spans, unreadable, page.fields_left_out)


def _body(before: list[_Page], page: _Page, after: _Page | None) -> list[Line]:
    return without_running(
        page.lines,
        before=[each.lines for each in before],
        after=after.lines if after else [],
        distances=[page.number - each.number for each in before],
    )


def render(document: "pypdfium2.PdfDocument", job: Job) -> bytes:
    """A page as PNG, ``job.width`` pixels wide unless that makes it too high."""
    if not 1 <= job.page <= len(document):
        raise ParseError("no_such_page", "The document has no such page.")
    document.init_forms()
    page = document[job.page - 1]
    width, height = page.get_size()
    scale = min(job.width / max(width, 1), _MAX_IMAGE_HEIGHT / max(height, 1))
    target = io.BytesIO()
    page.render(scale=scale).to_pil().convert("RGB").save(target, format="PNG", compress_level=4)
    return target.getvalue()
