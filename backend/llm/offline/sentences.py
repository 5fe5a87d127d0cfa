"""Cuts a passage into sentences, list items and headings, each a literal stretch of its text."""

import re
from typing import Literal

import msgspec

from backend.llm.prose import BULLET, abbreviated, goes_on

MARKUP = re.compile(r"^\s*(?:#{1,6}\s+|>\s+|[-*•–·▪◦●■]\s+)+")
END = re.compile(r"(?<![.!?…])[.!?…]+[\"'”’)\]]*(?=\s)")
MAX_HEADING_CHARACTERS = 90


class Sentence(msgspec.Struct, frozen=True):
    """``text`` has single spaces, else it is as written.

    A ``heading`` (or a question) names the subject of what follows and is no answer. A ``line`` stands alone without a
    full stop: it may be a heading, or a row of a table.
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


def is_line(text: str) -> bool:
    short = len(text) <= MAX_HEADING_CHARACTERS and len(text.split()) <= 12
    return short and text[-1] not in '.!…;,")”' and not any(mark in text for mark in (": ", " | ", "; "))
