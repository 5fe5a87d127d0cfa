"""Converts one story of a DOCX (its text, a header, a note) to paragraphs, with all changes accepted."""

from collections.abc import Callable, Iterator

from .. import tables
from ..cleaning import clean_line
from ..superscripts import DOWN, END, NOTE, UP, spelled, without_marks
from .fields import Fields
from .numbering import Counter
from .omml import formula
from .package import Package
from .styles import is_coloured
from .symbols import character, readable
from .xml import MC, VML, A, Element, M, R, W, children, find, is_on, number, value

PartReader = Callable[[Package, str], Iterator[str]]
_LEFT_OUT = {W + name for name in ("del", "moveFrom", "sectPr", "tblGrid", "sdtEndPr", "delText", "instrText")}
_LEVELS = {"superscript": UP, "subscript": DOWN}
_RAISED = 4  # Half-points above or below the line: less is a correction of a typeface.
_MIN_SIZE = 2  # Half-points.
_WHITE = {"ffffff", "fffffe", "fefefe"}
_CHARACTERS = {W + "tab": " ", W + "ptab": " ", W + "br": "\n", W + "cr": "\n", W + "noBreakHyphen": "-"}


class Story:
    """Reads one part.

    :param of_part: reads the parts in other formats that a text may include.
    :param on_every_page: a header or a footer, where the numbers of pages are no text.
    :ivar own_mark: the mark of a note, where the note repeats it.
    """

    def __init__(
        self, package: Package, *, part: str, of_part: PartReader, on_every_page: bool = False, own_mark: str = ""
    ) -> None:
        self.package = package
        self.part = part
        self.of_part = of_part
        self.own_mark = own_mark
        self.has_own_mark = False
        self.fields = Fields(on_every_page=on_every_page)
        self.counter = Counter(package.numbering)
        self.parts: list[str] = []  # Of the paragraph that is open.
        self.level = ""  # Raised, lowered or neither: of what was added last.
        self.boxes: list[str] = []  # Text boxes that stand at the paragraph.
        self.style = ""
        self.grounds = 0  # Number of open shaded cells, paragraphs and text boxes, in which white text is visible.

    def blocks(self, root: Element) -> Iterator[str]:
        body = find(root, "body")
        out: list[str] = []
        for element in root if body is None else body:
            self._block(element, out)
            yield from out
            out.clear()
        self._end_paragraph("", out)
        yield from out

    def _block(self, element: Element, out: list[str]) -> None:
        tag = element.tag
        if tag == W + "p":
            self._paragraph(element, out)
        elif tag == W + "tbl":
            self._table(element, out)
        elif tag == W + "altChunk":
            found = self.package.relationships(self.part).get(element.get(R + "id", ""))
            if found is not None:
                out.extend(self.of_part(self.package, found.part))
        elif tag in (M + "oMath", M + "oMathPara"):
            self._inline(element)
            self._end_paragraph("", out)
        elif tag == MC + "AlternateContent":
            self._alternative(element, lambda one: self._blocks_in(one, out), lambda: len(out))
        elif _is_read(tag):
            self._blocks_in(element, out)

    def _blocks_in(self, element: Element, out: list[str]) -> None:
        for child in element:
            self._block(child, out)

    def _paragraph(self, element: Element, out: list[str]) -> None:
        properties = find(element, "pPr")
        outer, self.style = self.style, value(find(properties, "pStyle")) or self.package.styles.default_paragraph
        style = self.style
        coloured = is_coloured(self.package.styles.shading(properties, style))
        self.grounds += coloured
        for child in element:
            self._inline(child)
        self.grounds -= coloured
        self.style = outer
        self.fields.end_paragraph()
        mark = find(properties, "rPr")
        if any(find(mark, name) is not None for name in ("del", "moveFrom")) or is_on(find(mark, "vanish")):
            return  # The next paragraph continues it.
        name, level = self.package.numbering.place(properties, style)
        self._end_paragraph(self.counter.next(name, level) if name else "", out)

    def _end_paragraph(self, marker: str, out: list[str]) -> None:
        self._turn_to("")
        text = spelled("".join(self.parts))
        text = "\n".join(filter(None, map(clean_line, text.split("\n"))))
        self.parts = []
        boxes, self.boxes = self.boxes, []
        if self.fields.left_out() and len(text.split()) < 4 and not any(map(str.isdigit, text)):
            text = ""  # "Page … of …"
        if text:
            out.append(clean_line(marker) + " " * marker.endswith(" ") + text if marker else text)
        out.extend(boxes)

    def _inline(self, element: Element) -> None:
        tag = element.tag
        if tag == W + "r":
            self._run(element)
        elif tag in (M + "oMath", M + "oMathPara"):
            if self.fields.reading and (text := without_marks(formula(element))):
                after_number = self.parts and self.parts[-1][-1:].isdigit() and text[0].isdigit()
                self._add(" " * bool(after_number) + text)
        elif tag == MC + "AlternateContent":
            self._alternative(element, self._inline_in, lambda: len(self.parts) + len(self.boxes))
        elif tag == W + "txbxContent":
            self._box(element)
        elif tag == VML + "textpath":
            self.boxes.append(clean_line(element.get("string", "")))
        elif tag == A + "txBody":
            self.boxes.extend(_drawn(element))
        elif isinstance(tag, str) and tag.endswith("}relIds"):
            if found := self.package.relationships(self.part).get(element.get(R + "dm", "")):
                self.boxes.extend(_drawn(self.package.root(found.part)))
        elif tag == W + "fldSimple":
            if not self.fields.is_number_of_page(value(element, "instr")):
                self._inline_in(element)
        elif _is_read(tag):
            self._inline_in(element)

    def _inline_in(self, element: Element) -> None:
        for child in element:
            self._inline(child)

    def _alternative(self, element: Element, read: Callable[[Element], None], size: Callable[[], int]) -> None:
        """The first form of a content that holds anything; the others are the same for other programs."""
        before = size()
        for form in children(element, "{*}*"):
            if form.tag in (MC + "Choice", MC + "Fallback"):
                read(form)
                if size() > before:
                    return

    def _box(self, element: Element) -> None:
        """Read a text box separately from its paragraph."""
        outer = self.parts, self.level, self.boxes, self.style
        self.parts, self.level, self.boxes = [], "", []
        out: list[str] = []
        self.grounds += 1  # A shape may be filled.
        self._blocks_in(element, out)
        self._end_paragraph("", out)
        self.grounds -= 1
        self.parts, self.level, self.boxes, self.style = outer
        self.boxes.extend(out)

    def _run(self, run: Element) -> None:
        properties = find(run, "rPr")
        styled = self.package.styles.of_run
        shown = not any(styled(properties, self.style, name) == "on" for name in ("vanish", "strike", "dstrike"))
        shown = shown and not self._is_unseen(properties)
        level = _LEVELS.get(styled(properties, self.style, "vertAlign"), "")
        if not level and abs(raised := number(find(properties, "position"), 0)) >= _RAISED:
            level = UP if raised > 0 else DOWN
        for child in run:
            tag = child.tag
            if tag == W + "fldChar":
                for text in self.fields.take(child):
                    self._add(text)
            elif tag == W + "instrText":
                self.fields.instruct(child.text or "")
            elif shown and self.fields.reading:
                self._content(child, level, properties)

    def _is_unseen(self, properties: Element | None) -> bool:
        """Whether the text of a run is white on white, or too small to be seen."""
        styled = self.package.styles.of_run
        size = styled(properties, self.style, "sz")
        if size.isascii() and size.isdigit() and len(size) < 6 and int(size) <= _MIN_SIZE:
            return True
        colour = styled(properties, self.style, "color").lower()
        if colour not in _WHITE or self.grounds or self.package.is_coloured:
            return False
        return styled(properties, self.style, "highlight").lower() in ("", "none", "white") and not is_coloured(
            self.package.styles.element_of_run(properties, self.style, "shd")
        )

    def _content(self, child: Element, level: str, properties: Element | None) -> None:
        tag = child.tag
        if tag == W + "t":
            self._turn_to(level)
            self._add(readable(without_marks((child.text or "").replace("\n", " ")), properties))
        elif tag in _CHARACTERS:
            self._turn_to(level)
            self._add(_CHARACTERS[tag])
        elif tag == W + "sym":
            self._turn_to(level)
            self._add(character(value(child, "char"), value(child, "font")))
        elif tag in (W + "footnoteReference", W + "endnoteReference"):
            mark = self.package.note_mark(tag[len(W) : -len("Reference")], value(child, "id"))
            self._mark("" if is_on_attribute(value(child, "customMarkFollows")) else mark)
        elif tag in (W + "footnoteRef", W + "endnoteRef"):
            self.has_own_mark = True
            self._mark(self.own_mark)
        elif tag == W + "ruby":
            self._inline_in_optional(find(child, "rubyBase"))
            self._add("(")
            self._inline_in_optional(find(child, "rt"))
            self._add(")")
        else:
            self._inline(child)

    def _inline_in_optional(self, element: Element | None) -> None:
        if element is not None:
            self._inline_in(element)

    def _mark(self, mark: str) -> None:
        self._turn_to("")
        if mark:
            self._add(NOTE + mark + END)

    def _turn_to(self, level: str) -> None:
        if level != self.level:
            self._add((END if self.level else "") + level)
            self.level = level

    def _add(self, text: str) -> None:
        if text:
            self.parts.append(text)

    def _table(self, table: Element, out: list[str]) -> None:
        rows = []
        style = value(find(table, "tblPr", "tblStyle"))
        shaded = is_coloured(find(table, "tblPr", "shd")) or self.package.styles.shades(style)
        self.grounds += shaded
        for row in _of_kind(table, W + "tr"):
            properties = find(row, "trPr")
            if find(properties, "del") is None and not is_on(find(properties, "hidden")):
                rows.append(self._row(row, properties))
        self.grounds -= shaded
        out.extend(tables.blocks(rows))

    def _row(self, row: Element, properties: Element | None) -> list[tables.Cell]:
        cells = _skipped(properties, "gridBefore")
        for cell in _of_kind(row, W + "tc"):
            own = find(cell, "tcPr")
            if find(own, "cellDel") is not None:
                continue
            found: list[str] = []
            shaded = is_coloured(find(own, "shd"))
            self.grounds += shaded
            if not _goes_on(find(own, "vMerge")) and not _goes_on(find(own, "hMerge")):
                self._blocks_in(cell, found)
                self._end_paragraph("", found)
            self.grounds -= shaded
            cells.append(tables.Cell(found, number(find(own, "gridSpan"), 1)))
        return cells + _skipped(properties, "gridAfter")


def _is_read(tag: object) -> bool:
    """Whether an element is content, not properties or deleted text."""
    return isinstance(tag, str) and tag not in _LEFT_OUT and not tag.endswith("Pr")


def _of_kind(element: Element, wanted: str) -> Iterator[Element]:
    """The rows of a table or the cells of a row, also those within content controls and the like."""
    for child in element:
        if child.tag == wanted:
            yield child
        elif _is_read(child.tag) and child.tag not in (W + "tr", W + "tc", W + "tbl", W + "p"):
            yield from _of_kind(child, wanted)


def _skipped(properties: Element | None, name: str) -> list[tables.Cell]:
    columns = number(find(properties, name), 0)
    return [tables.Cell([], columns)] if columns > 0 else []


def _goes_on(merge: Element | None) -> bool:
    """Whether a cell continues the one above or before it."""
    return merge is not None and value(merge) != "restart"


def is_on_attribute(written: str) -> bool:
    return written.lower() in ("1", "true", "on")


def _drawn(element: Element) -> Iterator[str]:
    """The paragraphs of a drawing."""
    for paragraph in element.iter(A + "p"):
        if text := clean_line("".join(piece.text or "" for piece in paragraph.iter(A + "t"))):
            yield text
