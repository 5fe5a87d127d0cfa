"""Fields: their instructions are not text, their last results are."""

from collections.abc import Iterator

from .xml import Element, W, children, find, is_on, number, value

_OF_PAGES = {"PAGE", "NUMPAGES", "SECTIONPAGES"}


class _Field:
    """An open field."""

    def __init__(self) -> None:
        self.instruction = ""
        self.hides = True  # Its instruction, which is not text.


class Fields:
    """The open fields at the current position of a story."""

    def __init__(self, *, on_every_page: bool) -> None:
        self._on_every_page = on_every_page
        self._open: list[_Field] = []
        self._left_out = False
        self._hiding = 0  # Of the open ones; counted, since a damaged file may open any number.

    @property
    def reading(self) -> bool:
        """Whether text at this position is a result or outside of fields."""
        return not self._hiding

    def is_number_of_page(self, instruction: str) -> bool:
        """Whether a field of a header or a footer differs from page to page."""
        found = self._on_every_page and instruction.upper().split()[:1] in [[name] for name in _OF_PAGES]
        self._left_out = self._left_out or found
        return found

    def left_out(self) -> bool:
        """Whether a page number was left out since the last call."""
        left_out, self._left_out = self._left_out, False
        return left_out

    def take(self, mark: Element) -> Iterator[str]:
        """Process the beginning, the separator or the end of a field; yields the value of a form field."""
        kind = value(mark, "fldCharType")
        if kind == "begin":
            if self.reading:
                yield from _of_form(find(mark, "ffData"))
            self._open.append(_Field())
            self._hiding += 1
        elif kind == "separate" and self._open:
            field = self._open[-1]
            if field.hides and not self.is_number_of_page(field.instruction):
                field.hides = False
                self._hiding -= 1
        elif kind == "end" and self._open:
            self._hiding -= self._open.pop().hides

    def instruct(self, text: str) -> None:
        if self._open and self._open[-1].hides:
            self._open[-1].instruction = (self._open[-1].instruction + text)[:100]

    def end_paragraph(self) -> None:
        """Close fields without a result: in a damaged file they would hide all text that follows."""
        if self._hiding:
            self._open = [field for field in self._open if not field.hides]
            self._hiding = 0


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
