"""Resolves styles: hidden, struck-out and superscript text, and lists of paragraphs."""

from .xml import Element, W, children, find, is_on, value

TOGGLES = ("vanish", "strike", "dstrike")
_MAX_DEPTH = 20  # Styles that are based on each other.


class Styles:
    def __init__(self, root: Element | None) -> None:
        self._styles: dict[str, Element] = {}
        self._own: dict[tuple[str, str], str] = {}
        self.default_paragraph = ""
        self.language = value(find(root, "docDefaults", "rPrDefault", "rPr", "lang"))
        for style in children(root, W + "style"):
            self._styles.setdefault(value(style, "styleId"), style)
            if value(style, "type") == "paragraph" and value(style, "default") in ("1", "true", "on"):
                self.default_paragraph = self.default_paragraph or value(style, "styleId")

    def line(self, style: str) -> list[Element]:
        """A style and those that it is based on."""
        found: list[Element] = []
        while style in self._styles and len(found) < _MAX_DEPTH:
            found.append(self._styles[style])
            style = value(find(self._styles[style], "basedOn"))
        return found

    def run_property(self, style: str, name: str) -> str:
        """A property of the text in a style: the value that is stated nearest, ``on``, ``off`` or empty."""
        if not style:
            return ""
        key = (style, name)
        if key not in self._own:
            stated = (find(one, "rPr", name) for one in self.line(style))
            self._own[key] = _written(next((element for element in stated if element is not None), None), name)
        return self._own[key]

    def of_run(self, properties: Element | None, paragraph_style: str, name: str) -> str:
        """A property of a run: its own, else that of its styles. Two styles that hide text show it (17.7.3)."""
        own = find(properties, name)
        if own is not None:
            return _written(own, name)
        of_character = self.run_property(value(find(properties, "rStyle")), name)
        of_paragraph = self.run_property(paragraph_style, name)
        if name in TOGGLES:
            return "on" if (of_character == "on") != (of_paragraph == "on") else "off"
        return of_character or of_paragraph

    def element_of_run(self, properties: Element | None, paragraph_style: str, name: str) -> Element | None:
        """A property of a run as it is stated, by itself or by its styles."""
        if (own := find(properties, name)) is not None:
            return own
        for style in (value(find(properties, "rStyle")), paragraph_style):
            for one in self.line(style):
                if (stated := find(one, "rPr", name)) is not None:
                    return stated
        return None

    def shading(self, properties: Element | None, style: str) -> Element | None:
        """The ground of a paragraph."""
        if (own := find(properties, "shd")) is not None:
            return own
        stated = (find(one, "pPr", "shd") for one in self.line(style))
        return next((one for one in stated if one is not None), None)

    def shades(self, style: str) -> bool:
        """Whether a style of tables colours any of their cells."""
        return any(is_coloured(shading) for one in self.line(style) for shading in one.iter(W + "shd"))

    def numbering(self, style: str) -> tuple[str, str, Element | None]:
        """The list of a style: the style of its line that states it, and what it states."""
        for one in self.line(style):
            stated = find(one, "pPr", "numPr")
            if stated is not None and find(stated, "numId") is not None:
                return value(one, "styleId"), value(find(stated, "numId")), find(stated, "ilvl")
        return "", "", None


def is_coloured(shading: Element | None) -> bool:
    """Whether a ground is another than white."""
    if shading is None:
        return False
    plain = value(shading) in ("", "nil", "clear") and not shading.get(W + "themeFill")
    return not plain or value(shading, "fill").lower() not in ("", "auto", "ffffff", "white")


def _written(element: Element | None, name: str) -> str:
    if element is None:
        return ""
    if name in TOGGLES:
        return "on" if is_on(element) else "off"
    return value(element)
