"""Writes superscripts and subscripts, such as note marks, powers and indices, in plain text.

A superscript figure after a number must not become its last digit: 300 with the note mark 1 is not 3001. Readers put
``UP`` or ``DOWN`` before such a piece, or ``NOTE`` if it is known to be the mark of a note, and ``END`` after it.
``spelled`` replaces these marks once the surrounding text is known.
"""

import re

UP, DOWN, END, NOTE = "\ufdd0", "\ufdd1", "\ufdd2", "\ufdd3"  # Noncharacters; ``cleaning`` removes them.
_MARKS = re.compile(f"([{UP}{DOWN}{NOTE}{END}])")
_FRACTION = re.compile(f"(?<=[0-9]){UP}([0-9]{{1,9}}){END}[/⁄]{DOWN}([0-9]{{1,9}}){END}")
_WITHOUT = dict.fromkeys(map(ord, (UP, DOWN, NOTE, END)))
_SUPERSCRIPTS = str.maketrans("0123456789+-−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻")
_POWER = re.compile(r"[+\-−]?[0-9]{1,3}[+\-−]?")
_SIMPLE = re.compile(r"[+\-−*]?[\w.]+[+\-−*]?")
_UNIT = re.compile(r"(?:^|[\W\d_])[^\W\d_]{1,2}$")
_ORDINALS = {"st", "nd", "rd", "th", "er", "re", "ère", "ème", "e", "me", "o", "a", "os", "as", "º", "ª"}
_SIGNS = {"tm": "™", "sm": "℠"}
_LOOK_BACK = 8  # Characters.


def without_marks(text: str) -> str:
    """Remove these marks from the text of a file."""
    return text if text.isascii() else text.translate(_WITHOUT)


def spelled(text: str) -> str:
    """The text with superscripts and subscripts in plain characters: ``300^1``, ``m²``, ``H2O``, ``1st``, ``x_i``."""
    if not any(mark in text for mark in (UP, DOWN, NOTE)):
        return text
    text = _FRACTION.sub(r" \1/\2", text)
    open_pieces: list[tuple[str, _Text]] = [("", _Text())]
    for piece in _MARKS.split(text):
        if piece in (UP, DOWN, NOTE):
            open_pieces.append((piece, _Text()))
        elif piece == END:
            _close(open_pieces)
        elif piece:
            open_pieces[-1][1].add(piece)
    while len(open_pieces) > 1:
        _close(open_pieces)
    return str(open_pieces[0][1])


class _Text:
    """A text that grows at its end."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.end = ""
        self.after_mark = False  # The last piece is a superscript or subscript.

    def add(self, piece: str, *, mark: bool = False) -> None:
        first, last = piece[0], self.end[-1:]
        if self.after_mark and ((first.isdigit() and last.isdigit()) or (first.isalpha() and last.isalpha())):
            self.parts.append(" ")
        self.parts.append(piece)
        self.end = (self.end + piece[-_LOOK_BACK:])[-_LOOK_BACK:]
        self.after_mark = mark

    def __str__(self) -> str:
        return "".join(self.parts)


def _close(open_pieces: list[tuple[str, _Text]]) -> None:
    if len(open_pieces) == 1:
        return
    kind, text = open_pieces.pop()
    around = open_pieces[-1][1]
    content = str(text)
    if not content.strip():
        if content:
            around.add(content)
        return
    before, content, after = _stripped(content)
    if before:
        around.add(before)
    written = f"^{content}" if kind == NOTE else (_raised if kind == UP else _lowered)(content, around.end)
    around.add(written, mark=True)
    if after:
        around.add(after)


def _stripped(text: str) -> tuple[str, str, str]:
    """The white space before a text, the text, and the white space after it."""
    content = text.strip()
    start = text.index(content)
    return text[:start], content, text[start + len(content) :]


def _raised(content: str, before: str) -> str:  # noqa: PLR0911  # One case per kind of mark.
    last = before[-1:]
    small = content.lower().rstrip(".")
    if small in _SIGNS:
        return _SIGNS[small]
    if not content[0].isalnum() and content[0] not in "+-−":  # [1], (a), *, ™
        return content
    if small in _ORDINALS and (last.isdigit() or (last in ("I", "V", "X", "L", "C") and small not in ("a", "o"))):
        return {"o": "º", "a": "ª"}.get(content, content)
    if small == "o" and last in ("n", "N"):
        return "º"
    if content.isalpha() and content.islower() and len(content) > 1 and last.isalpha():  # Mme, Cie
        return content
    if _POWER.fullmatch(content) and _UNIT.search(before):  # m², mc²
        return content.translate(_SUPERSCRIPTS)
    return "^" + (content if _SIMPLE.fullmatch(content) else f"({content})")


def _lowered(content: str, before: str) -> str:
    last = before[-1:]
    if not content[0].isalnum() or (content.isdigit() and not last.isdigit()):  # H2O, Ca(OH)2
        return content
    return "_" + (content if _SIMPLE.fullmatch(content) else f"({content})")
