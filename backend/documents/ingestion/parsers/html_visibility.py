"""Decides which elements and text of HTML are visible, by attributes and styles."""

import re
from typing import NamedTuple

from lxml import etree

from .stylesheet import Style

# Never shown, or not as text. Navigation repeats on every page of a site and would be found instead of the content.
_SILENT = {
    *("script", "style", "template", "noscript", "object", "iframe", "canvas", "audio", "video", "datalist", "rp"),
    "nav",
}
_STRUCK = {"del", "s", "strike"}
_LENGTH = re.compile(r"(-?[\d.]{1,12})([a-z%]{0,4})")
_FAR = {"px": 500, "pt": 400, "em": 50, "rem": 50, "%": 100, "vw": 100, "vh": 100, "in": 10, "cm": 20}
_MIN_SIZE = {"px": 1, "pt": 1, "em": 0.1, "rem": 0.1, "%": 10}
_COLOUR = re.compile(r"#[0-9a-f]{3,8}|rgba?\([^()]{1,60}\)|[a-z]+")
_NAMED = {"white": "ffffff", "black": "000000", "red": "ff0000", "yellow": "ffff00", "blue": "0000ff", "lime": "00ff00"}
_NAMED |= {"gray": "808080", "grey": "808080", "silver": "c0c0c0", "green": "008000", "navy": "000080"}
_NAMED |= {"transparent": "transparent", "snow": "ffffff", "ghostwhite": "ffffff", "ivory": "ffffff"}


class Shown(NamedTuple):
    """The properties that text inherits from its ancestors.

    :ivar colour: as six hexadecimal digits; empty if it is not stated or not understood.
    :ivar ground: the background colour, likewise.
    """

    colour: str = ""
    ground: str = "ffffff"
    small: bool = False
    invisible: bool = False

    @property
    def silent(self) -> bool:
        return self.small or self.invisible or (self.colour in (self.ground, "transparent") and self.colour != "")


def is_hidden(tag: str, element: "etree._Element", style: Style) -> bool:
    """Whether the element is hidden or struck out. Struck-out text was withdrawn and must not be quoted as valid."""
    if tag in _SILENT or tag in _STRUCK:
        return True
    if element.get("hidden") not in (None, "until-found") and style.get("display", "none") == "none":
        return True
    if tag == "dialog" and element.get("open") is None:
        return True
    return bool(style) and hides(style)


def hides(style: Style) -> bool:
    """Whether a style hides or strikes all that is in an element."""
    return (
        style.get("display") == "none"
        or style.get("content-visibility") == "hidden"
        or "line-through" in _decoration(style)
        or (_number(style.get("opacity", "1")) <= 0.05 and not _moves(style))
        or _is_off_page(style)
        or _is_clipped(style)
    )


def shown(style: Style, element: "etree._Element", around: Shown) -> Shown:
    """The inherited properties of the text in an element.

    :param around: those of its parent.
    """
    colour = style.get("color") or (element.get("color", "") if element.tag == "font" else "")
    ground = element.get("bgcolor", "")
    if not style and not colour and not ground:
        return around
    if colour and colour not in ("inherit", "currentcolor"):
        around = around._replace(colour=_colour(colour.lower()))
    around = around._replace(ground=_ground(style, ground.lower(), element.get("background"), around.ground))
    if visibility := style.get("visibility"):
        around = around._replace(invisible=visibility in ("hidden", "collapse"))
    size = style.get("font-size") or next((word for word in style.get("font", "").split() if word[:1].isdigit()), "")
    if size and size != "inherit":
        relative = size.endswith(("em", "%")) and not size.endswith("rem")
        around = around._replace(small=_is_small(size.partition("/")[0]) or (around.small and relative))
    return around


def _decoration(style: Style) -> str:
    """Of the two properties for it, the one that is stated last."""
    return next((style[name] for name in reversed(style) if name in ("text-decoration", "text-decoration-line")), "")


def _moves(style: Style) -> bool:
    """Whether an animation may make it visible."""
    return any(style.get(name, "none") != "none" for name in ("animation", "animation-name", "transition"))


def _is_off_page(style: Style) -> bool:
    """Whether it is positioned outside of the page."""
    placed = style.get("position", "static") != "static"
    beside = ("text-indent", "margin-left", *(("left", "right", "top") if placed else ()))
    return any(_is_far(style.get(name, "")) for name in beside)


def _is_clipped(style: Style) -> bool:
    if "scale(0)" in style.get("transform", ""):
        return True
    clip, path = style.get("clip", ""), style.get("clip-path", "")
    if clip.startswith("rect(") and style.get("position") in ("absolute", "fixed"):
        sides = clip[5:].rstrip(")").replace(",", " ").split()
        if all(side[:1] in "01" and _number(side) <= 1 for side in sides):
            return True
    if path.replace(" ", "") in ("inset(50%)", "inset(100%)", "circle(0)", "circle(0px)"):
        return True
    nothing = any(style.get(name) and _number(style[name]) == 0 for name in ("height", "width", "max-height"))
    return nothing and style.get("overflow") in ("hidden", "clip")


def _number(written: str) -> float:
    """Without its unit; 1 for what is none."""
    found = _LENGTH.fullmatch(written)
    try:
        return float(found[1]) / (100 if found[2] == "%" else 1) if found else 1
    except ValueError:
        return 1


def _is_far(written: str) -> bool:
    found = _LENGTH.fullmatch(written)
    try:
        return found is not None and float(found[1]) <= -_FAR.get(found[2], 10_000)
    except ValueError:
        return False


def _is_small(written: str) -> bool:
    found = _LENGTH.fullmatch(written)
    try:
        return found is not None and float(found[1]) <= _MIN_SIZE.get(found[2], 0)
    except ValueError:
        return False


def _ground(style: Style, attribute: str, picture: str | None, around: str) -> str:
    for name in reversed(style):
        value = style[name]
        if name == "background-image" and value != "none":
            return ""
        if name in ("background", "background-color"):
            colour = _colour(value) if _COLOUR.fullmatch(value) else ""
            return around if colour == "transparent" or value in ("none", "inherit", "initial", "unset") else colour
    if picture:
        return ""
    return _colour(attribute) if attribute else around


def _colour(written: str) -> str:
    """Six hexadecimal digits, ``transparent``, or nothing for what is not understood."""
    if written in _NAMED:
        return _NAMED[written]
    digits = written.removeprefix("#")
    if written.startswith("#") and all(one in "0123456789abcdef" for one in digits):
        if len(digits) in (3, 4):
            digits = "".join(2 * one for one in digits)
        return "transparent" if digits[6:] == "00" else digits[:6] if len(digits) in (6, 8) else ""
    if written.startswith(("rgb(", "rgba(")) and written.endswith(")"):
        values = written.partition("(")[2][:-1].replace(",", " ").replace("/", " ").split()
        if len(values) > 3 and _number(values[3]) == 0:
            return "transparent"
        if len(values) >= 3 and all(one.isascii() and one.isdigit() and len(one) < 4 for one in values[:3]):
            return "".join(f"{min(int(one), 255):02x}" for one in values[:3])
    return ""
