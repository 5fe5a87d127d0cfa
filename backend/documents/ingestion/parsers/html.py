"""Converts HTML to paragraphs of its visible text."""

import re
from collections.abc import Iterator
from typing import IO

from lxml import etree

from . import formulas, tables
from .cleaning import clean_line, clean_lines
from .decoding import Warnings, decode
from .frames import Job, ParseError
from .html_visibility import Shown, hides, is_hidden, shown
from .list_numbers import List
from .plain import join
from .stylesheet import Sheets, Style
from .superscripts import DOWN, END, NOTE, UP, spelled, without_marks

_INLINE = {
    *("a", "abbr", "acronym", "b", "bdi", "bdo", "big", "button", "cite", "code", "data", "del", "dfn", "em", "font"),
    *("i", "img", "input", "ins", "kbd", "label", "mark", "math", "meter", "nobr", "output", "picture", "progress"),
    *("q", "rb", "rp", "rt", "rtc", "ruby", "s", "samp", "select", "small", "span", "strike", "strong", "sub", "sup"),
    *("svg", "textarea", "time", "tt", "u", "var", "wbr", "script", "style", "template", "noscript", "object"),
    *("iframe", "canvas", "audio", "video", "datalist"),
}
_AROUND = {"sup": (UP, END), "sub": (DOWN, END), "rt": ("(", ")"), "q": ("“", "”"), "button": (" ", " ")}
_LISTS = ("ol", "ul", "menu", "dir")
_WRITTEN = {
    *("", "text", "email", "number", "tel", "url", "search", "date", "time", "submit", "reset", "button"),
    "month",
    "week",
    "datetime-local",
}

# Numeric references to the control characters of Latin-1 mean Windows-1252 (HTML standard, section 13.2.5.84).
_C1 = {code: bytes([code]).decode("cp1252", "ignore") or None for code in range(0x80, 0xA0)}

_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_STATED = (
    re.compile(rb"<meta[^>]{0,200}charset\s{0,20}=\s{0,20}[\"']?\s{0,20}([a-zA-Z0-9_.:-]{2,40})", re.IGNORECASE),
    re.compile(rb"<\?xml[^>]{0,100}encoding\s{0,20}=\s{0,20}[\"']([a-zA-Z0-9_.:-]{2,40})", re.IGNORECASE),
)
_HEAD = 4096
_UNREAD = (
    "styles_ignored",
    "Some rules of the style sheet were not understood; text that they hide may have been read.",
)


def read(source: IO[bytes], job: Job) -> tuple[str, Warnings]:
    text, warnings = text_of(source.read())
    return join(blocks(text, warnings), job.max_characters), warnings


def text_of(data: bytes) -> tuple[str, Warnings]:
    """Decode the markup: by byte-order mark, as UTF-8, by its declaration, or by detection (``decoding``)."""
    head = _without_comments(data[:_HEAD])
    found = next(filter(None, (pattern.search(head) for pattern in _STATED)), None)
    return decode(data, label=found[1].decode() if found else "")


def blocks(markup: str, warnings: Warnings | None = None) -> Iterator[str]:
    """The paragraphs, headings, list items and table rows of a document or of a piece of one.

    :param warnings: a list to which warnings are added.
    """
    # Old pages do not close their tags, so that long ones nest deeply. The memory limit of this process bounds it.
    parser = etree.HTMLParser(no_network=True, huge_tree=True, remove_comments=True, remove_pis=True)
    try:
        root = etree.fromstring(_DECLARATION.sub("", markup, count=1) or "<p></p>", parser)
    except etree.XMLSyntaxError:  # It has no markup.
        root = None
    if root is None:
        yield clean_lines(markup)
        return
    if any(entry.message.startswith("Excessive depth") for entry in parser.error_log):
        raise ParseError("too_complex", "The file nests its elements too deeply to be read whole.")
    walk = _Walk(Sheets(root))
    yield from walk.blocks(root)
    if walk.unread and warnings is not None and _UNREAD not in warnings:
        warnings.append(_UNREAD)


class _Table:
    """An open table, or a row without a table."""

    def __init__(self, element: "etree._Element") -> None:
        self.element = element
        self.rows: list[list[tables.Cell]] = []
        self.last: list[list[tables.Cell]] = []  # The rows of its foot, which may stand before the others.
        self.row: list[tables.Cell] | None = None
        self.cell: tables.Cell | None = None

    def end_cell(self) -> None:
        self.cell = None

    def end_row(self) -> None:
        self.row = self.cell = None


