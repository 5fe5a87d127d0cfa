"""Reads the block structure of Markdown (CommonMark 0.31), as far as it decides which lines are code.

Line by line: which quotations and list items a line continues, whether it begins or ends a fence, whether its
indentation makes it code.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias

_QUOTATION = 0  # A container; any other number is a list item's, the columns by which its content is indented.
_MAX_CONTAINERS = 32
_FENCE = re.compile(r"`{3,}|~{3,}")
_ITEM = re.compile(r"[-+*]|\d{1,9}[.)]", re.ASCII)
_UNDECIDED_ITEM = re.compile(r"\d{1,9}\Z", re.ASCII)

Place: TypeAlias = tuple[int, int]  # A character of the line and its column, with tabs as wide as CommonMark has them.


class Line(Enum):
    TEXT = auto()
    HEADING = auto()  # Text that no later line continues.
    LITERAL = auto()  # Code, or a fence, or blank: nothing in it means anything.


@dataclass(frozen=True, slots=True)
class Begun:
    """:ivar skip: characters before the text of the line.
    :ivar ends_paragraph: the paragraph of the line before ends with that line.
    """

    kind: Line
    skip: int
    ends_paragraph: bool


class Blocks:
    def __init__(self) -> None:
        self._containers: list[int] = []
        self._fence = ""  # The run that began it; none outside.
        self._fence_level = 0  # How many containers it is in.
        self._paragraph = False  # The line before was text that this one may continue.
        self._bare = False  # The line before began an item and nothing in it: a blank line ends it.

    def begin(self, line: str, *, whole: bool) -> Begun | None:
        """What the line is; None if that depends on what follows.

        :param whole: the line ends here, or was read far enough to be judged.
        """
        matched, at, base = self._goes_on(line)
        start, column = at
        if start == len(line) and not whole:
            return None
        if self._fence and matched >= self._fence_level:
            return self._within_fence(line[start:], deep=column - base >= 4, whole=whole)
        self._fence = ""
        if start == len(line):
            matched -= self._bare and matched == len(self._containers)
            self._containers, self._paragraph, self._bare = self._containers[:matched], False, False
            return Begun(Line.LITERAL, 0, ends_paragraph=True)
        return self._new_block(line, at, base, self._containers[:matched], whole=whole)

    def _goes_on(self, line: str) -> tuple[int, Place, int]:
        """How many of the containers the line is in, where its own content begins, and their column."""
        at, base = _over_blanks(line, (0, 0)), 0
        for matched, container in enumerate(self._containers):
            start, column = at
            blank = start == len(line)
            if container == _QUOTATION:
                if blank or line[start] != ">" or column - base > 3:
                    return matched, at, base
                at, base = _into_quotation(line, at)
            elif blank or column - base >= container:
                base += 0 if blank else container
            else:
                return matched, at, base
        return len(self._containers), at, base

    def _within_fence(self, rest: str, *, deep: bool, whole: bool) -> Begun | None:
        run = len(rest) - len(rest.lstrip(self._fence[0]))
        if not deep and run and not rest[run:].strip(" \t"):  # It may be the end.
            if not whole:
                return None
            if run >= len(self._fence):
                self._fence = ""
        return Begun(Line.LITERAL, 0, ends_paragraph=True)

    def _new_block(self, line: str, at: Place, base: int, containers: list[int], *, whole: bool) -> Begun | None:
        """A line outside of fences that is not blank: the containers that it begins, then what is in them."""
        begins, self._bare = False, False
        while True:
            start, column = at
            if start == len(line):
                if not whole:
                    return None
                self._bare = containers[-1] != _QUOTATION
                return self._end(Line.LITERAL, start, containers, fence="")
            if column - base >= 4:
                return self._indented(start, containers, goes_on=self._paragraph and not begins)
            if line[start] == ">" and len(containers) < _MAX_CONTAINERS:
                containers, begins = [*containers, _QUOTATION], True
                at, base = _into_quotation(line, at)
                continue
            item = _ITEM.match(line, start)
            if not whole and (_UNDECIDED_ITEM.match(line, start) or (item and item.end() == len(line))):
                return None
            if item and line[item.end() : item.end() + 1] in ("", " ", "\t") and len(containers) < _MAX_CONTAINERS:
                at, width = _into_item(line, at, item.end(), base)
                if at[0] == len(line) and not whole:
                    return None
                containers, base, begins = [*containers, width], base + width, True
                continue
            break
        return self._leaf(line, start, containers, begins=begins, whole=whole)

    def _indented(self, start: int, containers: list[int], *, goes_on: bool) -> Begun:
        """Code, unless it continues a paragraph."""
        if goes_on:
            return Begun(Line.TEXT, start, ends_paragraph=False)
        return self._end(Line.LITERAL, start, containers, fence="")

    def _leaf(self, line: str, start: int, containers: list[int], *, begins: bool, whole: bool) -> Begun | None:
        if line[start] in "`~":
            run = len(line) - start - len(line[start:].lstrip(line[start]))
            if not whole and (start + run == len(line) or (run >= 3 and line[start] == "`")):
                return None  # Backticks after it on the line make it a span of code and no fence.
            fence = _FENCE.match(line, start)
            if fence and not (line[start] == "`" and "`" in line[fence.end() :]):
                return self._end(Line.LITERAL, start, containers, fence=fence[0])
        if line[start] == "#":
            return self._end(Line.HEADING, start, containers, fence="")
        if self._paragraph and not begins:
            return Begun(Line.TEXT, start, ends_paragraph=False)  # Also as a lazy continuation of its containers.
        self._containers, self._paragraph = containers, True
        return Begun(Line.TEXT, start, ends_paragraph=True)

    def _end(self, kind: Line, start: int, containers: list[int], *, fence: str) -> Begun:
        """A line that ends the paragraph before and begins none."""
        self._containers, self._paragraph = containers, False
        self._fence, self._fence_level = fence, len(containers)
        return Begun(kind, start, ends_paragraph=True)


def _over_blanks(line: str, at: Place) -> Place:
    place, column = at
    while place < len(line) and line[place] in " \t":
        column += 4 - column % 4 if line[place] == "\t" else 1
        place += 1
    return place, column


def _into_quotation(line: str, at: Place) -> tuple[Place, int]:
    """Over ``>`` and one blank that belongs to it; the content's column with it."""
    place, column = at[0] + 1, at[1] + 1
    base = column + (1 if line[place : place + 1] in (" ", "\t") else 0)
    return _over_blanks(line, (place, column)), base


def _into_item(line: str, at: Place, end: int, base: int) -> tuple[Place, int]:
    """Over a list marker; how far the content of its item is indented with it."""
    column = at[1] + end - at[0]
    inner = _over_blanks(line, (end, column))
    blanks = inner[1] - column
    if inner[0] == len(line) or blanks > 4:  # Nothing follows, or code does: its content begins after one blank.
        return inner, column + 1 - base
    return inner, inner[1] - base
