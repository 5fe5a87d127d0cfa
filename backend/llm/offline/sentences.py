"""Cuts a passage into sentences, list items and headings, each a literal stretch of its text."""

import re
from collections.abc import Iterable
from typing import Literal, TypeAlias

import msgspec

from backend.llm.offline.words import fold, is_small, listed

ABBREVIATIONS = listed(
    """mr mrs ms dr drs prof profa st no nos vs etc fig figs vol vols pp p ch sec secs art inc ltd co corp jr sr e.g
    i.e approx min max sra srta dra dras exmo exma exa n pag pág págs pags av r tel cap caps par al als arts inc
    ltda cia ed eds obs ex aprox nº n° nºs n°s nr núm num proc cód cod fl fls ss segs cf eng arq adv desemb rev
    tít tit dep dept jan fev feb abr apr jun jul aug ago sept oct nov dec ph.d ref refs univ ass tb mun"""
)
BULLET = re.compile(r"^\s*(?:[-*•–·▪◦●■]|\d{1,3}[.)]|[a-zA-Z][.)])\s+")
MARKUP = re.compile(r"^\s*(?:#{1,6}\s+|>\s+|[-*•–·▪◦●■]\s+)+")
END = re.compile(r"(?<![.!?…])[.!?…]+[\"'”’)\]]*(?=\s)")
ORDINAL = re.compile(r"(?:\d{1,3}\.){0,4}\d{1,3}", re.ASCII)
LONGEST_NUMBER = 20
CLOSING = "\"'”’»)]"
LONGEST_HEADING = 90
SHORTEST_WRAPPED = 25  # Characters of a line that is no heading but goes on.


Span: TypeAlias = tuple[int, int]


class Sentence(msgspec.Struct, frozen=True):
    """``text`` has single spaces, else it is as written.

    A ``heading`` (or a question) says what follows it is about and is no answer. A ``line`` stands alone without a full
    stop: it may be a heading, or a row of a table.
    """

    text: str
    kind: Literal["text", "line", "heading"] = "text"

    @property
    def cells(self) -> int:
        """How many columns a row of a table has; 1 for what is none."""
        return self.text.strip("| ").count(" | ") + 1


def sentences(passage: str) -> list[Sentence]:
    found: list[Sentence] = []
    for block in blocks(passage):
        text = " ".join(MARKUP.sub("", block).split())
        if not text:
            continue
        parts = [text] if " | " in text else split(text)
        if block.lstrip().startswith("#"):
            found.append(Sentence(text, "heading"))
        elif len(parts) == 1 and is_line(text) and not BULLET.match(block):
            found.append(Sentence(text, "heading" if text.endswith("?") else "line"))
        else:
            found += [Sentence(part, "heading" if part.endswith("?") else "text") for part in parts]
    return found


def blocks(passage: str) -> list[str]:
    """Paragraphs, items, rows and headings. A line that was only wrapped goes on in the next."""
    lines = passage.splitlines()
    widest = max((len(line) for line in lines), default=0)
    found: list[str] = []
    open_block = False
    last = ""  # The last line that is not blank.
    for line in lines:
        if not line.strip():
            open_block = False
            continue
        if (not breaks(last, line, widest)) if open_block else goes_on(last, line):
            found[-1] += "\n" + line
        else:
            found.append(line)
        open_block, last = True, line
    return found


def breaks(line: str, following: str, widest: int) -> bool:
    """Whether a new block begins between two lines."""
    if (" | " in line and " | " in following) or (figured(line) and figured(following)):
        return True
    if BULLET.match(following) or following.lstrip().startswith(("#", "|")) or line.lstrip().startswith("#"):
        return True
    begins = following.lstrip()[:1]
    if begins.islower() or line.rstrip().endswith((",", ";", "-", "(")) or len(line.split()) < 1:
        return False
    return len(line.rstrip()) < 0.6 * widest or ("\t" in line and "\t" in following)


def figured(line: str) -> bool:
    """Whether the line is short and much of it figures, as the rows of tables are."""
    words = line.split()
    figures = sum(any(letter.isdigit() for letter in word) for word in words)
    return len(words) <= 12 and figures >= 2 and 3 * figures >= len(words)


def split(text: str) -> list[str]:
    """Sentences of one block."""
    found: list[str] = []
    start = 0
    capitals = any(letter.isupper() for letter in text)
    for match in END.finditer(text):
        after = text[match.end() :].lstrip()[:1]
        if match.group().startswith(".") and abbreviated(text[start : match.start()]):
            continue
        if capitals and after.islower():
            continue
        found.append(text[start : match.end()].strip())
        start = match.end()
    found.append(text[start:].strip())
    return [part for part in found if part]


def abbreviated(text: str) -> bool:
    """Whether a full stop behind this belongs to its last word and ends no sentence."""
    words = text[-20:].split()
    last = words[-1].strip("(\"'“‘").lower() if words else ""
    initials = last.split(".")  # S.A., p.ex, a single letter.
    if last in ABBREVIATIONS or all(len(part) == 1 and part.isalpha() for part in initials):
        return True
    return len(text) < LONGEST_NUMBER and len(words) == 1 and bool(ORDINAL.fullmatch(last))  # “2. Price”, a list's.


def goes_on(line: str, following: str) -> bool:
    """Whether a sentence goes on after the end of a paragraph or page: nothing ended it, what follows begins small."""
    line, following = line.rstrip(), following.lstrip()
    if not line or not following or "|" in line or BULLET.match(following) or following.startswith(("#", "|")):
        return False
    if line[-1] == ".":
        return abbreviated(line[:-1])
    if line[-1] in "!?…:;" or (line[-1] in CLOSING and len(line) > 1 and line[-2] in ".!?…"):
        return False
    last = line.split()[-1]
    if line[-1] in ",-–" or (last.islower() and is_small(fold(last))):
        return True
    return following[0].islower() and len(line) >= SHORTEST_WRAPPED


def over_pages(text: str, breaks: Iterable[int]) -> str:
    """The text with a space for each line break at a page's end after which its last sentence goes on.

    :param breaks: the characters at which pages begin. Where no sentence goes on, an empty line stands before them.
    """
    for place in breaks:
        if text[place - 1 : place] == "\n" and text[place - 2 : place - 1] not in ("", "\n"):
            text = f"{text[: place - 1]} {text[place:]}"
    return text


def literally(words: str, passage: str) -> Span | None:
    """Where the passage reads so; line breaks and runs of spaces count as one space."""
    pattern = r"\s+".join(re.escape(word) for word in words.split())
    found = re.search(pattern, passage) if pattern else None
    return found.span() if found else None


def is_line(text: str) -> bool:
    short = len(text) <= LONGEST_HEADING and len(text.split()) <= 12
    return short and text[-1] not in '.!…;,")”' and not any(mark in text for mark in (": ", " | ", "; "))
