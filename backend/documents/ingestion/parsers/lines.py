"""Joins the lines of a PDF page to its text."""

from collections.abc import Sequence, Set
from dataclasses import dataclass

from .boxes import SCALE, Box
from .hyphens import HYPHENS, joint, words_of

BULLETS = ("•", "- ", "– ")
_ENDS = ".!?…:;"
_LISTED = """a an the of in on at by for to from with within and or that which who is are be must shall may de da do das
    dos em no na nos nas por para com e ou que o as os um uma ao aos à às pelo pela até entre sobre sob é são deve
    será"""
_UNFINISHED = frozenset(_LISTED.split())
_CLOSING = "\"'”’»)]"

Span = tuple[int, int, int, int, int, int]


@dataclass(slots=True)
class Line:
    """A line of a page.

    :ivar hyphenated: a hyphen, which is not in the text, ends the line.
    :ivar row: it is a row of a table, which no other line continues.
    :ivar column: the number of the column of prose that it is in, where there are several side by side.
    """

    text: str
    box: Box | None
    hyphenated: bool
    row: bool = False
    column: int = 0

    def meets(self, other: "Line") -> bool:
        """Whether ``other`` is close below, in print of the same size."""
        if self.box is None or other.box is None:
            return False
        height, other_height = self.box[3] - self.box[1], other.box[3] - other.box[1]
        if min(height, other_height) * 4 < max(height, other_height) * 3:  # Another size of print.
            return False
        far = max(height, other_height) if self.column else height
        near = -height < other.box[1] - self.box[3] < far
        below = other.box[3] > self.box[3]
        return near and below


def compose(lines: list[Line], *, ending: str = "\n\n") -> tuple[str, list[Span]]:
    """A page's text and its lines' boxes and spans.

    :param ending: what ends the page.
    """
    parts: list[str] = []
    size = 0
    spans: list[Span] = []
    known: Set[str] | None = None
    for index, line in enumerate(lines):
        following = lines[index + 1] if index + 1 < len(lines) else None
        text = line.text
        if following is None:
            between = ending
            if ending in ("", "-"):
                text = text.rstrip(HYPHENS)
        elif line.hyphenated or (text[-1] in HYPHENS and not line.row and not _is_dash(text)):
            if known is None:
                known = words_of("\n".join(each.text for each in lines))
            text = text.rstrip(HYPHENS)
            between = joint(text, following.text, known)
        else:
            between = _between(lines, index)
        if line.box is not None:
            spans.append((*line.box, size, size + len(text)))
        parts += (text, between)
        size += len(text) + len(between)
    return "".join(parts), spans


def goes_on(text: str, following: str) -> bool:
    """Whether a sentence continues from the end of one text (a column or a page) at the start of another."""
    end = text.rstrip(_CLOSING)[-1:]
    return bool(end) and end not in _ENDS and following[:1].islower()


def is_unfinished(text: str) -> bool:
    """Whether a text ends with a comma or a word that another one has to follow."""
    return text[-1] == "," or text.rsplit(maxsplit=1)[-1].lower() in _UNFINISHED


def page_ending(lines: Sequence[Line], following: Sequence[Line]) -> str:
    """The separator between the texts of two pages: an empty line, or less where a sentence continues."""
    if not lines or not following or lines[-1].row or following[0].row:
        return "\n\n"
    last, first = lines[-1], following[0].text
    if last.hyphenated or (last.text[-1] in HYPHENS and not _is_dash(last.text)):
        return joint(last.text.rstrip(HYPHENS), first, words_of("\n".join(line.text for line in lines)))
    if first.startswith(BULLETS) or not any(map(str.isalpha, last.text)):  # Such as a page's number.
        return "\n\n"
    return " " if is_unfinished(last.text) or goes_on(last.text, first) else "\n\n"


def _is_dash(text: str) -> bool:
    return text[-2:-1] in ("", " ", *HYPHENS)


def _between(lines: list[Line], index: int) -> str:
    """A space where the paragraph continues, an empty line where there is a gap, else a line break."""
    line, following = lines[index], lines[index + 1]
    if line.row or following.row:
        return "\n" if line.row and following.row else "\n\n" if _gap(line, following) else "\n"
    if line.box is None or following.box is None:
        return "\n"
    if line.meets(following) and not following.text.startswith(BULLETS):
        right = _right_edge(lines, index)
        full = line.box[2] >= right - (right - line.box[0]) // 7
        # The last column of a table may end where a paragraph would.
        return " " if full and not (is_row(line.text) and is_row(following.text)) else "\n"
    if following.box[3] < line.box[1] and following.box[0] > line.box[2] and goes_on(line.text, following.text):
        return " "  # From the end of a column to the next.
    return "\n\n" if _gap(line, following) else "\n"


def _gap(line: Line, following: Line) -> bool:
    if line.box is None or following.box is None:
        return False
    gap = following.box[1] - line.box[3]
    return gap > 0.9 * (line.box[3] - line.box[1]) or gap < -SCALE // 10


def is_row(text: str) -> bool:
    """Whether a line of print may be a row of a table: short, and much of it figures."""
    words = text.split()
    figures = sum(any(letter.isdigit() for letter in word) for word in words)
    return len(words) <= 12 and figures >= 2 and 3 * figures >= len(words)


def _right_edge(lines: Sequence[Line], index: int) -> int:
    """Where the column of this line ends: the furthest right of its neighbours that overlap with it sideways."""
    own, column = lines[index].box, lines[index].column
    if own is None:
        return SCALE
    around = lines[max(0, index - 6) : index + 7]
    near = (line.box for line in around if line.box is not None and line.column == column)
    return max((box[2] for box in near if box[0] < own[2] and own[0] < box[2]), default=own[2])
