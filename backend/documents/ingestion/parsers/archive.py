"""Opens ZIP archives within limits, and detects which kind of document one is."""

import codecs
import contextlib
import posixpath
import re
import urllib.parse
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO

from lxml import etree

from .frames import ParseError

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
MAX_ENTRIES = 10_000  # Word writes a few dozen, and one for each picture.
MAX_DIRECTORY = 2 * 1024 * 1024  # Bytes. An entry takes at least 46 of them, and some 600 in memory once it is read.
_BLOCK = 256 * 1024
_HEAD = 64 * 1024
_DAMAGES = (zipfile.BadZipFile, KeyError, NotImplementedError, EOFError, OSError, ValueError, zlib.error)

_MAIN = "word/document.xml"  # Where nearly every program puts it.
_RELATIONSHIPS = "_rels/.rels"
_MAX_RELATIONSHIPS = 256 * 1024
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_ROOTS = {
    "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}document",
    "{http://purl.oclc.org/ooxml/wordprocessingml/main}document",
}


class Reader:
    """A file that refuses long reads.

    ``zipfile`` reads the directory of an archive in one piece, of the size that the archive states, and creates an
    object for each entry. Archives can state that size in several end records; every one of them leads to this read.
    Members are read in blocks.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek = file.seek
        self.tell = file.tell
        self.seekable = file.seekable
        self.close = file.close

    def read(self, size: int = -1) -> bytes:
        if size > MAX_DIRECTORY:
            raise _too_many()
        return self._file.read(size if size >= 0 else MAX_DIRECTORY)  # Without a size it reads the end of the file.


@contextlib.contextmanager
def opened(source: IO[bytes]) -> Iterator[zipfile.ZipFile]:
    """The archive, once its directory is known to be small.

    :raises ParseError: damaged, or the directory is too large.
    """
    try:
        with zipfile.ZipFile(Reader(source)) as archive:
            if len(archive.infolist()) > MAX_ENTRIES:
                raise _too_many()
            yield archive
    except _DAMAGES as error:
        raise ParseError("corrupt", "The file is damaged: its parts cannot be unpacked.") from error
    except RuntimeError as error:  # zipfile raises it for an encrypted member.
        raise ParseError("encrypted", "The file is protected by a password.") from error


def unpack(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """A member's bytes, counted while they are unpacked, since the size that an archive declares may be false.

    :raises ParseError: there are more than ``limit``.
    """
    data = bytearray()
    with member(archive, name) as file:
        while block := file.read(_BLOCK):
            data += block
            if len(data) > limit:
                raise too_large(limit)
    return bytes(data)


def member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    if archive.getinfo(name).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise zipfile.BadZipFile  # No document uses others, and they may unpack a block to any size in one call.
    return archive.open(name)


def too_large(limit: int) -> ParseError:
    return ParseError("too_large", f"Unpacked, the file is larger than {limit} bytes.")


def content_type(source: IO[bytes]) -> str:
    """The content type of the archive; empty if it is not supported.

    A damaged one counts as a DOCX, so that reading it reports the damage.

    :raises ParseError: too many entries.
    """
    try:
        with opened(source) as archive:
            return DOCX if main_part(archive) else ""
    except ParseError as error:
        if error.code != "corrupt":
            raise
        return DOCX


def parts(archive: zipfile.ZipFile) -> dict[str, str]:
    """Member names by part names; members may be spelled in any case, with slashes of either kind."""
    return {name.replace("\\", "/").lstrip("/").lower(): name for name in archive.namelist()}


def main_part(archive: zipfile.ZipFile) -> str:
    """The name of the part with a DOCX's text: from its relationships, else the usual name; empty if there is none."""
    names = parts(archive)
    if _RELATIONSHIPS in names:
        with contextlib.suppress(etree.XMLSyntaxError):
            root = root_of(unpack(archive, names[_RELATIONSHIPS], _MAX_RELATIONSHIPS))
            for relationship in root.iterchildren("{*}Relationship"):
                target = part_name(relationship.get("Target", ""))
                if relationship.get("Type", "").endswith("/officeDocument") and target in names:
                    return target if target == _MAIN or _is_text_document(archive, names[target]) else ""
    return _MAIN if _MAIN in names else ""


def part_name(target: str, folder: str = "") -> str:
    """The name of a relationship's target, relative to ``folder``."""
    path = target.replace("\\", "/").partition("#")[0]
    return posixpath.normpath(posixpath.join("/" + folder, urllib.parse.unquote(path))).lstrip("/").lower()


def root_of(data: bytes) -> "etree._Element":
    """The root of a part.

    :raises ParseError: it holds a declaration; entities are made there.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        data = _DECLARATION.sub("", data.decode("utf-16", "replace"), count=1).encode()
    if b"<!DOCTYPE" in data:
        raise ParseError("corrupt", "The file holds declarations that a document must not hold.")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    return etree.fromstring(data, parser)


def _is_text_document(archive: zipfile.ZipFile, name: str) -> bool:
    """Whether it is a text document, by its root element. Workbooks have main parts with the same relationship."""
    with member(archive, name) as file:
        head = file.read(_HEAD)
    parser = etree.XMLPullParser(events=("start",), resolve_entities=False, no_network=True, load_dtd=False)
    with contextlib.suppress(etree.XMLSyntaxError):
        parser.feed(head)
    first = next(iter(parser.read_events()), None)
    return first is not None and getattr(first[1], "tag", None) in _ROOTS


def _too_many() -> ParseError:
    return ParseError("too_complex", "The archive holds too many files.")
