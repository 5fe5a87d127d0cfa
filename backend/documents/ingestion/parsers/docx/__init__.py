"""Converts DOCX (ECMA-376) to paragraphs. Only parts with text are unpacked, within limits."""

from collections.abc import Iterator
from typing import IO

from lxml import etree

from .. import archive, cpu
from ..decoding import Warnings
from ..frames import Job, ParseError
from ..plain import join
from .chunks import of_part
from .package import Package
from .sections import footers, headers
from .story import Story
from .xml import W, children, find, value

_COMMENT = "Comment"


def read(source: IO[bytes], job: Job) -> tuple[str, Warnings]:
    try:
        with archive.opened(source) as opened:
            package = Package(opened, job.max_unpacked_bytes)
            cpu.limit_for(job, package.size_of_text())
            return join(_blocks(package), job.max_characters), package.warnings
    except etree.XMLSyntaxError as error:
        if "depth" in str(error).lower():
            raise ParseError("too_complex", "The file nests its elements too deeply to be read whole.") from error
        raise ParseError("corrupt", "The file is damaged: its parts cannot be unpacked.") from error


def _blocks(package: Package) -> Iterator[str]:
    """Headers, the text, footers, notes, comments: each once."""
    main = package.root(package.main)
    package.is_coloured = value(find(main, "background"), "color").lower() not in ("", "auto", "ffffff")
    seen: set[str] = set()
    for part in headers(package, main):
        yield from _once(_story_of(package, part), seen)
    yield from Story(package, part=package.main, of_part=of_part).blocks(main)
    for part in footers(package, main):
        yield from _once(_story_of(package, part), seen)
    yield from _notes(package)


def _story_of(package: Package, part: str) -> Iterator[str]:
    return Story(package, part=part, of_part=of_part, on_every_page=True).blocks(package.root(part))


def _once(blocks: Iterator[str], seen: set[str]) -> Iterator[str]:
    """Without blocks of earlier headers and footers: sections and first pages repeat them."""
    for block in blocks:
        if block not in seen:
            seen.add(block)
            yield block


def _notes(package: Package) -> Iterator[str]:
    for kind in ("footnote", "endnote", "comment"):
        for part in package.related(package.main, kind + "s"):
            for note in children(package.root(part), W + kind):
                if value(note, "type") in ("separator", "continuationSeparator", "continuationNotice"):
                    continue
                mark = package.note_mark(kind, value(note, "id")) if kind != "comment" else ""
                story = Story(package, part=part, of_part=of_part, own_mark=mark)
                texts = list(story.blocks(note))
                if kind == "comment" and texts:
                    author = " ".join(value(note, "author").split())
                    texts[0] = f"{_COMMENT} ({author}): {texts[0]}" if author else f"{_COMMENT}: {texts[0]}"
                elif texts and not story.has_own_mark:
                    texts[0] = f"^{mark} {texts[0]}"
                yield from texts
