"""Cleans text before it is stored: no control characters, lone surrogates and invisible joiners."""

import re
import unicodedata

_LIGATURES = {0xFB00: "ff", 0xFB01: "fi", 0xFB02: "fl", 0xFB03: "ffi", 0xFB04: "ffl", 0xFB05: "st", 0xFB06: "st"}
_SPACES = dict.fromkeys([0x09, 0x0B, 0x0C, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000], " ")
_NOTHING: dict[int, None] = dict.fromkeys(
    [
        *(code for code in range(0x20) if code not in (0x09, 0x0A, 0x0B, 0x0C, 0x0D)),
        *range(0x7F, 0xA0),
        0xAD,  # Soft hyphen.
        0x200B,
        *range(0x202A, 0x202F),  # Bidirectional overrides.
        *range(0x2060, 0x206A),
        *range(0xFDD0, 0xFDF0),  # Noncharacters, which ``superscripts`` uses as marks.
        0xFEFF,
        *range(0xFFF0, 0xFFF9),
        0xFFFE,
        0xFFFF,
    ]
)
_TABLE: dict[int, str | None] = {**_LIGATURES, **_SPACES, **_NOTHING}
_WITH_TABS = {code: kept for code, kept in _TABLE.items() if code != 0x09}
_SURROGATE = re.compile("[\ud800-\udfff]")
_MANY_SPACES = re.compile(" {2,}")
_MANY_BREAKS = re.compile(r"\n{3,}")

# Marks on one letter are put in order when text is composed, in a time that grows with the square of their number. No
# script puts more than a few on a letter; thirty are what Unicode's stream-safe format allows (UAX #15, section 13).
_MAX_MARKS_PER_LETTER = 30
_FEW = 300  # Shorter texts, mostly single lines, are not searched for marks: the worst case is cheap enough.
_LATE_MARKS = (0x0F73, 0x0F75, 0x0F81)  # They decompose into marks, but are not marks by category.
_LAST_MARK = 0x1FFFF


def _run_of_marks(end: int) -> str:
    codes = (code for code in range(0x300, end) if unicodedata.combining(chr(code)) or code in _LATE_MARKS)
    marks = "".join(map(chr, codes))
    return f"([{marks}]{{{_MAX_MARKS_PER_LETTER}}})[{marks}]+"


_MANY_MARKS = re.compile(_run_of_marks(0x10000))  # Without higher planes it is faster.
_MANY_MARKS_OF_ALL = re.compile(_run_of_marks(_LAST_MARK + 1))


def clean(text: str, *, tabs: bool = False) -> str:
    """Remove what is invisible or cannot be stored in PostgreSQL, and compose characters (NFC); line breaks are kept.

    :param tabs: whether tabs are kept: in plain text they may be the only separators of a table's columns.
    """
    if _SURROGATE.search(text):
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
    text = text.translate(_WITH_TABS if tabs else _TABLE)
    if text.isascii():
        return text
    if len(text) > _FEW:
        many = _MANY_MARKS if max(text) < "\U00010000" else _MANY_MARKS_OF_ALL
        text = many.sub(r"\1", text)
    return unicodedata.normalize("NFC", text)


def clean_line(text: str) -> str:
    """Clean one line; runs of spaces become one space."""
    text = text if text.isascii() and text.isprintable() else clean(text)  # Most lines need no cleaning.
    return (_MANY_SPACES.sub(" ", text) if "  " in text else text).strip()


def clean_lines(text: str, *, tabs: bool = False) -> str:
    """Clean several lines: line breaks become ``\\n``, without trailing spaces and consecutive empty lines."""
    text = clean(text.replace("\r\n", "\n").replace("\r", "\n"), tabs=tabs)
    text = "\n".join(line.rstrip() for line in text.split("\n"))
    return _MANY_BREAKS.sub("\n\n", text).strip("\n")
