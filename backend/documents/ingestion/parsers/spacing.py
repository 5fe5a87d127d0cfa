"""Derives text from the positions of characters: wide gaps, letter-spaced words, superscript and subscript figures.

An edit replaces a character: by nothing for a space within a letter-spaced word, by ``^1`` for a superscript figure.
"""

import re
from collections.abc import Iterator, Sequence, Set
from itertools import pairwise
from operator import sub
from statistics import median

from .glyphs import HYPHEN, Glyphs

Edits = dict[int, str]

WIDE = 0.9  # Of the height of print: a gap that no space between words has.
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_GAP = re.compile(f"(?<=[^\\s{HYPHEN}])[^\\S\r\n]+(?=[^\\s{HYPHEN}])")
_PDFIUM_LINE = re.compile(f"[^\r\n{HYPHEN}]+")
_BREAK = re.compile(r"(?<=\S) ?\r\n ?(?=\S)")
_SPACED = re.compile(r"(?<!\S)\S{1,2}(?: +\S{1,2}){3,}(?!\S)")
_VOWEL = re.compile("[aeiouyáéíóúâêôãõàü]", re.IGNORECASE)
_FIGURES = re.compile("(?<=[^\\s])( {0,2})([-+\u2212]?[0-9]+)")
_BESIDE_FIGURES = re.compile(
    "(?<=[0-9%)])[^\\S\r\n]+(?=[^\\s\ufffe])|(?<=[^\\s\ufffe])[^\\S\r\n]+(?=[-+\u2212($€£]?[0-9])"
)
_FIGURE = re.compile(r"[-+\u2212($€£]?[0-9][0-9.,]*(?: [0-9]{3}(?![0-9]))*[)%]?")
_NARROW, _WIDER = 0.4, 1.4  # Of the height of print, and of a usual space: what is wider divides figures.
_WIDEST_SPACE = 0.6  # Of the height of print, as typewriters have it.
_JUMP = 4.0  # Points.
_RAISED, _LOWERED = 0.12, -0.08  # Of the height of print before it.


def cuts(glyphs: Glyphs, edits: Edits, apart: Sequence[int] = ()) -> list[tuple[int, int, bool]]:
    """Gaps that divide print: first and last position, and whether what follows is in another line of print.

    :param apart: positions after figures that what follows is no part of.
    """
    narrow = list(_beside_figures(glyphs, edits, set(apart)))
    found = {start: (start, after, False) for start, after in narrow if _between_figures(glyphs.text, start, after)}
    found.update({gap[0]: gap for gap in _wide_gaps(glyphs, edits)})
    if len(found) > 1:
        edges = [edge for start, after, below in found.values() if not below for edge in _edges(glyphs, start, after)]
        for start, after in narrow:
            if start not in found and any(map(edges.__contains__, _edges(glyphs, start, after))):
                found[start] = (start, after, False)
    return sorted([*found.values(), *_jumps(glyphs)])


def _between_figures(text: str, start: int, after: int) -> bool:
    return text[start - 1].isdigit() and text[after].isdigit()


def _edges(glyphs: Glyphs, start: int, after: int) -> Iterator[tuple[str, int]]:
    """Where the cell after a gap begins, and where its figures end, in points: cells of a column have one in common."""
    yield "left", round(glyphs.left[after])
    if figures := _FIGURE.match(glyphs.text, after):
        yield "right", round(glyphs.right[figures.end() - 1])


def _beside_figures(glyphs: Glyphs, edits: Edits, apart: Set[int]) -> Iterator[tuple[int, int]]:
    """Gaps beside figures that are wider than a space: 12 and 345 000 side by side are not 12 345 000.

    Those between figures divide them in any case; those beside a word do where cells of a column begin or end.
    """
    for gap in _BESIDE_FIGURES.finditer(glyphs.text):
        start, after = gap.span()
        before = start - 1
        height = glyphs.top[before] - glyphs.bottom[before]
        width = glyphs.left[after] - glyphs.right[before]
        if start in apart:
            yield start, after
        elif height > 0 and start not in edits and width > _NARROW * height:
            line = _line_around(glyphs.text, start)
            if width > _WIDER * _usual_gap(glyphs, line, start):
                yield start, after


def _line_around(text: str, position: int) -> tuple[int, int]:
    start = text.rfind("\n", 0, position) + 1
    end = text.find("\r", position)
    return start, len(text) if end < 0 else end


def _usual_gap(glyphs: Glyphs, line: tuple[int, int], start: int) -> float:
    """The width of a space here: that of its font, or the median between words of the line, which may be justified."""
    height = glyphs.top[start - 1] - glyphs.bottom[start - 1]
    space = min(glyphs.right[start] - glyphs.left[start], _WIDEST_SPACE * height)
    widths = []
    for gap in _GAP.finditer(glyphs.text, *line):
        before, after = gap.start() - 1, gap.end()
        if not (glyphs.text[before].isdigit() or glyphs.text[after].isdigit()):
            width = glyphs.left[after] - glyphs.right[before]
            if 0 < width < WIDE * height:
                widths.append(width)
    return max(space, median(widths) if widths else 0.0)


