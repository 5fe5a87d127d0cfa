"""Reads plain text, and splits the text of formats without pages into stretches."""

from collections.abc import Iterator
from typing import IO

from .cleaning import clean_lines
from .decoding import Warnings, decode
from .frames import Job, PageText, ParseError
from .legibility import is_unreadable

STRETCH = 20_000  # Characters; cut at a paragraph where one ends in the second half.


def read(source: IO[bytes], job: Job) -> tuple[str, Warnings]:
    text, warnings = decode(source.read())
    return clean_lines(text, tabs=True), warnings


def join(blocks: Iterator[str], limit: int) -> str:
    """Join paragraphs with empty lines between them.

    :raises ParseError: longer than ``limit`` characters.
    """
    kept: list[str] = []
    size = 0
    for block in blocks:
        if block.strip():
            kept.append(block.strip("\n"))
            size += len(block) + 2
        if size > limit:
            raise ParseError("too_large", f"The text is longer than {limit} characters.")
    return "\n\n".join(kept)


def stretches(text: str) -> list[PageText]:
    """The whole text, in order, in pieces of at most ``STRETCH`` characters."""
    pieces: list[PageText] = []
    start = 0
    while start < len(text):
        end = min(start + STRETCH, len(text))
        if end < len(text):
            for mark in ("\n\n", "\n", ". ", " "):
                found = text.rfind(mark, start + STRETCH // 2, end)
                if found != -1:
                    end = found + len(mark)
                    break
        piece = text[start:end]
        pieces.append(PageText(number=len(pieces) + 1, text=piece, unreadable=is_unreadable(piece)))
        start = end
    return pieces
