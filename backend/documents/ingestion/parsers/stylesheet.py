"""Applies the style sheets in a page, as far as they decide which text is visible (CSS 2.2; Selectors level 3)."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from lxml import etree

from . import css_selectors
from .css_selectors import Compound

Style = dict[str, str]

_USED = {
    *("display", "visibility", "opacity", "text-decoration", "text-decoration-line", "vertical-align", "font-size"),
    *("font", "text-indent", "position", "left", "right", "top", "clip", "clip-path", "color", "background"),
    *("background-color", "background-image", "list-style", "list-style-type", "width", "height", "max-height"),
    *("overflow", "animation", "animation-name", "transition", "transform", "margin-left", "content-visibility"),
}
_MAX_RULES = 1_000
_PAGE_WIDTH = 1280  # Pixels: media queries are evaluated for a screen of this width.
_NEXT = re.compile(r"[{};\"'\\]|/\*")
_WIDTH = re.compile(r"\((min|max)-width:([\d.]{1,9})(px|r?em)\)")


class _Rule(NamedTuple):
    weight: tuple[int, int, int, int]  # Specificity (section 6.4.3) and order.
    compounds: tuple[Compound, ...]  # From the last.
    style: Style
    sure: bool


class Sheets:
    """The rules of all style sheets in a page. Linked sheets are not in the file.

    :ivar unread: whether an unsupported rule may hide or strike out text that was read.
    """

    def __init__(self, root: "etree._Element") -> None:
        self.unread = False
        self._count = 0
        self._rules: dict[str, list[_Rule]] = {}  # By the id, the class or the tag of their last element.
        self._known: dict[tuple[str, str, str], list[_Rule]] = {}
        for element in root.iter("style"):
            condition = _applies(element.get("media", ""))
            if condition != "no":
                self._read("".join(map(str, element.itertext())), sure=condition == "yes")

    def of(self, element: "etree._Element") -> tuple[Style, Style]:
        """The style of an element, and the declarations of unsupported rules that may apply to it."""
        inline = declarations(element.get("style", ""))
        if not self._rules:
            return _settled([inline]), {}
        tag = str(element.tag)
        key = (tag, element.get("id", ""), element.get("class", ""))
        if key not in self._known:
            if len(self._known) > 10_000:
                self._known.clear()
            self._known[key] = self._candidates(*key)
        found = [rule for rule in self._known[key] if css_selectors.matches(element, rule.compounds)]
        if not found:
            return _settled([inline]), {}
        maybe: Style = {}
        for rule in found:
            if not rule.sure:
                maybe.update(rule.style)
        return _settled([*(rule.style for rule in found if rule.sure), inline]), _settled([maybe])

    def _candidates(self, tag: str, name: str, classes: str) -> list[_Rule]:
        own = classes.split()
        keys = {"*", tag, "#" + name, *("." + one for one in own)}
        rules = [rule for key in keys for rule in self._rules.get(key, ())]
        fitting = (rule for rule in rules if css_selectors.fits(rule.compounds[0], tag, name, own))
        return sorted(fitting, key=lambda rule: rule.weight)

    def _read(self, text: str, *, sure: bool) -> None:
        """Add the rules of a sheet, including those in conditions and layers."""
        # Of each block that is open: whether it applies, its selectors (none for a condition), its declarations.
        blocks: list[tuple[str, str, list[str]]] = [("yes" if sure else "maybe", "", [])]
        for prelude, end in _pieces(text):
            applies, selector_list, kept = blocks[-1]
            if end == "{":
                blocks.append(_opened(prelude, applies, inside=bool(selector_list)))
                continue
            if selector_list:
                kept.append(prelude)
            if end == "}" and len(blocks) > 1:
                blocks.pop()
                self._add(selector_list, kept, applies)
        for applies, selector_list, kept in blocks:  # What is open at the end is closed there.
            self._add(selector_list, kept, applies)

    def _add(self, selector_list: str, kept: Sequence[str], applies: str) -> None:
        style = declarations(";".join(kept)) if selector_list and applies != "no" else {}
        if not style:
            return
        for selector in css_selectors.split_list(selector_list):
            compounds = css_selectors.parse(selector)
            if not compounds:
                continue
            self._count += 1
            if self._count > _MAX_RULES:
                self.unread = True
                return
            last = compounds[0]
            key = "#" + last.id if last.id else "." + last.names[0] if last.names else last.tag
            weight = (
                sum(bool(one.id) for one in compounds),
                sum(len(one.names) + len(one.attributes) + bool(one.position) for one in compounds),
                sum(one.tag != "*" for one in compounds),
                self._count,
            )
            certain = applies == "yes" and all(one.sure for one in compounds)
            self._rules.setdefault(key, []).append(_Rule(weight, compounds, style, certain))


def declarations(written: str) -> Style:
    """The declarations that affect visibility, in lower case; of each property the last."""
    style: Style = {}
    for declaration in written.lower().split(";"):
        name, _, value = declaration.partition(":")
        name, value = name.strip(), value.strip()
        if name in _USED and value and ("!" in value or "!" not in style.get(name, "")):
            style.pop(name, None)
            style[name] = value
    return style


def _settled(styles: Sequence[Style]) -> Style:
    """Cascade: later values win, unless an earlier one is important."""
    settled: Style = {}
    for important in (False, True):
        for style in styles:
            for name, value in style.items():
                if ("!" in value) == important:
                    settled.pop(name, None)
                    settled[name] = value.partition("!")[0].strip()
    return settled


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """Split a sheet at braces and semicolons, without comments and the contents of strings."""
    for mark in ("<!--", "-->", "<![CDATA[", "]]>"):
        text = text.replace(mark, " ")
    kept: list[str] = []
    at = 0
    while found := _NEXT.search(text, at):
        kept.append(text[at : found.start()])
        mark, at = found[0], found.end()
        if mark == "/*":
            end = text.find("*/", at)
            at = end + 2 if end != -1 else len(text)
            kept.append(" ")
        elif mark in "\"'":
            start = at
            while at < len(text) and text[at] not in (mark, "\n"):
                at += 2 if text[at] == "\\" else 1
            string = text[start:at]
            at += 1
            kept.append('"' + ("".join(letter for letter in string if letter not in ',{};:!()[]"') + '"'))
        elif mark == "\\":
            kept.append(mark + text[at : at + 1].strip("{};"))
            at += 1
        else:
            yield "".join(kept).strip(), mark
            kept = []
    yield "".join([*kept, text[at:]]).strip(), ";"


def _opened(prelude: str, applies: str, *, inside: bool) -> tuple[str, str, list[str]]:
    """A block: whether it applies, and its selectors."""
    if not prelude.startswith("@"):
        return ("maybe" if inside and applies != "no" else applies), prelude.replace("&", "") or "*", []
    name, _, condition = prelude[1:].partition(" ")
    name = name.partition("(")[0].lower()
    if name == "media":
        own = _applies(condition or prelude[6:])
    elif name in ("supports", "layer", "scope", "container"):
        own = "yes" if name == "layer" else "maybe" if name != "supports" else "yes"
    else:
        own = "no"  # Fonts, animations, printed pages.
    return min(own, applies, key=("no", "maybe", "yes").index), "", []


def _applies(media: str) -> str:
    """Whether a media query list matches a wide screen: yes, no or maybe. One matching query is enough."""
    found = [_holds(one.strip()) for one in media.lower().split(",")]
    return max(found, key=("no", "maybe", "yes").index)


def _holds(query: str) -> str:
    words = [word for word in query.replace(": ", ":").split() if word not in ("and", "only")]
    found = "yes"
    for word in words:
        if word in ("print", "speech", "tty", "handheld"):
            return "no"
        if width := _WIDTH.fullmatch(word):
            try:
                limit = float(width[2]) * (1 if width[3] == "px" else 16)
            except ValueError:
                limit = 0
            if (width[1] == "min") != (limit <= _PAGE_WIDTH):
                return "no"
        elif word in ("(prefers-color-scheme:dark)", "(prefers-contrast:more)", "(prefers-reduced-motion:reduce)"):
            return "no"
        elif word not in ("screen", "all"):
            found = "maybe"
    return found
