"""Computes the numbers of paragraphs, which are not stored in the file (ECMA-376, part 1, 17.9)."""

import re
from typing import NamedTuple

from ..list_numbers import alphabetic, roman
from .styles import Styles
from .xml import MC, Element, W, children, find, is_on, number, value

_LEVELS = 9
_REFERENCE = re.compile(r"%([1-9])")
_ORDINALS = {
    "en": (
        "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
        "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
    ),
    "pt": (
        "primeiro segundo terceiro quarto quinto sexto sétimo oitavo nono décimo décimo_primeiro décimo_segundo "
        "décimo_terceiro décimo_quarto décimo_quinto décimo_sexto décimo_sétimo décimo_oitavo décimo_nono vigésimo"
    ),
}
_CARDINALS = {
    "en": (
        "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
        "eighteen nineteen twenty"
    ),
    "pt": (
        "um dois três quatro cinco seis sete oito nove dez onze doze treze catorze quinze dezesseis dezessete dezoito "
        "dezenove vinte"
    ),
}


class Level(NamedTuple):
    start: int
    written: str  # As ``w:numFmt`` names it.
    pattern: str  # Digits, for ``custom``: 001.
    text: str
    restart: int | None  # The highest level, from 1, whose use does not restart this one is below it; 0: never.
    legal: bool
    suffix: str
    style: str
    hidden: bool


class _List(NamedTuple):
    """A ``w:num``: one use of the levels of a ``w:abstractNum``."""

    abstract: str
    levels: dict[int, Level]
    starts: dict[int, int]


