"""Markdown (CommonMark with tables) to paragraphs."""

from collections.abc import Iterator, Sequence
from typing import IO

from markdown_it import MarkdownIt
from markdown_it.token import Token

from . import html
from .cleaning import clean_lines, decode
from .frames import Job
from .plain import join

_parser = MarkdownIt("commonmark").enable("table")


def read(source: IO[bytes], job: Job) -> str:
    return join(blocks(clean_lines(decode(source.read()))), job.max_characters)


def blocks(source: str) -> Iterator[str]:
    """Headings, paragraphs, list items, rows and code, in order, without their marks."""
    in_item = False
    row: list[str] | None = None
    for token in _parser.parse(source):
        if token.type == "list_item_open":
            in_item = True
        elif token.type == "tr_open":
            row = []
        elif token.type == "tr_close" and row is not None:
            yield " | ".join(row)
            row = None
        elif token.type in ("fence", "code_block"):
            yield token.content
        elif token.type == "html_block":
            yield from html.blocks(token.content)
        elif token.type == "inline":
            text = _inline(token.children or ())
            if row is not None:
                row.append(text)
            else:
                yield f"- {text}" if in_item else text
                in_item = False


def _inline(tokens: Sequence[Token]) -> str:
    parts = []
    for token in tokens:
        if token.type in ("text", "code_inline"):
            parts.append(token.content)
        elif token.type in ("softbreak", "hardbreak"):
            parts.append(" " if token.type == "softbreak" else "\n")
        elif token.type == "image":
            parts.append(token.content)
    return "".join(parts).strip()
