"""Converts Markdown (CommonMark with tables and strikethrough) to paragraphs, by way of HTML."""

import re
from collections.abc import Iterator, MutableMapping, Sequence
from typing import IO, Any

from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.rules_block import StateBlock, reference
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from . import html
from .decoding import Warnings, decode
from .frames import Job
from .plain import join

# Inline HTML that is interpreted; of other elements only the tags are removed. A ``<script>`` that a sentence merely
# mentions must not hide the text after it.
_READ = {"br", "sup", "sub", "del", "s", "strike", "ins", "img", "input", "ruby", "rt", "rp", "q", "wbr", "span"}
_TAG = re.compile(r"</?([a-zA-Z][a-zA-Z0-9-]{0,20})")
_ADDRESS = re.compile(r"[/#@?]|\.\w|^[a-z][a-z0-9+.-]{1,15}:|^$", re.IGNORECASE)
_COMMENT = re.compile(
    r"\[(?://|comment|_metadata_:[^\]]{0,40}|#)\]:|\[[^\]]{1,100}\]:[ \n]*(?:#|<>)[ \n]*[(\"']", re.IGNORECASE
)
_MAX_LABEL = 100
_MAX_FRONT_MATTER = 100  # Lines.


def read(source: IO[bytes], job: Job) -> tuple[str, Warnings]:
    text, warnings = decode(source.read())
    return join(blocks(text, warnings), job.max_characters), warnings


def blocks(source: str, warnings: Warnings | None = None) -> Iterator[str]:
    """Headings, paragraphs, list items, rows and code, in order, without their marks."""
    front, source = _front_matter(source.replace("\r\n", "\n").replace("\r", "\n"))
    if front:
        yield front
    references = _References()
    tokens = _parser.parse(source, {"references": references})
    for token in tokens:
        if token.type == "definition":
            token.hidden = references.is_address(token)
    _number(tokens)
    yield from html.blocks(_parser.renderer.render(tokens, _parser.options, {}), warnings)


class _References(dict[str, Any]):
    """The link definitions of a document, and which of them its text refers to."""

    def __init__(self) -> None:
        self.used: set[str] = set()

    def get(self, label: str, default: Any = None) -> Any:
        self.used.add(label)
        return super().get(label, default)

    def is_address(self, definition: Token) -> bool:
        """Whether a definition is what a link of the text leads to, or a comment: ``[//]: # (…)``.

        Else it may be a line with brackets in it.
        """
        if definition.meta["href"] in ("#", "<>", "") and definition.meta["label"] not in self.used:
            return _COMMENT.match(definition.content) is not None
        return definition.meta["label"] in self.used and _ADDRESS.search(definition.meta["href"]) is not None


def _definition(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """The rule for link definitions; keeps the lines of each. The definition of a note is an ordinary paragraph."""
    at = state.bMarks[start] + state.tShift[start]
    if state.src.startswith("[^", at):
        return False
    known = len(state.env["references"])
    doubles = len(state.env.get("duplicate_refs", ()))
    if not reference(state, start, end, silent):
        return False
    if len(state.env["references"]) > known:
        label, found = next(reversed(state.env["references"].items()))
    elif len(doubled := state.env.get("duplicate_refs", ())) > doubles:
        label, found = "", doubled[-1]
    else:
        return True
    token = state.push("definition", "p", 0)
    token.content = state.getLines(start, state.line, state.blkIndent, False).strip()
    token.meta = {"label": label, "href": found["href"]}
    return True


def _note_mark(state: StateInline, silent: bool) -> bool:
    """``[^1]`` is a superscript mark."""
    if not state.src.startswith("[^", state.pos):
        return False
    end = state.src.find("]", state.pos, min(state.posMax, state.pos + _MAX_LABEL))
    label = state.src[state.pos + 2 : end]
    if end == -1 or not label or any(character.isspace() or character == "[" for character in label):
        return False
    if not silent:
        state.push("note_mark", "sup", 0).content = label
    state.pos = end + 1
    return True


def _front_matter(source: str) -> tuple[str, str]:
    """The lines between two lines of dashes at the beginning, and the rest."""
    lines = source.removeprefix("\ufeff").split("\n", _MAX_FRONT_MATTER)
    if lines[0].rstrip() != "---" or len(lines) < 3 or not lines[1].strip():
        return "", source
    for number, line in enumerate(lines[1:_MAX_FRONT_MATTER], 1):
        if line.rstrip() in ("---", "..."):
            return "\n".join(lines[1:number]), "\n".join(lines[number + 1 :])
    return "", source


def _number(tokens: Sequence[Token]) -> None:
    """Keep the written numbers of a list's items, unless all are the same: they may be numbers of clauses."""
    open_lists: list[tuple[Token, list[Token]]] = []
    for token in tokens:
        if token.type.endswith("_list_open"):
            open_lists.append((token, []))
        elif token.type == "list_item_open":
            open_lists[-1][1].append(token)
        elif token.type.endswith("_list_close"):
            opening, items = open_lists.pop()
            if opening.type == "ordered_list_open":
                opening.attrSet("data-delimiter", opening.markup)
                numbers = [int(item.info) for item in items if item.info]
                if len(numbers) == len(items) and len(set(numbers)) > 1:
                    for item in items:
                        item.attrSet("value", item.info)


def _html_inline(
    renderer: Any, tokens: Sequence[Token], index: int, options: Any, env: MutableMapping[str, Any]
) -> str:
    content = tokens[index].content
    tag = _TAG.match(content)
    return content if tag and tag[1].lower() in _READ else ""


def _written_out(
    renderer: Any, tokens: Sequence[Token], index: int, options: Any, env: MutableMapping[str, Any]
) -> str:
    token = tokens[index]
    if token.hidden:
        return ""
    return f"<{token.tag}{' data-note' * (token.tag == 'sup')}>{escapeHtml(token.content)}</{token.tag}>"


_parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
_parser.block.ruler.at("reference", _definition)
_parser.inline.ruler.before("link", "note_mark", _note_mark)
_parser.add_render_rule("html_inline", _html_inline)
_parser.add_render_rule("definition", _written_out)
_parser.add_render_rule("note_mark", _written_out)
