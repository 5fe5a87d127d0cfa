"""DOCX (ECMA-376) to paragraphs. Only the parts that hold text are unpacked, and only within limits."""

import posixpath
import zipfile
from collections.abc import Iterator
from typing import IO

from lxml import etree

from . import archive, cpu
from .cleaning import clean_line
from .frames import Job, ParseError
from .plain import join

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_STRICT = "{http://purl.oclc.org/ooxml/wordprocessingml/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_NOTES = ("footnotes.xml", "endnotes.xml")  # Beside the main part.


def read(source: IO[bytes], job: Job) -> str:
    try:
        with archive.opened(source) as opened:
            return join(_blocks(opened, job), job.max_characters)
    except etree.XMLSyntaxError as error:
        raise ParseError("corrupt", "The file is damaged: its parts cannot be unpacked.") from error


def _blocks(opened: zipfile.ZipFile, job: Job) -> Iterator[str]:
    limit = job.max_unpacked_bytes
    entries = opened.infolist()
    if sum(entry.file_size for entry in entries) > limit:
        raise archive.too_large(limit)
    names = {entry.filename for entry in entries}
    main = archive.main_part(opened)
    parts = (main, *(posixpath.join(posixpath.dirname(main), notes) for notes in _NOTES))
    cpu.limit_for(job, sum(entry.file_size for entry in entries if entry.filename in parts))
    for name in parts:
        if name in names or name == main:
            data = archive.unpack(opened, name, limit)
            limit -= len(data)
            yield from _paragraphs(archive.root_of(data.replace(_STRICT[1:-1].encode(), _W[1:-1].encode())))


def _paragraphs(root: "etree._Element") -> Iterator[str]:  # noqa: PLR0912  # One case per kind of element.
    """Paragraphs in order; a table's row is one block. Text that an older program would show instead is left out."""
    skipped = 0
    cells: list[list[str]] = []  # Of the rows that are open: tables nest.
    texts: list[list[str]] = []  # Of the paragraphs that are open: text boxes nest.
    for event, element in etree.iterwalk(root, events=("start", "end")):
        tag = element.tag
        if tag == _FALLBACK:
            skipped += 1 if event == "start" else -1
        if skipped:
            continue
        if event == "start":
            if tag == _W + "p":
                texts.append(["- "] if element.find(f"{_W}pPr/{_W}numPr") is not None else [])
            elif tag == _W + "tr":
                cells.append([])
            elif texts:
                texts[-1].append(_run(element))
        elif tag == _W + "p":
            text = "\n".join(filter(None, map(clean_line, "".join(texts.pop()).split("\n"))))
            if cells:
                cells[-1].append(text)
            else:
                yield text
        elif tag == _W + "tr":
            row = " | ".join(filter(None, cells.pop()))
            if cells:
                cells[-1].append(row)
            else:
                yield row


def _run(element: "etree._Element") -> str:
    if element.tag == _W + "t":
        return element.text or ""
    if element.tag == _W + "tab":
        return " " if element.getparent().tag == _W + "r" else ""  # type: ignore[union-attr]  # Never the root.
    if element.tag in (_W + "br", _W + "cr"):
        return "\n"
    return "-" if element.tag == _W + "noBreakHyphen" else ""
