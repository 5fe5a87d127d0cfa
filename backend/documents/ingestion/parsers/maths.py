"""Formulas in one line: ``(a+b)/2``, ``x_i^2``, ``√(x)``, from Office MathML (ECMA-376, part 1, 22.1) and MathML."""

from lxml import etree

_ROOTS = {"": "√", "2": "√", "3": "∛", "4": "∜"}


def fraction(above: str, below: str) -> str:
    return f"{grouped(above)}/{grouped(below)}"


def power(base: str, above: str, below: str = "") -> str:
    lowered = f"_{grouped(below)}" if below else ""
    return f"{base}{lowered}" + (f"^{grouped(above)}" if above else "")


def root(content: str, degree: str = "") -> str:
    if degree in _ROOTS:
        return f"{_ROOTS[degree]}({content})"
    return f"^{grouped(degree)}√({content})"


def grouped(text: str) -> str:
    """In parentheses, unless it is one thing."""
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
    """A formula of a page. Its second spelling, for machines (``annotation``), is left out."""
    try:
        return " ".join(_mathml(element).split())
    except RecursionError:
        return " ".join("".join(map(str, element.itertext())).split())


def _mathml(element: "etree._Element") -> str:  # noqa: PLR0911  # One case per kind of element.
    tag = element.tag.rpartition("}")[2].rpartition(":")[2] if isinstance(element.tag, str) else ""
    parts = [part for part in element if isinstance(part.tag, str)]
    if tag in ("annotation", "annotation-xml", "mphantom", "none", "mprescripts", ""):
        return ""
    if tag in ("mi", "mn", "mo", "mtext", "ms"):
        text = " ".join("".join(map(str, element.itertext())).split())
        return f" {text} " if tag == "mtext" or (tag == "mo" and text in ("=", "≤", "≥", "<", ">", "≠", "≈")) else text
    if tag == "mspace":
        return " "
    texts = [_mathml(part) for part in parts] if tag != "semantics" else [_mathml(part) for part in parts[:1]]
    if tag == "mfrac" and len(texts) == 2:
        return fraction(*texts)
    if tag in ("msup", "mover") and len(texts) == 2:
        return texts[0] + texts[1] if tag == "mover" and not texts[1].isalnum() else power(base(texts[0]), texts[1])
    if tag in ("msub", "munder") and len(texts) == 2:
        return power(base(texts[0]), "", texts[1])
    if tag in ("msubsup", "munderover") and len(texts) == 3:
        return power(base(texts[0]), texts[2], texts[1])
    if tag == "msqrt":
        return root("".join(texts))
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
    return own + "".join(texts)


def base(text: str) -> str:
    """What is raised to a power or has an index."""
    text = text.strip()
    return text if len(text) < 2 or text.isalnum() or text[-1] in ")]}|" else f"({text})"