class Numbering:
    """The lists of a document."""

    def __init__(self, root: Element | None, styles: Styles) -> None:
        self._styles = styles
        self._language = styles.language.partition("-")[0].lower()
        abstract = {value(one, "abstractNumId"): one for one in children(root, W + "abstractNum")}
        nums = {value(one, "numId"): one for one in children(root, W + "num")}
        self._abstract_levels: dict[str, dict[int, Level]] = {}
        self._lists: dict[str, _List] = {}
        self._of_style: dict[str, tuple[str, int]] = {}
        links = {value(find(one, "styleLink")): one for one in abstract.values() if find(one, "lvl") is not None}
        for name, one in abstract.items():
            link = value(find(one, "numStyleLink"))
            if link and find(one, "lvl") is None:
                # A list that another names by a style of lists (17.9.21).
                num = nums.get(styles.numbering(link)[1])
                linked = abstract.get(value(find(num, "abstractNumId")), one)
                one = links.get(link, linked)  # noqa: PLW2901
            self._abstract_levels[name] = _levels(one)
        for name, num in nums.items():
            self._lists[name] = self._list(num)

    def _list(self, num: Element) -> _List:
        abstract = value(find(num, "abstractNumId"))
        levels = dict(self._abstract_levels.get(abstract, {}))
        starts: dict[int, int] = {}
        for override in children(num, W + "lvlOverride"):
            level = number(override, -1, "ilvl")
            if (own := find(override, "lvl")) is not None:
                levels[level] = _level(own)
            if (start := find(override, "startOverride")) is not None:
                starts[level] = number(start, 1, longest=10)
        return _List(abstract, levels, starts)

    def place(self, properties: Element | None, style: str) -> tuple[str, int]:
        """The list of a paragraph and its level there; an empty name if it is in none."""
        stated = find(properties, "numPr")
        name, level = value(find(stated, "numId")), find(stated, "ilvl")
        if name:
            return (name, number(level, 0)) if name in self._lists else ("", 0)
        if style not in self._of_style:
            self._of_style[style] = self._place_of(style)
        name, of_style = self._of_style[style]
        return name, of_style if level is None else number(level, 0)

    def _place_of(self, style: str) -> tuple[str, int]:
        """The list of a style of paragraphs, and the level of it that names the style."""
        _style, name, level = self._styles.numbering(style)
        if name not in self._lists:
            return "", 0
        linked = {one.style: index for index, one in self._lists[name].levels.items() if one.style}
        own = (value(one, "styleId") for one in self._styles.line(style))
        found = next((linked[one] for one in own if one in linked), None)
        return name, found if found is not None else number(level, 0)

    def of(self, name: str) -> _List:
        return self._lists[name]

    def written(self, count: int, written: str, pattern: str = "") -> str:  # noqa: PLR0911  # One case per format.
        """A number in one of the formats of ``w:numFmt``; in digits where that is another."""
        if written in ("none", "bullet"):
            return ""
        if written in ("lowerLetter", "upperLetter"):
            # After z Word repeats the letter: aa, bb.
            letters = alphabetic((count - 1) % 26 + 1) * ((count - 1) // 26 + 1) if 0 < count <= 780 else str(count)
            return letters.upper() if written == "upperLetter" else letters
        if written in ("lowerRoman", "upperRoman"):
            letters = roman(count) or str(count)
            return letters.upper() if written == "upperRoman" else letters
        if written == "ordinal":
            return self._ordinal(count)
        if written in ("ordinalText", "cardinalText"):
            words = (_ORDINALS if written == "ordinalText" else _CARDINALS).get(self._language, "").split()
            word = words[count - 1].replace("_", " ").capitalize() if 0 < count <= len(words) else ""
            return word or (self._ordinal(count) if written == "ordinalText" else str(count))
        if written == "decimalZero":
            return f"{count:02}"
        if written == "custom" and pattern.isdigit():
            return f"{count:0{min(len(pattern), 9)}}"
        if written == "decimalEnclosedCircle" and 0 < count <= 20:
            return chr(0x245F + count)
        if written == "numberInDash":
            return f"- {count} -"
        return str(count)

    def _ordinal(self, count: int) -> str:
        if self._language in ("pt", "es", "it", "gl"):
            return f"{count}º"
        if self._language == "fr":
            return f"{count}er" if count == 1 else f"{count}e"
        if self._language in ("en", ""):
            special = {1: "st", 2: "nd", 3: "rd"}.get(count % 10, "th") if count // 10 % 10 != 1 else "th"
            return f"{count}{special}"
        return f"{count}."


class Counter:
    """Counts the paragraphs of one story."""

    def __init__(self, numbering: Numbering) -> None:
        self._numbering = numbering
        self._counts: dict[str, list[int | None]] = {}  # By abstract list: its uses share one count.
        self._begun: set[tuple[str, int]] = set()

    def next(self, name: str, level: int) -> str:
        """The number or bullet of the next paragraph of a list, with the space after it."""
        used = self._numbering.of(name)
        own = used.levels.get(level)
        if own is None or not 0 <= level < _LEVELS:
            return "- " if not used.levels else ""
        counts = self._counts.setdefault(used.abstract, [None] * _LEVELS)
        for index in range(level + 1):
            start = used.levels[index].start if index in used.levels else 1
            count = counts[index]
            begins = index in used.starts and (name, index) not in self._begun
            if begins and (index == level or count is None):
                self._begun.add((name, index))
                counts[index] = used.starts[index]
            elif count is None:
                counts[index] = start
            elif index == level:
                counts[index] = count + 1
        for index in range(level + 1, _LEVELS):
            restart = used.levels[index].restart if index in used.levels else None
            if restart is None or level < restart:
                counts[index] = None
        if own.hidden:
            return ""
        if own.written == "bullet":
            return "- "
        text = _REFERENCE.sub(lambda found: self._part(used, counts, own, int(found[1]) - 1), own.text).strip()
        return text + ("" if own.suffix == "nothing" and not text[-1:].isalnum() else " ") if text else ""

    def _part(self, used: _List, counts: list[int | None], own: Level, index: int) -> str:
        level = used.levels.get(index)
        count = counts[index]
        if level is None or count is None:
            return ""
        if own.legal and level.written not in ("none", "bullet"):
            return str(count)
        return self._numbering.written(count, level.written, level.pattern)


def _levels(one: Element) -> dict[int, Level]:
    levels = ((number(level, 0, "ilvl"), level) for level in children(one, W + "lvl"))
    return {index: _level(level) for index, level in levels if 0 <= index < _LEVELS}


def _level(level: Element) -> Level:
    written = find(level, "numFmt")
    if written is None:
        written = next((found for found in level.iterfind(f"{MC}AlternateContent/{MC}Choice/{W}numFmt")), None)
    restart = find(level, "lvlRestart")
    return Level(
        start=number(find(level, "start"), 0, longest=10),
        written=value(written) or "decimal",
        pattern=value(written, "format").partition(",")[0].strip(),
        text=value(find(level, "lvlText")),
        restart=None if restart is None else number(restart, 0),
        legal=bool(is_on(find(level, "isLgl"))),
        suffix=value(find(level, "suff")) or "tab",
        style=value(find(level, "pStyle")),
        hidden=bool(is_on(find(level, "rPr", "vanish"))),
    )
