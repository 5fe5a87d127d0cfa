"""The parts of a DOCX and their relationships (Open Packaging Conventions)."""

import posixpath
import zipfile
from typing import NamedTuple

from lxml import etree

from .. import archive
from ..decoding import Warnings
from .numbering import Numbering
from .styles import Styles
from .xml import Element, children, find, is_on, transitional, value

_TEXT = ("footnotes", "endnotes", "comments", "header", "footer", "aFChunk", "numbering", "styles", "settings")
_MAX_RELATIONSHIPS = 4 * 1024 * 1024


class Relationship(NamedTuple):
    kind: str  # The last part of its type.
    part: str


class Package:
    """An archive whose parts are unpacked on demand, within a limit for all together.

    :ivar main: the part that holds the text.
    """

    def __init__(self, opened: zipfile.ZipFile, limit: int) -> None:
        entries = opened.infolist()
        if sum(entry.file_size for entry in entries) > limit:
            raise archive.too_large(limit)
        self._opened = opened
        self._names = archive.parts(opened)
        self._left = self._limit = limit
        self._relationships: dict[str, dict[str, Relationship]] = {}
        self._marks: dict[tuple[str, str], str] = {}
        self._counts: dict[str, int] = {}
        self.warnings: Warnings = []
        self.main = archive.main_part(opened)
        settings = self.first(self.main, "settings")
        self.styles = Styles(self.first(self.main, "styles"))
        self.numbering = Numbering(self.first(self.main, "numbering"), self.styles)
        self.is_coloured = False  # The ground of all pages.
        self.has_even_pages = bool(is_on(find(settings, "evenAndOddHeaders")))
        self._note_formats = {
            "footnote": value(find(settings, "footnotePr", "numFmt")) or "decimal",
            "endnote": value(find(settings, "endnotePr", "numFmt")) or "lowerRoman",
        }

    @property
    def left(self) -> int:
        """Bytes that may still be unpacked."""
        return self._left

    @property
    def taken(self) -> int:
        return self._limit - self._left

    def take(self, size: int) -> None:
        """Count bytes that were unpacked for a part within a part."""
        self._left -= size

    def data(self, part: str) -> bytes:
        """The bytes of a part; empty if there is no such part.

        :raises ParseError: too many, together with the parts before.
        """
        name = self._names.get(part)
        if name is None:
            return b""
        data = archive.unpack(self._opened, name, self._left)
        self._left -= len(data)
        if self._left <= 0:
            raise archive.too_large(self._limit)
        return data

    def root(self, part: str) -> Element:
        data = self.data(part)
        return archive.root_of(transitional(data)) if data else etree.Element("nothing")

    def first(self, part: str, kind: str) -> Element | None:
        """The root of the first related part of a kind."""
        for related in self.related(part, kind):
            return self.root(related)
        return None

    def related(self, part: str, kind: str) -> list[str]:
        return [relationship.part for relationship in self.relationships(part).values() if relationship.kind == kind]

    def relationships(self, part: str) -> dict[str, Relationship]:
        """The relationships of a part to parts of the archive, by id."""
        if part not in self._relationships:
            folder, name = posixpath.split(part)
            found: dict[str, Relationship] = {}
            place = posixpath.join(folder, "_rels", name + ".rels")
            if place in self._names:
                data = archive.unpack(self._opened, self._names[place], _MAX_RELATIONSHIPS)
                for one in children(archive.root_of(data), "{*}Relationship"):
                    target = archive.part_name(one.get("Target", ""), folder)
                    if one.get("TargetMode") != "External" and target in self._names:
                        kind = one.get("Type", "").rpartition("/")[2]
                        found[one.get("Id", "")] = Relationship(kind, target)
            for kind in ("footnotes", "endnotes", "comments", "numbering", "styles", "settings"):
                beside = posixpath.join(folder, kind + ".xml")  # Some programs omit the relationship.
                if part == self.main and beside in self._names and kind not in {one.kind for one in found.values()}:
                    found[f" {kind}"] = Relationship(kind, beside)
            self._relationships[part] = found
        return self._relationships[part]

    def size_of_text(self) -> int:
        """Bytes of the parts that are read, as the archive states them."""
        read = {self.main, *(one.part for one in self.relationships(self.main).values() if one.kind in _TEXT)}
        return sum(self._opened.getinfo(self._names[part]).file_size for part in read if part in self._names)

    def note_mark(self, kind: str, note: str) -> str:
        """The mark of a footnote or an endnote, counted in the order of references in the text."""
        key = (kind, note)
        if key not in self._marks:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            self._marks[key] = self.numbering.written(self._counts[kind], self._note_formats[kind])
        return self._marks[key]
