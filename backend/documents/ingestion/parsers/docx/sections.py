"""Selects the headers and footers that the pages of a document show."""

from collections.abc import Iterator

from .package import Package
from .xml import Element, R, W, children, find, is_on, value


def headers(package: Package, main: Element) -> Iterator[str]:
    yield from _shown(package, main, "header")


def footers(package: Package, main: Element) -> Iterator[str]:
    yield from _shown(package, main, "footer")


def _shown(package: Package, main: Element, kind: str) -> Iterator[str]:
    """The parts, each once, in the order of the sections.

    A section without its own inherits those of the section before (17.10.1). Those of first and of even pages
    are shown only where the section or the settings ask for them.
    """
    relationships = package.relationships(package.main)
    seen: set[str] = set()
    current: dict[str, str] = {}
    for section in main.iter(W + "sectPr"):
        if (parent := section.getparent()) is not None and parent.tag == W + "sectPrChange":
            continue
        for reference in children(section, f"{W}{kind}Reference"):
            found = relationships.get(reference.get(R + "id", ""))
            if found is not None:
                current[value(reference, "type") or "default"] = found.part
        shown = ["first"] if is_on(find(section, "titlePg")) else []
        shown += ["default", "even"] if package.has_even_pages else ["default"]
        for page in shown:
            if page in current and current[page] not in seen:
                seen.add(current[page])
                yield current[page]
