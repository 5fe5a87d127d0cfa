"""What a browser shows of an element, by its own attributes; style sheets are not read."""

from lxml import etree

# Never shown, or not as text. Navigation is the same on every page of a site, and found instead of what a page says.
_SILENT = {
    *("script", "style", "template", "noscript", "object", "iframe", "canvas", "audio", "video", "datalist", "rp"),
    "nav",
}
_STRUCK = {"del", "s", "strike"}


def is_hidden(tag: str, element: "etree._Element") -> bool:
    """Whether the element is not shown, or only struck out: what was withdrawn must not be quoted as if it held."""
    if tag in _SILENT or tag in _STRUCK or element.get("hidden") not in (None, "until-found"):
        return True
    if tag == "dialog" and element.get("open") is None:
        return True
    style = style_of(element)
    return bool(style) and (
        style.get("display") == "none"
        or style.get("visibility") in ("hidden", "collapse")
        or style.get("opacity") in ("0", "0.0", "0%")
        or style.get("font-size") in ("0", "0px", "0pt", "0em")
        or "line-through" in style.get("text-decoration", "") + style.get("text-decoration-line", "")
    )


def style_of(element: "etree._Element") -> dict[str, str]:
    """The declarations of the attribute ``style``, in lower case."""
    written = element.get("style")
    if not written:
        return {}
    pairs = (declaration.partition(":") for declaration in written.lower().split(";"))
    return {name.strip(): value.replace("!important", "").strip() for name, _, value in pairs}
