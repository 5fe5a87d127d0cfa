"""What a file is, by its bytes; what its name and its sender say is only checked against them."""

import mimetypes
import re
import zipfile
from typing import IO

from django.utils.translation import gettext as _

from backend.documents.errors import UnsupportedFile

PDF = "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
HTML = "text/html"
MARKDOWN = "text/markdown"
PLAIN = "text/plain"
EXTENSIONS = {".pdf": PDF, ".docx": DOCX, ".html": HTML, ".htm": HTML, ".xhtml": HTML, ".md": MARKDOWN}
EXTENSIONS |= {".markdown": MARKDOWN, ".txt": PLAIN, ".text": PLAIN, ".log": PLAIN}

# Formats of their own, though their bytes are text.
_WRITTEN_IN_TEXT = {"message/rfc822", "application/rtf", "text/rtf"}

_HEAD = 64 * 1024
_MARKUP = re.compile(r"^\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.I | re.S)
_ENCODING_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")
_NO_CLAIM = {"", "application/octet-stream", "binary/octet-stream", "application/x-download"}
_TEXTUAL = re.compile(r"text/.+|application/(?:.*\+)?(?:json|xml|yaml|toml|javascript|x-sh|sql)|application/x-.*")


def detect(file: IO[bytes], *, name: str, claimed: str = "") -> str:
    """The content type of a file.

    :raises UnsupportedFile: no format that can be read, or another than its name or sender says.
    """
    file.seek(0)
    head = file.read(_HEAD)
    kind = _kind(file, head, name=name, claimed=claimed)
    file.seek(0)
    for claim in (mimetypes_of(name), claimed.partition(";")[0].strip().lower()):
        if claim in _WRITTEN_IN_TEXT and kind == PLAIN:
            raise UnsupportedFile
        if not _agree(claim, kind):
            raise UnsupportedFile(
                _("The file says that it is %(claim)s, but its content is %(kind)s.") % {"claim": claim, "kind": kind}
            )
    return kind


def mimetypes_of(name: str) -> str:
    """What the extension claims; empty where it claims nothing."""
    extension = "." + name.rpartition(".")[2].lower() if "." in name else ""
    return EXTENSIONS.get(extension) or mimetypes.guess_type(f"x{extension}", strict=False)[0] or ""


def _kind(file: IO[bytes], head: bytes, *, name: str, claimed: str) -> str:
    if b"%PDF-" in head[:1024]:
        return PDF
    if head.startswith(b"PK\x03\x04"):
        return _of_archive(file)
    if not _is_text(head):
        raise UnsupportedFile
    claims = {mimetypes_of(name), claimed.partition(";")[0].strip().lower()}
    if HTML in claims or "application/xhtml+xml" in claims or _MARKUP.search(head.decode("utf-8", "ignore")):
        return HTML
    return MARKDOWN if claims & {MARKDOWN, "text/x-markdown"} else PLAIN


def _of_archive(file: IO[bytes]) -> str:
    try:
        file.seek(0)
        with zipfile.ZipFile(file) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError):
        return DOCX  # Damaged: reading it will say so.
    if "word/document.xml" in names:
        return DOCX
    raise UnsupportedFile


def _is_text(head: bytes) -> bool:
    """No binary: nearly no control characters, and no NUL unless an encoding mark explains it."""
    if head.startswith(_ENCODING_MARKS):
        return True
    if b"\0" in head:
        return False
    control = sum(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in head)
    if control * 100 > len(head):
        return False
    return _is_utf8(head) or sum(0x80 <= byte < 0xA0 for byte in head) * 10 < len(head)


def _is_utf8(head: bytes) -> bool:
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.start >= len(head) - 3  # A character cut in two.
    return True


def _agree(claim: str, kind: str) -> bool:
    if claim in _NO_CLAIM or claim == kind:
        return True
    if kind == PDF:
        return claim == "application/x-pdf"
    if kind == DOCX:
        return claim in ("application/x-zip-compressed", "application/zip")  # What it is, too.
    return claim != PDF and _TEXTUAL.fullmatch(claim) is not None and not claim.startswith("application/x-pdf")
