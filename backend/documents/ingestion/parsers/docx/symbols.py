"""Maps characters of the fonts Symbol and Wingdings to Unicode (``w:sym``, private use U+F020…)."""

from .xml import Element, W, find

# From 0x20 on; Adobe's encoding of the font Symbol. A space stands for what has no character.
_SYMBOL = (
    " !∀#∃%&∋()∗+,−./0123456789:;<=>?≅ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ[∴]⊥_‾αβχδεφγηιϕκλμνοπθρστυϖωξψζ{|}∼ "
    + " " * 32
    + "€ϒ′≤⁄∞ƒ♣♦♥♠↔←↑→↓°±″≥×∝∂•÷≠≡≈…⏐⎯↵ℵℑℜ℘⊗⊕∅∩∪⊃⊇⊄⊂⊆∈∉∠∇®©™∏√⋅¬∧∨⇔⇐⇑⇒⇓◊〈®©™∑⎛⎜⎝⎡⎢⎣⎧⎨⎩⎪ 〉∫⌠⎮⌡⎞⎟⎠⎤⎥⎦⎫⎬⎭ "
)
_WINGDINGS = {
    0x4A: "☺", 0x6C: "●", 0x6E: "■", 0x6F: "☐", 0x71: "❑", 0x72: "❒", 0x75: "◆", 0x76: "❖", 0xA7: "▪", 0xA8: "☐",
    0xD8: "➢", 0xDF: "←", 0xE0: "→", 0xE1: "↑", 0xE2: "↓", 0xE8: "➔", 0xF0: "⇨", 0xFB: "✗", 0xFC: "✓", 0xFD: "☒",
    0xFE: "☑", 0x28: "☎", 0x2A: "✉", 0x22: "✂", 0x78: "☒", 0x80: "⓪",
    **{0x80 + n: chr(0x245F + n) for n in range(1, 11)},
    **{0x8B + n: chr(0x2775 + n) for n in range(1, 11)},
}  # fmt: skip
_WINGDINGS_2 = {0x50: "✓", 0x4F: "✗", 0x51: "☒", 0x52: "☑", 0x53: "☒", 0x54: "☒", 0xA3: "☐", 0x2A: "☐", 0x97: "●"}
_PRIVATE = range(0xF020, 0xF100)


def character(code: str, font: str) -> str:
    """The character for a place in a font; empty for what has none."""
    try:
        place = int(code[:8], 16)
    except ValueError:
        return ""
    if place in _PRIVATE:
        place -= 0xF000
    named = font.lower()
    if "wingdings 2" in named:
        return _WINGDINGS_2.get(place, "")
    if "wingdings" in named:
        return _WINGDINGS.get(place, "")
    if "symbol" in named and "segoe" not in named:
        return _SYMBOL[place - 0x20].strip() if 0x20 <= place < 0x20 + len(_SYMBOL) else ""
    return chr(place) if 0x20 <= place < 0x110000 and not 0xD800 <= place < 0xE000 and place not in _PRIVATE else ""


def readable(text: str, properties: Element | None) -> str:
    """Text whose characters of private use are those of the font that it is in."""
    if text.isascii() or not any("\uf020" <= letter <= "\uf0ff" for letter in text):
        return text
    fonts = find(properties, "rFonts")
    font = "Symbol" if fonts is None else fonts.get(W + "ascii") or fonts.get(W + "hAnsi") or "Symbol"
    return "".join(character(f"{ord(one):x}", font) if ord(one) in _PRIVATE else one for one in text)