def _wide_gaps(glyphs: Glyphs, edits: Edits) -> Iterator[tuple[int, int, bool]]:
    text, left, right, top, bottom = glyphs.text, glyphs.left, glyphs.right, glyphs.top, glyphs.bottom
    for gap in _GAP.finditer(text):
        start, after = gap.span()
        before = start - 1
        low = bottom[before]
        height = top[before] - low
        if bottom[after] == low and -height < left[after] - right[before] < WIDE * height:  # As most are.
            continue
        if height <= 0 or start in edits:  # Turned print; a spaced word.
            continue
        overlap = min(top[before], top[after]) - max(bottom[before], bottom[after])
        if overlap < 0.4 * min(height, top[after] - bottom[after]):
            yield start, after, True
        elif text[before] == "." == text[max(0, before - 2)]:  # Dots that lead to a page number.
            continue
        elif max(left[after] - right[before], left[before] - right[after]) > WIDE * height:
            yield start, after, False


def _jumps(glyphs: Glyphs) -> Iterator[tuple[int, int, bool]]:
    """Where text continues in another line without a space between."""
    text, top, bottom = glyphs.text, glyphs.top, glyphs.bottom
    for line in _PDFIUM_LINE.finditer(text):
        start, end = line.span()
        if max(bottom[start:end]) - min(bottom[start:end]) > _JUMP:
            steps = map(sub, bottom[start + 1 : end], bottom[start:end])
            for after in [at for at, step in enumerate(steps, start + 1) if step > _JUMP or step < -_JUMP]:
                spaced = text[after - 1].isspace() or text[after].isspace()
                if not spaced and _far(top, bottom, after - 1, after):
                    yield after, after, True


def _far(top: Sequence[float], bottom: Sequence[float], before: int, after: int) -> bool:
    """Whether two characters do not overlap vertically."""
    lower = min(top[before] - bottom[before], top[after] - bottom[after])
    return lower > 0 and min(top[before], top[after]) < max(bottom[before], bottom[after])


def join_broken_lines(glyphs: Glyphs) -> Edits:
    """Line breaks that PDFium sees within a line of print, before or after raised figures, become spaces."""
    edits: Edits = {}
    positions: list[int] = []
    for found in _BREAK.finditer(glyphs.text):
        before, after = found.start() - 1, found.end()
        height = glyphs.top[before] - glyphs.bottom[before]
        apart = glyphs.left[after] - glyphs.right[before]
        if not -0.2 * height < apart < WIDE * height:
            continue
        overlap = min(glyphs.top[before], glyphs.top[after]) - max(glyphs.bottom[before], glyphs.bottom[after])
        if overlap > 0.4 * min(height, glyphs.top[after] - glyphs.bottom[after]) > 0:
            positions += range(*found.span())
            if apart < 0.15 * height:
                edits.update(dict.fromkeys(range(*found.span()), ""))
    if positions:
        glyphs.blank(positions)
    return edits


def spaced_words(glyphs: Glyphs) -> Edits:
    """Spaces within words whose letters are spaced, as C O N T R A C T."""
    edits: Edits = {}
    for run in _SPACED.finditer(glyphs.text):
        letters = [position for position in range(*run.span()) if glyphs.text[position] != " "]
        written = "".join(glyphs.text[position] for position in letters)
        if sum(map(str.isalpha, written)) < max(4, 0.7 * len(written)) or not _VOWEL.search(written):
            continue
        if written == "".join(sorted(written)):  # A B C D: a list.
            continue
        first = letters[0]
        height = glyphs.top[first] - glyphs.bottom[first]
        gaps = [glyphs.left[after] - glyphs.right[before] for before, after in pairwise(letters)]
        usual = median(gaps)
        if not 0.05 * height < usual < 1.5 * height or not _even(gaps, usual):
            continue
        narrow = usual < 0.32 * height  # As wide as a space: only capitals are surely one word.
        if narrow and " " * 2 not in run[0] and not ((written.isupper() and len(written) > 4) or written.istitle()):
            continue
        for (before, after), gap in zip(pairwise(letters), gaps, strict=True):
            if gap < 1.6 * usual:
                edits.update(dict.fromkeys(range(before + 1, after), ""))
            elif after - before > 1:
                edits[before + 1] = " "
    return edits


def _even(gaps: Sequence[float], usual: float) -> bool:
    """Whether most gaps are equal; wider ones are between words."""
    near = sum(0.6 * usual <= gap <= 1.4 * usual for gap in gaps)
    return 4 * near >= 3 * len(gaps) and not any(gap < 0.5 * usual for gap in gaps)


def raised_figures(glyphs: Glyphs) -> Edits:
    """Figures above or below the line that would be read as part of what is before: 300 and its note 1."""
    edits: Edits = {}
    text, top, bottom = glyphs.text, glyphs.top, glyphs.bottom
    for found in _FIGURES.finditer(text):
        first, end = found.span(2)
        for position in range(first, end):
            before = position - 1 - (len(found[1]) if position == first else 0)
            if bottom[position] == bottom[before]:
                continue
            height, own = top[before] - bottom[before], top[position] - bottom[position]
            if height <= 0 or own <= 0 or text[before] in HYPHEN + "\r\n":
                continue
            rise = (glyphs.baseline(position) - glyphs.baseline(before)) / height
            if own > 1.1 * height or abs(rise) > 0.9 or glyphs.left[position] < glyphs.left[before]:
                continue
            if rise > _RAISED and (own < 0.95 * height or rise > 0.2):
                mark = "^"
            elif rise < _LOWERED and own < 0.95 * height and text[before].isdigit():
                mark = "_"
            else:
                continue
            apart = glyphs.left[position] - glyphs.right[before]
            if apart > 0.3 * height or text[before] in "^_/\u2044":
                continue
            edits[position] = mark + text[position]
            if position == first:
                edits.update(dict.fromkeys(range(*found.span(1)), ""))
    return edits


def reads_left_to_right(text: str) -> bool:
    return text.isascii() or not _RIGHT_TO_LEFT.search(text)
