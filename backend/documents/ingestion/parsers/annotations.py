"""Reads the visible annotations of a PDF page: values of form fields, free text, stamps.

PDFium's text of a page does not include them. Notes that open on a click and hidden annotations are not read.
"""

import ctypes
from collections.abc import Callable, Iterator
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium

from .cleaning import clean_lines
from .glyphs import Glyphs
from .layout import Area, Piece
from .occlusion import MAX_ANNOTATIONS

MAX_FIELDS = 1_000  # Of a page.
_INVISIBLE = pdfium.FPDF_ANNOT_FLAG_HIDDEN | pdfium.FPDF_ANNOT_FLAG_NOVIEW
_PASSWORD = 1 << 13  # A flag of text fields (ISO 32000-1, table 228).
_LINE_HEIGHT = 16.0  # Points; a field that is higher than a line and a half begins with its first line.
_DRAWN = (pdfium.FPDF_ANNOT_STAMP, pdfium.FPDF_ANNOT_WATERMARK)


def too_many(page: Any) -> bool:
    """Whether the page has too many annotations; then none is read."""
    return bool(pdfium.FPDFPage_GetAnnotCount(page.raw) > MAX_ANNOTATIONS)


def pieces_of(document: "pypdfium2.PdfDocument", page: Any) -> tuple[list[Piece], bool]:
    """The text of the page's fields and free text, and whether it has annotations that draw text."""
    pieces: list[Piece] = []
    drawn = False
    form = document.formenv.raw if document.formenv else None
    if too_many(page):
        return [], False
    for number in range(pdfium.FPDFPage_GetAnnotCount(page.raw)):
        annotation = pdfium.FPDFPage_GetAnnot(page.raw, number)
        try:
            subtype = pdfium.FPDFAnnot_GetSubtype(annotation)
            if subtype == pdfium.FPDF_ANNOT_LINK or pdfium.FPDFAnnot_GetFlags(annotation) & _INVISIBLE:
                continue
            if subtype == pdfium.FPDF_ANNOT_WIDGET:
                kind = pdfium.FPDFAnnot_GetFormFieldType(form, annotation) if form else -1
                text = _value(form, annotation, kind)
                drawn |= kind == pdfium.FPDF_FORMFIELD_SIGNATURE
            else:
                kind = -1
                text = _string(annotation, "Contents") if subtype == pdfium.FPDF_ANNOT_FREETEXT else ""
                drawn |= subtype in _DRAWN or (subtype == pdfium.FPDF_ANNOT_FREETEXT and not text)
            if text and len(pieces) < MAX_FIELDS:
                pieces += _piece(annotation, text, checkable=kind in _CHECKABLE)
        finally:
            pdfium.FPDFPage_CloseAnnot(annotation)
    return pieces, drawn


def drawings_of(document: "pypdfium2.PdfDocument", index: int) -> Iterator[Piece]:
    """The text that stamps and signatures draw, read from a copy of the page without all else."""
    copy = pypdfium2.PdfDocument.new()
    try:
        copy.import_pages(document, [index])
        page = copy[0]
        for number in reversed(range(pdfium.FPDFPage_CountObjects(page.raw))):
            pdfium.FPDFPage_RemoveObject(page.raw, pdfium.FPDFPage_GetObject(page.raw, number))
        pdfium.FPDFPage_GenerateContent(page.raw)
        for number in reversed(range(pdfium.FPDFPage_GetAnnotCount(page.raw))):
            if not _is_drawn(page.raw, number):
                pdfium.FPDFPage_RemoveAnnot(page.raw, number)
        if pdfium.FPDFPage_Flatten(page.raw, pdfium.FLAT_NORMALDISPLAY) != pdfium.FLATTEN_SUCCESS:
            return
        page.close()
        textpage = copy[0].get_textpage()
        glyphs = Glyphs(textpage.raw)
        start = 0
        for text in glyphs.text.split("\r\n"):
            end = start + len(text)
            if cleaned := clean_lines(text):
                left, right = min(glyphs.left[start:end]), max(glyphs.right[start:end])
                bottom, top = min(glyphs.bottom[start:end]), max(glyphs.top[start:end])
                yield Piece(cleaned, left, bottom, right, top, areas=[(left, bottom, right, top)])
            start = end + 2
    finally:
        copy.close()


