"""Finds the citation markers of an answer in Markdown (CommonMark 0.31) while it arrives, in pieces cut anywhere.

A marker is one or more numbers in brackets, as models write them: ``[1]``, ``[1, 2]``, ``[1-3]``, ``[^1]``, ``【1】``,
``【1†source】`` (OpenAI), ``［1］``. None stands within code (a fenced or indented block, a span in backticks), and
neither a link ``[1](address)`` nor a definition ``[1]: address`` is one. The work grows with the answer's length,
whatever it holds: the scanner keeps only what it cannot decide yet.
"""

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from backend.agents.answers.blocks import Blocks, Line

MAX_LIST_CHARACTERS = 80  # Characters between the brackets.
MAX_RANGE_NUMBERS = 20  # Numbers that [1-20] stands for.
MAX_OPEN_BRACKETS = 100  # Brackets in brackets.
MAX_PREFIX_CHARACTERS = 256  # Characters at the start of a line that may decide what the line is.

_LIST = r"\d{1,3}(?:[ \t\u00a0]?[,;、，][ \t\u00a0]?\d{1,3})*"
_RANGE = r"\d{1,3}[ \u00a0]?[-–][ \u00a0]?\d{1,3}"
_NUMBERS = rf"(?:{_LIST}|{_RANGE})"
# Every form, also where it is no citation: what a claim is read without.
MARKER = re.compile(
    rf"\[\^?(?:(?a:{_NUMBERS}))\^?\]|［{_NUMBERS}］|【{_NUMBERS}(?:†[^】\n]{{0,{MAX_LIST_CHARACTERS}}})?】",
)
_SPECIAL = re.compile(r"[\n\\`\[\]【［]")
_TICKS = re.compile(r"`+")
_CLOSING = {"[": "]", "［": "］", "【": "】"}
_INNER = frozenset("0123456789,;、，-–^ \t\u00a0")
_SEPARATOR = re.compile(r"[,;、，]")


# The markers found on the way; at its end, whether reading can continue or depends on what has not arrived.
Steps: TypeAlias = Generator["Marker", None, bool]


@dataclass(frozen=True, slots=True)
class Marker:
    """Where a marker stands in the text, in characters (code points), and the numbers that it names.

    :ivar is_range: its numbers stand for a range, so that it is a citation only if all of them name sources.
    """

    start: int
    end: int
    numbers: tuple[int, ...]
    is_range: bool = False


