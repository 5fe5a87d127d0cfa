"""Parses selectors of style sheets and matches elements (Selectors level 3), as far as decides what is visible."""

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from lxml import etree

_PART = re.compile(r"([.#]?)(-?[^\W\d][\w-]*|\*)|\[([^\]\[]{1,200})\]|(::?[\w-]+)(\([^()]{0,200}\))?| ?([>+~ ]) ?")
_ATTRIBUTE = re.compile(r"([\w-]+)(?:([~|^$*]?=)[\"']?([^\"'\]]*)[\"']?(?: i)?)?")
# Selectors that match only during an interaction, or match no text of the page.
_NEVER = {
    *(":hover", ":focus", ":active", ":visited", ":focus-within", ":focus-visible", ":target", ":before", ":after"),
    *("::before", "::after", "::selection", "::placeholder", "::marker", ":first-line", "::first-line"),
    *(":first-letter", "::first-letter", "::backdrop", "::-webkit-scrollbar", ":fullscreen", ":popover-open"),
}


class Compound(NamedTuple):
    """A compound selector: the conditions on one element.

    :ivar sure: False if it has further conditions that are not supported.
    """

    tag: str
    names: tuple[str, ...]  # Classes.
    id: str
    attributes: tuple[tuple[str, str, str], ...]
    position: str  # ":first-child", ":last-child" or empty.
    link: str  # The combinator before it: a space, > or empty for the first.
    sure: bool


def split_list(selectors: str) -> Iterator[str]:
    """Split a selector list at commas that are not within brackets."""
    depth = start = 0
    for at, letter in enumerate(selectors):
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and depth <= 0:
            yield selectors[start:at].strip()
            start = at + 1
    yield selectors[start:].strip()


def parse(selector: str) -> tuple[Compound, ...]:  # noqa: PLR0912  # One case per kind of selector.
    """The compound selectors of a selector, from the last; empty if it matches nothing that is read."""
    selector = " ".join(selector.split())
    found: list[Compound] = []
    link, sure = "", True
    tag, names, name, position = "*", [], "", ""  # type: str, list[str], str, str
    attributes: list[tuple[str, str, str]] = []
    at = 0
    while at < len(selector):
        part = _PART.match(selector, at)
        if part is None:
            at += 1
            sure = False
            continue
        at = part.end()
        kind, word, attribute, pseudo, _argument, joined = part.groups()
        if joined:
            found.append(Compound(tag, tuple(names), name, tuple(attributes), position, link, sure))
            link, sure = joined.strip() or " ", joined not in "+~"
            tag, names, name, position, attributes = "*", [], "", "", []
        elif attribute is not None:
            stated = _ATTRIBUTE.fullmatch(attribute.strip())
            sure = sure and stated is not None
            if stated:
                attributes.append((stated[1].lower(), stated[2] or "", stated[3] or ""))
        elif pseudo:
            if pseudo in _NEVER:
                return ()
            if pseudo == ":root":
                tag = "html"
            elif pseudo in (":first-child", ":last-child") and not position:
                position = pseudo
            else:
                sure = False
        elif kind == ".":
            names.append(word)
        elif kind == "#":
            name = word
        else:
            tag = word.lower()
    found.append(Compound(tag, tuple(names), name, tuple(attributes), position, link, sure))
    return tuple(reversed(found))


def fits(wanted: Compound, tag: str, name: str, classes: Sequence[str]) -> bool:
    return (
        wanted.tag in ("*", tag)
        and (not wanted.id or wanted.id == name)
        and all(one in classes for one in wanted.names)
    )


def _is(element: "etree._Element", wanted: Compound) -> bool:
    if not fits(wanted, str(element.tag), element.get("id", ""), element.get("class", "").split()):
        return False
    siblings = element.itersiblings("*", preceding=wanted.position == ":first-child")
    if wanted.position and next(siblings, None) is not None:
        return False
    return all(_states(element.get(name), how, value) for name, how, value in wanted.attributes)


def _states(found: str | None, how: str, value: str) -> bool:
    if found is None or not how:
        return found is not None
    return {
        "=": found == value,
        "~=": value in found.split(),
        "|=": found == value or found.startswith(value + "-"),
        "^=": bool(value) and found.startswith(value),
        "$=": bool(value) and found.endswith(value),
        "*=": bool(value) and value in found,
    }[how]


def matches(element: "etree._Element", compounds: Sequence[Compound]) -> bool:
    """Whether an element and its ancestors match a selector. Of each compound the nearest match is tried, without
    backtracking.
    """
    if not _is(element, compounds[0]):
        return False
    at: etree._Element | None = element
    for before, wanted in itertools.pairwise(compounds):
        if before.link in ("+", "~"):
            continue
        at = at.getparent() if at is not None else None
        while at is not None and before.link == " " and not _is(at, wanted):
            at = at.getparent()
        if at is None or not _is(at, wanted):
            return False
    return True
