"""Reads parts in other formats that are included in the text (``w:altChunk``)."""

import email
import email.feedparser
import email.parser
import io
from collections.abc import Iterator
from email.message import Message

from .. import archive, html
from ..cleaning import clean_lines
from ..decoding import Warnings, decode
from .package import Package
from .story import Story

_UNREAD = ("part_unreadable", "A part of the document is in a format that cannot be read, and was left out.")
_HTML = (b"<html", b"<!doctype html", b"<body", b"<p", b"<div", b"<table", b"<h1", b"<ul", b"<ol", b"<head", b"<meta")


def of_part(package: Package, part: str) -> Iterator[str]:
    """The blocks of such a part: HTML, a web archive, text or another DOCX, whose own included parts are left out."""
    data = package.data(part)
    head = data[:1024].lstrip().lower()
    ending = part.rpartition(".")[2]
    if data.startswith(b"PK\x03\x04"):
        yield from _of_document(package, data)
    elif ending in ("mht", "mhtml") or head.startswith(b"mime-version:"):
        yield from _of_web_archive(package, data)
    elif ending in ("htm", "html", "xhtml") or head.removeprefix(b"\xef\xbb\xbf").startswith(_HTML):
        yield from _of_html(data, package.warnings)
    elif ending in ("txt", "text"):
        text, warnings = decode(data)
        _add_warnings(package.warnings, warnings)
        yield clean_lines(text, tabs=True)
    elif data:
        _add_warnings(package.warnings, [_UNREAD])


def _of_html(data: bytes, noted: Warnings, label: str = "") -> Iterator[str]:
    text, warnings = decode(data, label=label) if label else html.text_of(data)
    _add_warnings(noted, warnings)
    yield from html.blocks(text, noted)


def _of_document(package: Package, data: bytes) -> Iterator[str]:
    with archive.opened(io.BytesIO(data)) as opened:
        inner = Package(opened, package.left)
        if not inner.main:
            _add_warnings(package.warnings, [_UNREAD])
            return
        yield from Story(inner, part=inner.main, of_part=_nothing).blocks(inner.root(inner.main))
        package.take(inner.taken)


def _nothing(package: Package, part: str) -> Iterator[str]:
    yield from ()


def _of_web_archive(package: Package, data: bytes) -> Iterator[str]:
    message = email.message_from_bytes(data)
    for part in message.walk():
        if part.get_content_type() in ("text/html", "application/xhtml+xml"):
            content = part.get_payload(decode=True)
            if isinstance(content, bytes):
                yield from _of_html(content, package.warnings, _label(part))
            return
    _add_warnings(package.warnings, [_UNREAD])


def _label(part: "Message") -> str:
    label = part.get_content_charset()
    return label if isinstance(label, str) else ""


def _add_warnings(noted: Warnings, warnings: Warnings) -> None:
    noted.extend(warning for warning in warnings if warning[0] not in {code for code, _ in noted})
