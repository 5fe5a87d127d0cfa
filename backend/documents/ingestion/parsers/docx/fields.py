"""Fields: what they are computed from is no text; what they last came to is."""

from collections.abc import Iterator

from .xml import Element, W, children, find, is_on, number, value

_OF_PAGES = {"PAGE", "NUMPAGES", "SECTIONPAGES"}


class Fields:
    """The fields that are open at a place of a story.

    :ivar reading: whether text at this place is a result, or in no field.
    """

    def __init__(self, *, on_every_page: bool) -> None:
        self._on_every_page = on_every_page
        self._open: list[list[str]] = []  # Of each: "instruction" or "result", and the instruction.

    @property
    def reading(self) -> bool:
        return not self._open or all(
            place == "result" and not self.is_number_of_page(instruction) for place, instruction in self._open
        )

    def is_number_of_page(self, instruction: str) -> bool:
        """Whether a field of a header or a footer differs from page to page."""
        return self._on_every_page and instruction.split()[:1] in [[name] for name in _OF_PAGES]

    def take(self, mark: Element) -> Iterator[str]:
        """A beginning, a middle or an end; what stands there if it is a field of a form."""
        kind = value(mark, "fldCharType")
        if kind == "begin":
            if self.reading:
                yield from _of_form(find(mark, "ffData"))
            self._open.append(["instruction", ""])
        elif kind == "separate" and self._open:
            self._open[-1][0] = "result"
        elif kind == "end" and self._open:
            self._open.pop()

    def instruct(self, text: str) -> None:
        if self._open and self._open[-1][0] == "instruction":
            self._open[-1][1] += text.upper()[:100]

    def end_paragraph(self) -> None:
        """Forget fields that have only begun: in a damaged file they would swallow all that follows."""
        self._open = [field for field in self._open if field[0] == "result"]


def _of_form(data: Element | None) -> Iterator[str]:
    box, choices = find(data, "checkBox"), find(data, "ddList")
    if box is not None:
        checked = is_on(find(box, "checked"))
        yield "☒" if (checked if checked is not None else is_on(find(box, "default"))) else "☐"
    if choices is not None:
        entries = [value(entry) for entry in children(choices, W + "listEntry")]
        chosen = number(find(choices, "result"), number(find(choices, "default"), 0))
        if 0 <= chosen < len(entries):
            yield entries[chosen]
