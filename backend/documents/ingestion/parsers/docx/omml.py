"""Writes Office MathML (ECMA-376, part 1, 22.1) in one line."""

from collections.abc import Iterator

from .. import formulas
from .xml import Element, M, W

_LEFT_OUT = {W + "del", W + "moveFrom", W + "rPr", W + "pPr"}


def formula(element: Element) -> str:
    """``E=mc^2``, ``(a+b)/2``, ``∑_(i=1)^n (i)``."""
    tag = element.tag
    if tag == M + "t":
        return element.text or ""
    if not isinstance(tag, str) or tag in _LEFT_OUT or (tag.startswith(M) and tag.endswith("Pr")):
        return ""
    read = _READERS.get(tag.rpartition("}")[2]) if tag.startswith(M) else None
    return read(element) if read else _inside(element)


def _inside(element: Element) -> str:
    return formulas.joined(formulas.Piece(formula(one), one.tag == M + "r", one.tag == M + "f") for one in element)


def _part(element: Element, name: str) -> str:
    found = element.find(M + name)
    return "" if found is None else _inside(found).strip()


def _property(element: Element, name: str) -> Element | None:
    kind = element.tag.rpartition("}")[2]
    return element.find(f"{M}{kind}Pr/{M}{name}")


def _value(element: Element, name: str, otherwise: str) -> str:
    found = _property(element, name)
    return otherwise if found is None else found.get(M + "val", "")


def _parts(element: Element, name: str) -> Iterator[str]:
    return (_inside(one).strip() for one in element.iterchildren(M + name))


def _fraction(element: Element) -> str:
    above, below = _part(element, "num"), _part(element, "den")
    if _value(element, "type", "") == "noBar":  # A binomial coefficient, in the brackets around it.
        return f"{above} over {below}"
    return formulas.fraction(above, below)


def _scripts(element: Element) -> str:
    return formulas.power(formulas.base(_part(element, "e")), _part(element, "sup"), _part(element, "sub"))


def _prescripts(element: Element) -> str:
    return formulas.power("", _part(element, "sup"), _part(element, "sub")) + formulas.base(_part(element, "e"))


def _root(element: Element) -> str:
    hidden = _property(element, "degHide")
    is_square = hidden is not None and hidden.get(M + "val", "1") in ("1", "on", "true")
    return formulas.root(_part(element, "e"), "" if is_square else _part(element, "deg"))


def _n_ary(element: Element) -> str:
    sign = formulas.power(_value(element, "chr", "∫"), _part(element, "sup"), _part(element, "sub"))
    return f"{sign} {formulas.grouped(_part(element, 'e'))}"


def _delimited(element: Element) -> str:
    inner = _value(element, "sepChr", "|").join(_parts(element, "e"))
    return f"{_value(element, 'begChr', '(')}{inner}{_value(element, 'endChr', ')')}"


def _function(element: Element) -> str:
    return f"{_part(element, 'fName')} {_part(element, 'e')}"


def _below(element: Element) -> str:
    return formulas.power(formulas.base(_part(element, "e")), "", _part(element, "lim"))


def _above(element: Element) -> str:
    return formulas.power(formulas.base(_part(element, "e")), _part(element, "lim"))


def _accent(element: Element) -> str:
    return _part(element, "e") + _value(element, "chr", "\u0302")


def _matrix(element: Element) -> str:
    rows = (", ".join(_parts(row, "e")) for row in element.iterchildren(M + "mr"))
    return f"[{'; '.join(rows)}]"


def _array(element: Element) -> str:
    return "; ".join(_parts(element, "e"))


def _phantom(element: Element) -> str:
    shown = _property(element, "show")
    return "" if shown is not None and shown.get(M + "val", "1") in ("0", "off", "false") else _part(element, "e")


def _paragraph(element: Element) -> str:
    return "\n".join(filter(None, (formula(one).strip() for one in element)))


_READERS = {
    "f": _fraction,
    "sSup": _scripts,
    "sSub": _scripts,
    "sSubSup": _scripts,
    "sPre": _prescripts,
    "rad": _root,
    "nary": _n_ary,
    "d": _delimited,
    "func": _function,
    "limLow": _below,
    "limUpp": _above,
    "acc": _accent,
    "m": _matrix,
    "eqArr": _array,
    "phant": _phantom,
    "oMathPara": _paragraph,
}