class _Walk:
    """Walks the elements and collects text until a block begins or ends."""

    def __init__(self, sheets: Sheets) -> None:
        self.sheets = sheets
        self.unread = sheets.unread  # Whether unsupported style rules may hide text that was read.
        self.open: list[tuple[Style, Shown]] = [({}, Shown())]  # Elements, without those within a hidden one.
        self.parts: list[str] = []
        self.out: list[str] = []
        self.marker = ""  # Of the list item that has begun, before its first text.
        self.lists: list[List] = []
        self.tables: list[_Table] = []
        self.preformatted = 0
        self.hidden = 0  # Elements that are open from the outermost hidden one on.

    def blocks(self, root: "etree._Element") -> Iterator[str]:
        for event, element in etree.iterwalk(root, events=("start", "end")):
            tag = element.tag if isinstance(element.tag, str) else "script"
            if event == "start":
                if self.hidden or self._hides(tag, element):
                    self.hidden += 1
                else:
                    self._start(tag, element, self.open[-1][0])
                    self._add(element.text)
            else:
                if self.hidden:
                    self.hidden -= 1
                    if not self.hidden:
                        self.open.pop()
                else:
                    self._end(tag, element, self.open[-1][0])
                    self.open.pop()
                self._add(element.tail)
            yield from self.out
            self.out.clear()
        self._flush()
        yield from self.out

    def _hides(self, tag: str, element: "etree._Element") -> bool:
        """Whether to skip the content of the element; adds a replacement for it where there is one."""
        style, maybe = self.sheets.of(element)
        around = shown(style, element, self.open[-1][1])
        if maybe:
            self.unread = self.unread or hides(maybe) or shown(maybe, element, Shown()).silent
            if "color" in maybe or any(name.startswith("background") for name in maybe):
                self.unread = self.unread or around.silent
                around = around._replace(colour="")
        self.open.append((style, around))
        if is_hidden(tag, element, style):
            if tag not in _INLINE:
                self._flush()
            return True
        if tag == "math":
            self.parts.append(without_marks(formulas.of_mathml(element)))
        elif tag == "svg":
            self._add(" ".join(" ".join(map(str, text.itertext())) for text in element.iter("text")))
        elif tag == "select":
            options = list(element.iter("option"))
            chosen = [one for one in options if one.get("selected") is not None] or options[:1]
            self._add(" " + ", ".join("".join(map(str, one.itertext())) for one in chosen) + " ")
        return tag in ("math", "svg", "select")

    def _start(self, tag: str, element: "etree._Element", style: Style) -> None:
        if tag == "br":
            self.parts.append("\n")
        elif _is_inline(tag, style):
            self.parts.append(_around(tag, element, style)[0])
            if tag in ("img", "input"):
                self._add(_replacement(tag, element))
        else:
            self._flush()
            if tag in ("table", "tr", "td", "th"):
                self._start_of_table(tag, element)
            elif tag in _LISTS:
                self.lists.append(List.of_html(element, style))
            elif tag == "li":
                self.marker += self.lists[-1].next_marker(element.get("value")) if self.lists else "- "
            elif tag == "pre":
                self.preformatted += 1

    def _end(self, tag: str, element: "etree._Element", style: Style) -> None:
        if tag == "br" or _is_inline(tag, style):
            self.parts.append(_around(tag, element, style)[1])
            return
        self._flush()
        if tag in _LISTS:
            self.lists.pop()
        elif tag == "li":
            self.marker = ""
        elif tag == "pre":
            self.preformatted -= 1
        elif tag in ("td", "th") and self.tables:
            self.tables[-1].end_cell()
        elif tag == "tr" and self.tables:
            self.tables[-1].end_row()
        if self.tables and self.tables[-1].element is element:
            self._end_of_table()

    def _start_of_table(self, tag: str, element: "etree._Element") -> None:
        if tag == "table" or not self.tables:
            self.tables.append(_Table(element))
        table = self.tables[-1]
        if tag == "tr" or (tag in ("td", "th") and table.row is None):
            table.end_row()
            table.row = []
            parent = element.getparent()
            (table.last if parent is not None and parent.tag == "tfoot" else table.rows).append(table.row)
        if tag in ("td", "th") and table.row is not None:
            table.cell = tables.Cell([], _number(element, "colspan"), _number(element, "rowspan"))
            table.row.append(table.cell)

    def _end_of_table(self) -> None:
        table = self.tables.pop()
        layout = table.element.get("role") in ("presentation", "none")
        for row in tables.blocks(table.rows + table.last, layout=layout):
            self._emit(row)

    def _emit(self, block: str) -> None:
        for table in reversed(self.tables):
            if table.cell is not None:
                table.cell.blocks.append(block)
                return
        self.out.append(block)

    def _add(self, text: str | None) -> None:
        if text and not self.hidden and not self.open[-1][1].silent:
            if not text.isascii():
                text = without_marks(text).translate(_C1)
            self.parts.append(text if self.preformatted else re.sub(r"\s+", " ", text))

    def _flush(self) -> None:
        text = spelled("".join(self.parts))
        self.parts = []
        if self.preformatted:
            text = clean_lines(text.expandtabs(4))
        else:
            text = "\n".join(line for line in map(clean_line, text.split("\n")) if line)
        if text.strip(" -|\n"):
            self._emit(self.marker + text)
            self.marker = ""


def _is_inline(tag: str, style: Style) -> bool:
    return tag in _INLINE and style.get("display", "inline").startswith(("inline", "contents"))


def _around(tag: str, element: "etree._Element", style: Style) -> tuple[str, str]:
    """The marks before and after the content of an inline element."""
    if tag in _AROUND:
        return (NOTE, END) if element.get("data-note") is not None else _AROUND[tag]
    return {"super": (UP, END), "sub": (DOWN, END)}.get(style.get("vertical-align", ""), ("", ""))


def _replacement(tag: str, element: "etree._Element") -> str:
    """The text that replaces an image or a field."""
    if tag == "img":
        return f" {element.get('alt', '')} "
    kind = element.get("type", "").lower()
    if kind in ("checkbox", "radio"):
        return " ☐ " if element.get("checked") is None else " ☒ "
    return f" {element.get('value') or element.get('placeholder', '')} " if kind in _WRITTEN else " "


def _number(element: "etree._Element", name: str) -> int:
    written = element.get(name, "1").strip()[:6]
    number = int(written) if written.isascii() and written.isdigit() else 1
    return number if number or name == "colspan" else 65_534  # A rowspan of 0 reaches to the end (section 4.9.11).


def _without_comments(head: bytes) -> bytes:
    kept, at = [], 0
    while (start := head.find(b"<!--", at)) != -1:
        kept.append(head[at:start])
        end = head.find(b"-->", start + 4)
        at = end + 3 if end != -1 else len(head)
    return b"".join([*kept, head[at:]])
