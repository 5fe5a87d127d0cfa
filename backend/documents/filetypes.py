"""Detects the content type of a file by its bytes, and checks the claims of its name and its sender against it.

This runs in the web process on untrusted files: it reads the first bytes only, and every scan is linear. Archives are
inspected in the parser process (``inspection``).
"""

import mimetypes
import re
from typing import IO

from django.utils.translation import gettext as _

from backend.documents import inspection
from backend.documents.errors import UnsupportedFile
from backend.documents.ingestion.parsers import decoding

PDF = "application/pdf"
DOCX = inspection.DOCX
HTML = "text/html"
MARKDOWN = "text/markdown"
PLAIN = "text/plain"
EXTENSIONS = {".pdf": PDF, ".docx": DOCX, ".html": HTML, ".htm": HTML, ".xhtml": HTML, ".md": MARKDOWN}
EXTENSIONS |= {".markdown": MARKDOWN, ".txt": PLAIN, ".text": PLAIN, ".log": PLAIN}

# Formats of their own, although their bytes are text.
_TEXT_BASED = {"message/rfc822", "application/rtf", "text/rtf"}

_HEAD = 64 * 1024
_SAMPLE = 4096  # Bytes by which an encoding is guessed.
_MAX_CLAIM = 255  # Characters of a content type.
_MAX_EXTENSION = 16
_SPACE = re.compile(r"\s*")
_TAGS = ("<html", "<head", "<body")
_CONTROL = bytes(byte for byte in range(32) if byte not in b"\t\n\r\f\x1b")
_LATE_CONTROL = bytes(range(0x80, 0xA0))  # Control characters of Latin-1.
_ENCODING_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")
_NO_CLAIM = {"", "application/octet-stream", "binary/octet-stream", "application/x-download"}
_TEXTUAL = re.compile(r"text/.+|application/(?:.*\+)?(?:json|xml|yaml|toml|javascript|x-sh|sql)|application/x-.*")


def detect(file: IO[bytes], *, name: str, claimed: str = "", workspace: str = "") -> str:
    """The content type of a file.

    :param workspace: whose upload it is.
    :raises UnsupportedFile: the format is not supported, or differs from what its name or sender claims.
    :raises RateLimited: it is an archive, and those of the workspace have used up their processor time.
    :raises ServiceUnavailable: it is an archive, and too many of them are being inspected.
    """
    claims = (mimetypes_of(name), claimed.partition(";")[0].strip().lower()[:_MAX_CLAIM])
    file.seek(0)
    kind = _kind(file, claims, workspace)
    file.seek(0)
    for claim in claims:
        if claim in _TEXT_BASED and kind == PLAIN:
            raise UnsupportedFile
        if not _agree(claim, kind):
            raise UnsupportedFile(
                _("The file says that it is %(claim)s, but its content is %(kind)s.") % {"claim": claim, "kind": kind}
            )
    return kind


def mimetypes_of(name: str) -> str:
    """The content type that the extension claims; empty where it claims none."""
    extension = "." + name.rpartition(".")[2].lower() if "." in name else ""
    if len(extension) > _MAX_EXTENSION:
        return ""
    return EXTENSIONS.get(extension) or mimetypes.guess_type(f"x{extension}", strict=False)[0] or ""


def _kind(file: IO[bytes], claims: tuple[str, str], workspace: str) -> str:
    head = file.read(_HEAD)
    if b"%PDF-" in head[:1024]:
        return PDF
    if head.startswith(b"PK\x03\x04"):
        return inspection.type_of_archive(file, workspace=workspace)
    if not _is_text(head):
        raise UnsupportedFile
    if HTML in claims or "application/xhtml+xml" in claims or is_markup(_beginning(head)):
        return HTML
    return MARKDOWN if MARKDOWN in claims or "text/x-markdown" in claims else PLAIN


def is_markup(text: str) -> bool:
    """Whether the text is an HTML page: it begins with an element or a declaration, after white space and comments at
    most.

    Each search starts where the one before it ended, so that the work is linear. One regular expression for all of
    this tries the end of every comment as the end of every other.
    """
    at = _after_space(text, 0)
    if text[at : at + 5].lower() == "<?xml":
        end = text.find(">", at)
        if end == -1:
            return False
        at = _after_space(text, end + 1)
    while text.startswith("<!--", at):
        end = text.find("-->", at + 4)
        if end == -1:
            return False
        at = _after_space(text, end + 3)
    if text[at : at + 9].lower() == "<!doctype":
        word = _after_space(text, at + 9)
        return word > at + 9 and text[word : word + 4].lower() == "html" and _ends_word(text, word + 4)
    return text[at : at + 5].lower() in _TAGS and _ends_word(text, at + 5)


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _ends_word(text: str, at: int) -> bool:
    return not (text[at : at + 1].isalnum() or text.startswith("_", at))


def _is_text(head: bytes) -> bool:
    """Whether the bytes are text: nearly no control characters, and no NUL except in a wide encoding."""
    if head.startswith(_ENCODING_MARKS) or decoding.wide_encoding(head):
        return True
    if b"\0" in head:
        return False
    if _count(head, _CONTROL) * 100 > len(head):
        return False
    return _is_utf8(head) or _count(head, _LATE_CONTROL) * 10 < len(head) or decoding.is_other_text(head[:_SAMPLE])


def _beginning(head: bytes) -> str:
    wide = "utf_16" if head.startswith((b"\xff\xfe", b"\xfe\xff")) else decoding.wide_encoding(head)
    return head.decode(wide or "utf-8", "ignore").removeprefix("\ufeff")


def _count(data: bytes, wanted: bytes) -> int:
    return len(data) - len(data.translate(None, wanted))


def _is_utf8(head: bytes) -> bool:
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.start >= len(head) - 3  # The end of the sample may divide a character.
    return True


def _agree(claim: str, kind: str) -> bool:
    if claim in _NO_CLAIM or claim == kind:
        return True
    if kind == PDF:
        return claim == "application/x-pdf"
    if kind == DOCX:
        return claim in ("application/x-zip-compressed", "application/zip")  # A DOCX is a ZIP archive.
    return claim != PDF and _TEXTUAL.fullmatch(claim) is not None and not claim.startswith("application/x-pdf")