def _is_drawn(page: Any, number: int) -> bool:
    annotation = pdfium.FPDFPage_GetAnnot(page, number)
    try:
        subtype = pdfium.FPDFAnnot_GetSubtype(annotation)
        if subtype == pdfium.FPDF_ANNOT_WIDGET:
            return _string(annotation, "FT") == "Sig"
        return subtype in _DRAWN or (subtype == pdfium.FPDF_ANNOT_FREETEXT and not _string(annotation, "Contents"))
    finally:
        pdfium.FPDFPage_CloseAnnot(annotation)


def _piece(annotation: Any, text: str, *, checkable: bool) -> Iterator[Piece]:
    rectangle = pdfium.FS_RECTF()
    cleaned = clean_lines(text)
    if not cleaned or not pdfium.FPDFAnnot_GetRect(annotation, rectangle):
        return
    left, right = sorted((rectangle.left, rectangle.right))
    bottom, top = sorted((rectangle.bottom, rectangle.top))
    if right - left <= 0 or top - bottom <= 0:  # A field without a place on the page.
        return
    area: Area = (left, bottom, right, top)
    if top - bottom > 1.5 * _LINE_HEIGHT:
        bottom = top - _LINE_HEIGHT
    yield Piece(cleaned, left, bottom, right, top, areas=[area], checkable=checkable)


def _value(form: Any, annotation: Any, kind: int) -> str:
    if kind == -1:
        return _string(annotation, "V")
    if kind in _CHECKABLE:
        return "[x]" if pdfium.FPDFAnnot_IsChecked(form, annotation) else "[ ]"
    if kind in (pdfium.FPDF_FORMFIELD_PUSHBUTTON, pdfium.FPDF_FORMFIELD_SIGNATURE):
        return ""
    if kind == pdfium.FPDF_FORMFIELD_TEXTFIELD and pdfium.FPDFAnnot_GetFormFieldFlags(form, annotation) & _PASSWORD:
        return ""
    choice = kind in (pdfium.FPDF_FORMFIELD_COMBOBOX, pdfium.FPDF_FORMFIELD_LISTBOX)
    if choice and (chosen := ", ".join(_chosen(form, annotation))):
        return chosen
    return _text(lambda *to: pdfium.FPDFAnnot_GetFormFieldValue(form, annotation, *to))


def _chosen(form: Any, annotation: Any) -> Iterator[str]:
    """The labels of the options that are selected."""
    for number in range(min(pdfium.FPDFAnnot_GetOptionCount(form, annotation), MAX_FIELDS)):
        if pdfium.FPDFAnnot_IsOptionSelected(form, annotation, number):
            label = _text(lambda *to, n=number: pdfium.FPDFAnnot_GetOptionLabel(form, annotation, n, *to))
            if label:
                yield label


def _string(annotation: Any, key: str) -> str:
    return _text(lambda *to: pdfium.FPDFAnnot_GetStringValue(annotation, key.encode(), *to))


def _text(get: Callable[..., int]) -> str:
    """The text that a function of PDFium writes as UTF-16 into a buffer of a given length in bytes."""
    size = get(None, 0)
    if size <= 2:  # Only the zero at the end.
        return ""
    buffer = ctypes.create_string_buffer(size)
    get(ctypes.cast(buffer, ctypes.POINTER(ctypes.c_ushort)), size)
    return buffer.raw[: size - 2].decode("utf-16-le", "replace")


_CHECKABLE = (pdfium.FPDF_FORMFIELD_CHECKBOX, pdfium.FPDF_FORMFIELD_RADIOBUTTON)
