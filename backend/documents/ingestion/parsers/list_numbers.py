"""Counts the items of lists and formats their numbers."""

from lxml import etree

from .stylesheet import Style

_ROMAN = [(1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl")]
_ROMAN += [(10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i")]
_FORMATS = {"a": "lower-alpha", "A": "upper-alpha", "i": "lower-roman", "I": "upper-roman", "1": "decimal"}
_BULLETS = {"disc", "circle", "square"}


class List:
    """An open list: its next number, step and format.

    :ivar written: as the property ``list-style-type`` names it; empty for bullets.
    """

    def __init__(self, *, number: int = 1, step: int = 1, written: str = "", after: str = ".") -> None:
        self.number = number
        self.step = step
        self.written = written
        self.after = after

    @classmethod
    def of_html(cls, element: "etree._Element", style: Style) -> "List":
        named = style.get("list-style-type") or style.get("list-style", "").partition(" ")[0]
        if element.tag != "ol":
            return cls(written=named if named not in _BULLETS else "")
        step = -1 if element.get("reversed") is not None else 1
        first = 1 if step == 1 else len(element.findall("li"))
        written = _FORMATS.get(element.get("type", "1"), "decimal")
        after = ")" if element.get("data-delimiter") == ")" else "."
        if named in _BULLETS:
            written = ""
        elif named:
            written = named
        return cls(number=_whole(element.get("start"), first), step=step, written=written, after=after)

    def next_marker(self, value: str | None) -> str:
        number = _whole(value, self.number)
        self.number = number + self.step
        if self.written == "none":
            return ""
        return f"{numeral(number, self.written)}{self.after} " if self.written else "- "


def numeral(number: int, written: str) -> str:
    """A number in letters or Roman numerals, or in digits if that is impossible."""
    if written in ("lower-alpha", "lower-latin", "upper-alpha", "upper-latin"):
        text = alphabetic(number)
    elif written in ("lower-roman", "upper-roman"):
        text = roman(number)
    elif written == "decimal-leading-zero":
        return f"{number:02}"
    else:
        text = ""
    return (text.upper() if written.startswith("upper") else text) or str(number)


def alphabetic(number: int) -> str:
    """a to z, aa, ab; empty below 1."""
    letters = ""
    while number > 0:
        number, letter = divmod(number - 1, 26)
        letters = chr(97 + letter) + letters
    return letters


def roman(number: int) -> str:
    """In lower case; empty for what has no Roman numeral."""
    if not 0 < number < 4000:
        return ""
    text = ""
    for value, letters in _ROMAN:
        count, number = divmod(number, value)
        text += letters * count
    return text


def _whole(written: str | None, otherwise: int) -> int:
    text = (written or "").strip()
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) < 10 else otherwise
