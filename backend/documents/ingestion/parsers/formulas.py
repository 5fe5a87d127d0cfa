"""Writes formulas in one line, ``(a+b)/2``, ``x_i^2``, ``√(x)``: from Office MathML (ECMA-376, part 1, 22.1) and
MathML.
"""

from collections.abc import Iterable
from typing import NamedTuple

from lxml import etree

_TOKENS = ("mi", "mn", "mo", "mtext", "ms")
_ROOTS = {"": "√", "2": "√", "3": "∛", "4": "∜"}


class Piece(NamedTuple):
    """A piece of a formula: a token, a fraction or another structure."""

    text: str
    is_token: bool
    is_fraction: bool


def joined(pieces: Iterable[Piece]) -> str:
    """Join pieces. A space separates pieces that would otherwise merge with an exponent or a fraction: 2 1/3, x^k a."""
    parts: list[str] = []
    last: Piece | None = None
    for piece in pieces:
        if not piece.text:
            continue
        if last is not None and last.text[-1].isalnum() and piece.text[0].isalnum():
            digits = last.text[-1].isdigit() and piece.text[0].isdigit()
            if not last.is_token or piece.is_fraction or (digits and not piece.is_token):
                parts.append(" ")
        parts.append(piece.text)
        last = piece
    return "".join(parts)


def fraction(above: str, below: str) -> str:
    below = below.strip()
    divided = below if below.isdigit() or len(below) == 1 or _is_wrapped(below) else f"({below})"
    return f"{grouped(above)}/{divided}"


def power(base: str, above: str, below: str = "") -> str:
    lowered = f"_{grouped(below)}" if below else ""
    return f"{base}{lowered}" + (f"^{grouped(above)}" if above else "")


def root(content: str, degree: str = "") -> str:
    if degree in _ROOTS:
        return f"{_ROOTS[degree]}({content})"
    return f"^{grouped(degree)}√({content})"


def grouped(text: str) -> str:
    """In parentheses, unless it is a single term."""
    text = text.strip()
    simple = text.replace(".", "").replace(",", "").removeprefix("-").removeprefix("−").isalnum()
    return text if simple or len(text) == 1 or _is_wrapped(text) or not text else f"({text})"


def _is_wrapped(text: str) -> bool:
    if not (text.startswith("(") and text.endswith(")")):
        return False
    depth = 0
    for at, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return at == len(text) - 1
    return False


def of_mathml(element: "etree._Element") -> str:
    """A MathML formula, without its ``annotation`` for programs."""
    try:
        return " ".join(_mathml(element).split())
    except RecursionError:
        return " ".join("".join(map(str, element.itertext())).split())


def _mathml(element: "etree._Element") -> str:  # noqa: PLR0911  # One case per kind of element.
    tag = element.tag.rpartition("}")[2].rpartition(":")[2] if isinstance(element.tag, str) else ""
    parts = [part for part in element if isinstance(part.tag, str)]
    if tag in ("annotation", "annotation-xml", "mphantom", "none", "mprescripts", ""):
        return ""
    if tag in _TOKENS:
        text = " ".join("".join(map(str, element.itertext())).split())
        return f" {text} " if tag == "mtext" or (tag == "mo" and text in ("=", "≤", "≥", "<", ">", "≠", "≈")) else text
    if tag == "mspace":
        return " "
    texts = [_mathml(part) for part in parts] if tag != "semantics" else [_mathml(part) for part in parts[:1]]
    tags = [str(part.tag).rpartition(":")[2] for part in parts]
    if tag == "mfrac" and len(texts) == 2:
        return fraction(*texts)
    if tag in ("msup", "mover") and len(texts) == 2:
        return texts[0] + texts[1] if tag == "mover" and not texts[1].isalnum() else power(base(texts[0]), texts[1])
    if tag in ("msub", "munder") and len(texts) == 2:
        return power(base(texts[0]), "", texts[1])
    if tag in ("msubsup", "munderover") and len(texts) == 3:
        return power(base(texts[0]), texts[2], texts[1])
    if tag == "msqrt":
        return root(joined(Piece(text, tag in _TOKENS, tag == "mfrac") for text, tag in zip(texts, tags, strict=True)))
    if tag == "mroot" and len(texts) == 2:
        return root(texts[0], texts[1].strip())
    if tag == "mfenced":
        inner = (element.get("separators") or ",")[0].join(texts)
        return f"{element.get('open', '(')}{inner}{element.get('close', ')')}"
    if tag == "mtable":
        return f"[{'; '.join(text.strip() for text in texts)}]"
    if tag in ("mtr", "mlabeledtr"):
        return ", ".join(text.strip() for text in texts)
    own = (element.text or "") if not parts else ""
    pieces = zip(texts, tags, strict=False)
    return own + joined(Piece(text, tag in _TOKENS, tag == "mfrac") for text, tag in pieces)


def base(text: str) -> str:
    """The base of a power or of an index."""
    text = text.strip()
    return text if len(text) < 2 or text.isalnum() or text[-1] in ")]}|" else f"({text})"