class MarkerScanner:
    """Reads one text. What it finds depends on the text alone, not on how it is cut."""

    def __init__(self) -> None:
        self._text, self._at = "", 0  # What is not read yet begins at ``_at``.
        self._base = 0  # Where ``_text`` begins in the whole text.
        self._before = ""  # The character before ``_text``.
        self._blocks = Blocks()
        self._line_begins = True
        self._line: Line | None = None
        self._word_at = -1  # Where the current line's first word begins in the whole text.
        self._run: tuple[int, int] | None = None  # A run of backticks that may continue: where it begins, its length.
        # From a run of backticks on that has not been closed yet: the runs, and the markers that are code if it is.
        self._runs: list[tuple[int, int]] = []
        self._held: list[Marker] = []
        # Markers in brackets that have not closed yet: they are the words of a link if "(" follows; and how many such
        # markers there were when each of these brackets opened.
        self._bracketed: list[Marker] = []
        self._open: list[int] = []
        self._open_before_code = 0
        self._last_end = -1  # Of the last thing in brackets that looks like a marker.

    @property
    def needed_from(self) -> int:
        """Where the needed text begins: at the earliest marker that may yet be found, else where reading continues."""
        return min([self._base + self._at, *(marker.start for marker in (*self._held[:1], *self._bracketed[:1]))])

    def feed(self, text: str) -> list[Marker]:
        """The markers that are certain with this piece."""
        self._text += text
        found = list(self._read(final=False))
        if self._at:
            self._before = self._text[self._at - 1]
            self._base, self._text, self._at = self._base + self._at, self._text[self._at :], 0
        return found

    def finish(self) -> list[Marker]:
        """The markers that were uncertain until the end of the text."""
        return [*self._read(final=True), *self._end_paragraph()]

    def _read(self, *, final: bool) -> Iterator[Marker]:
        while self._at < len(self._text) or (final and self._run):
            if self._line_begins:
                if not (yield from self._begin_line(final=final)):
                    return
            elif self._line is Line.LITERAL:
                self._skip_line()
            elif not (yield from self._read_inline(final=final)):
                return

    def _begin_line(self, *, final: bool) -> Steps:
        window = self._text[self._at : self._at + MAX_PREFIX_CHARACTERS]
        line = window.partition("\n")[0]
        whole = final or len(line) < len(window) or len(window) == MAX_PREFIX_CHARACTERS
        begun = self._blocks.begin(line, whole=whole)
        if begun is None:
            return False
        if begun.ends_paragraph:
            yield from self._end_paragraph()
        self._line, self._line_begins = begun.kind, False
        self._at += begun.skip
        self._word_at = self._base + self._at
        return True

    def _skip_line(self) -> None:
        end = self._text.find("\n", self._at)
        self._line_begins = end >= 0
        self._at = end + 1 if end >= 0 else len(self._text)

    def _read_inline(self, *, final: bool) -> Steps:
        """Up to the next special character and over it."""
        if self._run:
            return self._read_run(final=final)
        special = _SPECIAL.search(self._text, self._at)
        if special is None:
            self._at = len(self._text)
            return True
        at = self._at = special.start()
        match special[0]:
            case "\n":
                self._at, self._line_begins = at + 1, True
                if self._line is Line.HEADING:
                    yield from self._end_paragraph()
            case "`":
                self._run = (self._base + at, 0)
            case "]":
                return (yield from self._close_bracket(at, final=final))
            case "\\" if self._runs:  # Within code a backslash is one.
                self._at = at + 1
            case "\\":
                if at + 1 == len(self._text) and not final:
                    return False
                escaped = self._text[at + 1 : at + 2]
                self._at = at + 1 if escaped == "\n" else min(at + 2, len(self._text))
            case _:
                return (yield from self._read_bracket(at, final=final))
        return True

    def _read_run(self, *, final: bool) -> bool:
        assert self._run is not None  # noqa: S101  # The caller looked.
        start, length = self._run
        if ticks := _TICKS.match(self._text, self._at):
            length += len(ticks[0])
            self._at = ticks.end()
        self._run = (start, length)
        if self._at == len(self._text) and not final:
            return False
        self._run = None
        if not self._runs:
            self._open_before_code = len(self._open)
        self._runs.append((start, length))
        if len(self._runs) > 1 and length == self._runs[0][1]:
            self._runs, self._held = [], []  # It was code.
            del self._open[self._open_before_code :]
        return True

    def _read_bracket(self, at: int, *, final: bool) -> Steps:
        end = self._closing(at, final=final)
        if end is None:
            return False
        self._at = at + 1
        found = self._marker(at, end) if end else None
        if found is None:
            if self._text[at] == "[" and len(self._open) < MAX_OPEN_BRACKETS:
                self._open.append(len(self._bracketed))
            return True
        following = self._text[end : end + 1] if self._text[at] == "[" else "."
        if not following and not final:
            self._at = at
            return False
        self._at = end
        after_link = self._before_is_bracket(at) and self._last_end != found.start
        self._last_end = found.end
        if following == ":" and found.start == self._word_at:
            self._line = Line.LITERAL  # A definition; the rest of the line is its address.
        elif following != "(" and not after_link:
            if self._runs:
                self._held.append(found)
            elif self._open:
                self._bracketed.append(found)
            else:
                yield found
        return True

    def _close_bracket(self, at: int, *, final: bool) -> Steps:
        if not self._open or self._runs:
            self._at = at + 1
            return True
        if at + 1 == len(self._text) and not final:
            return False
        self._at = at + 1
        first = self._open.pop()
        if self._text[at + 1 : at + 2] == "(":
            del self._bracketed[first:]
        if not self._open:
            yield from self._bracketed
            self._bracketed = []
        return True

    def _closing(self, at: int, *, final: bool) -> int | None:
        """Where the bracket at ``at`` closes, as far as it can be a marker's; 0 if it is none's, None if unknown."""
        closing = _CLOSING[self._text[at]]
        labelled = False
        limit = at + 2 * MAX_LIST_CHARACTERS
        for place in range(at + 1, min(len(self._text), limit)):
            character = self._text[place]
            if character == closing:
                return place + 1
            labelled = labelled or (character == "†" and closing == "】")
            if character == "\n" or not (labelled or character in _INNER or character.isdecimal()):
                return 0
        return 0 if final or len(self._text) >= limit else None

    def _marker(self, at: int, end: int) -> Marker | None:
        if not MARKER.fullmatch(self._text, at, end):
            return None
        inner = self._text[at + 1 : end - 1].partition("†")[0].strip("^")
        start, end = self._base + at, self._base + end
        if _SEPARATOR.search(inner) or not re.search("[-–]", inner):
            return Marker(start, end, tuple(int(number) for number in _SEPARATOR.split(inner)))
        first, last = (int(number) for number in re.split("[-–]", inner))
        if not first < last < first + MAX_RANGE_NUMBERS:
            return None
        return Marker(start, end, tuple(range(first, last + 1)), is_range=True)

    def _before_is_bracket(self, at: int) -> bool:
        return (self._text[at - 1] if at else self._before) == "]"

    def _end_paragraph(self) -> Iterator[Marker]:
        """What was held back: code after all between two runs of one length (CommonMark 6.1), else markers."""
        runs, held = self._runs, sorted([*self._bracketed, *self._held], key=lambda marker: marker.start)
        self._runs, self._held, self._bracketed, self._open = [], [], [], []
        following: dict[int, int] = {}
        closings: list[int | None] = [None] * len(runs)
        for place in reversed(range(len(runs))):
            closings[place] = following.get(runs[place][1])
            following[runs[place][1]] = place
        code: list[tuple[int, int]] = []
        place = 0
        while place < len(runs):
            closing = closings[place]
            if closing is not None:
                code.append((runs[place][0], runs[closing][0]))
            place = place + 1 if closing is None else closing + 1
        spans = iter([*code, (-1, -1)])
        start, end = next(spans)
        for marker in held:
            while -1 < end < marker.start:
                start, end = next(spans)
            if not start < marker.start < end:
                yield marker
