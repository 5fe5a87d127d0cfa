"""Namespaces and lookups of WordprocessingML."""

from collections.abc import Iterator

from lxml import etree

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
VML = "{urn:schemas-microsoft-com:vml}"

# The names of the strict form of the standard, and those of the transitional one that are used here.
_STRICT = "http://purl.oclc.org/ooxml"
_TRANSITIONAL = (
    (f"{_STRICT}/wordprocessingml/main", W[1:-1]),
    (f"{_STRICT}/officeDocument/math", M[1:-1]),
    (f"{_STRICT}/officeDocument/relationships", R[1:-1]),
    (f"{_STRICT}/drawingml/main", A[1:-1]),
)
Element = etree._Element


def transitional(data: bytes) -> bytes:
    for strict, name in _TRANSITIONAL:
        data = data.replace(b'"' + strict.encode() + b'"', b'"' + name.encode() + b'"')
        data = data.replace(b"'" + strict.encode() + b"'", b"'" + name.encode() + b"'")
    return data


def value(element: Element | None, name: str = "val") -> str:
    """An attribute of Word's namespace; empty if it or the element is not there."""
    return "" if element is None else element.get(W + name, "")


def number(element: Element | None, otherwise: int, name: str = "val", *, longest: int = 6) -> int:
    written = value(element, name).strip()
    digits = written.removeprefix("-")
    return int(written) if digits.isascii() and digits.isdigit() and len(digits) <= longest else otherwise


def is_on(element: Element | None) -> bool | None:
    """The value of an on/off property; None if it is not stated."""
    if element is None:
        return None
    return value(element).lower() not in ("0", "false", "off", "none")


def children(element: Element | None, tag: str) -> Iterator[Element]:
    if element is not None:
        yield from element.iterchildren(tag)


def find(element: Element | None, *tags: str) -> Element | None:
    """The first child of this tag, of the first child of that, and so on."""
    for tag in tags:
        if element is None:
            return None
        element = element.find(W + tag)
    return element
