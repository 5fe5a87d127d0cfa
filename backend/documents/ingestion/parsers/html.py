"""HTML to paragraphs: what a reader sees, without scripts, styles and markup."""

import codecs
import re
from collections.abc import Iterator
from typing import IO

from lxml import etree

from .cleaning import clean_line, clean_lines, decode
from .frames import Job, ParseError
from .plain import join

_SILENT = {"script", "style", "template", "noscript", "svg", "math", "object", "iframe", "select", "textarea", "canvas"}
_HIDDEN = {*_SILENT, "nav"}  # Navigation is the same on every page of a site, and found instead of what a page says.
_INLINE = {
    *("a", "abbr", "b", "bdi", "bdo", "cite", "code", "data", "del", "dfn", "em", "font", "i", "img", "ins", "kbd"),
    *("label", "mark", "q", "s", "samp", "small", "span", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr"),
}
# Encodings that documents of the Web are in. Loaded here, since the parser of a document can open no file any more.
_CHARSETS = """
ascii utf_7 utf_16 utf_16_be utf_16_le utf_32 utf_32_be utf_32_le koi8_r koi8_u mac_cyrillic mac_roman tis_620
cp437 cp850 cp866 cp874 cp932 cp949 cp1250 cp1251 cp1252 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258
iso8859_1 iso8859_2 iso8859_3 iso8859_4 iso8859_5 iso8859_6 iso8859_7 iso8859_8 iso8859_9 iso8859_10 iso8859_13
iso8859_14 iso8859_15 iso8859_16 shift_jis euc_jp iso2022_jp gb2312 gbk gb18030 big5 big5hkscs euc_kr
"""
for _name in _CHARSETS.split():
    codecs.lookup(_name)
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*([a-zA-Z0-9_-]{2,32})", re.IGNORECASE)


def read(source: IO[bytes], job: Job) -> str:
    return join(blocks(_text(source.read())), job.max_characters)


def blocks(markup: str) -> Iterator[str]:
    """The paragraphs, headings, list items and table rows of a document or of a piece of one."""
    # Old pages never close their tags, so that a long one is deep. What it may cost in memory this process bounds.
    parser = etree.HTMLParser(no_network=True, huge_tree=True, remove_comments=True, remove_pis=True)
    try:
        root = etree.fromstring(_DECLARATION.sub("", markup, count=1) or "<p></p>", parser)
    except etree.XMLSyntaxError:  # Nothing in it that is markup.
        root = None
    if root is None:
        yield clean_lines(markup)
        return
    if any(entry.message.startswith("Excessive depth") for entry in parser.error_log):
        raise ParseError("too_complex", "The file nests its elements too deeply to be read whole.")
    yield from _Walk().blocks(root)


class _Walk:
    """Text gathered until a block begins or ends."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.blank = True  # Nothing in them but white space.
        self.preformatted = 0
        self.hidden = 0

    def blocks(self, root: "etree._Element") -> Iterator[str]:
        for event, element in etree.iterwalk(root, events=("start", "end")):
            tag = element.tag if isinstance(element.tag, str) else "script"
            if event == "start":
                yield from self._start(tag, element)
            else:
                yield from self._end(tag, element)
                self._add(element.tail)
        yield from self._flush()

    def _start(self, tag: str, element: "etree._Element") -> Iterator[str]:
        if _is_hidden(tag, element):
            if tag not in _INLINE | _SILENT:
                yield from self._flush()
            self.hidden += 1
        elif tag == "br":
            self.parts.append("\n")
        elif tag in ("td", "th"):
            if not self.blank:
                self.parts.append(" | ")
        elif tag not in _INLINE:
            yield from self._flush()
            if tag == "li":
                self.parts.append("- ")
                self.blank = False
            if tag == "pre":
                self.preformatted += 1
        self._add(element.text)

    def _end(self, tag: str, element: "etree._Element") -> Iterator[str]:
        if _is_hidden(tag, element):
            self.hidden -= 1
        elif tag not in _INLINE and tag not in ("br", "td", "th"):
            yield from self._flush()
            if tag == "pre":
                self.preformatted -= 1

    def _add(self, text: str | None) -> None:
        if text and not self.hidden:
            self.parts.append(text if self.preformatted else re.sub(r"\s+", " ", text))
            self.blank = self.blank and text.isspace()

    def _flush(self) -> Iterator[str]:
        text = "".join(self.parts)
        self.parts = []
        self.blank = True
        if self.preformatted:
            text = clean_lines(text)
        else:
            text = "\n".join(line for line in map(clean_line, text.split("\n")) if line)
        if text.strip(" -|\n"):
            yield text


def _is_hidden(tag: str, element: "etree._Element") -> bool:
    return tag in _HIDDEN or element.get("hidden") not in (None, "until-found")


def _text(data: bytes) -> str:
    """By byte-order mark, else UTF-8, else what the document says of itself, else Windows-1252."""
    found = _CHARSET.search(data[:4096])
    if found:
        try:
            data.decode("utf-8")
        except UnicodeDecodeError:
            try:
                return data.decode(found[1].decode(), "replace")
            except LookupError:
                pass
    return decode(data)
