"""Builds small DOCX files from pieces of WordprocessingML."""

import io
import zipfile
from collections.abc import Sequence

from backend.documents.ingestion.parsers import docx as reader
from backend.documents.ingestion.parsers.frames import Job

_OFFICE = "http://schemas.openxmlformats.org"
_NAMES = {
    "w": "wordprocessingml/2006/main",
    "r": "officeDocument/2006/relationships",
    "m": "officeDocument/2006/math",
    "mc": "markup-compatibility/2006",
    "a": "drawingml/2006/main",
    "dgm": "drawingml/2006/diagram",
}
NAMES = " ".join(f'xmlns:{prefix}="{_OFFICE}/{name}"' for prefix, name in _NAMES.items())
NAMES += ' xmlns:v="urn:schemas-microsoft-com:vml" xmlns:wps="urn:wps"'
STRICT = {
    "wordprocessingml/2006/main": "wordprocessingml/main",
    "officeDocument/2006/relationships": "officeDocument/relationships",
    "officeDocument/2006/math": "officeDocument/math",
}

Part = tuple[str, str, str | bytes]  # Kind of its relationship, path, content.


def run(text: str, properties: str = "") -> str:
    return f'<w:r><w:rPr>{properties}</w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'


def p(*runs: str, properties: str = "") -> str:
    texts = "".join(one if one.startswith("<") else run(one) for one in runs)
    return f"<w:p><w:pPr>{properties}</w:pPr>{texts}</w:p>"


def cell(*blocks: str, properties: str = "") -> str:
    texts = "".join(one if one.startswith("<") else p(one) for one in blocks)
    return f"<w:tc><w:tcPr>{properties}</w:tcPr>{texts or '<w:p/>'}</w:tc>"


def row(*cells: str, properties: str = "") -> str:
    texts = "".join(one if one.startswith("<") else cell(one) if one else cell() for one in cells)
    return f"<w:tr><w:trPr>{properties}</w:trPr>{texts}</w:tr>"


def table(*rows: str) -> str:
    return f"<w:tbl><w:tblPr/>{''.join(rows)}</w:tbl>"


def item(text: str, level: int = 0, num: int = 1) -> str:
    return p(text, properties=f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{num}"/></w:numPr>')


def level(index: int, text: str, written: str = "decimal", more: str = "", start: int = 1) -> str:
    return (
        f'<w:lvl w:ilvl="{index}"><w:start w:val="{start}"/><w:numFmt w:val="{written}"/>{more}'
        f'<w:lvlText w:val="{text}"/></w:lvl>'
    )


def numbering(*levels: str, nums: str = "", more: str = "") -> Part:
    """One abstract list, 0, and the list 1, which is a use of it."""
    content = (
        f'<w:numbering {NAMES}><w:abstractNum w:abstractNumId="0">{"".join(levels)}</w:abstractNum>{more}'
        f'<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num>{nums}</w:numbering>'
    )
    return ("numbering", "word/numbering.xml", content)


def styles(content: str) -> Part:
    return ("styles", "word/styles.xml", f"<w:styles {NAMES}>{content}</w:styles>")


def root(kind: str, path: str, tag: str, content: str) -> Part:
    return (kind, path, f"<w:{tag} {NAMES}>{content}</w:{tag}>")


def docx(
    body: str,
    *parts: Part,
    main: str = "word/document.xml",
    target: str = "",
    separator: str = "/",
    strict: bool = False,
) -> bytes:
    """The parts have the ids rId0, rId1 and so on, in their order."""
    folder, _, name = main.rpartition("/")
    rows = [(f"rId{index}", kind, "/" + path) for index, (kind, path, _) in enumerate(parts)]
    members: dict[str, str | bytes] = {
        "_rels/.rels": _relationships([("rId1", "officeDocument", target or main)]),
        main: f'<?xml version="1.0" encoding="UTF-8"?>\n<w:document {NAMES}><w:body>{body}</w:body></w:document>',
        f"{folder}/_rels/{name}.rels": _relationships(rows),
        **{path: content for _, path, content in parts},
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in members.items():
            if strict and isinstance(content, str):
                content = _made_strict(content)  # noqa: PLW2901
            archive.writestr(zipfile.ZipInfo(path.replace("/", separator)), content)
    return out.getvalue()


def _relationships(rows: Sequence[tuple[str, str, str]]) -> str:
    lines = "".join(
        f'<Relationship Id="{name}" Type="{_OFFICE}/officeDocument/2006/relationships/{kind}" Target="{target}"/>'
        for name, kind, target in rows
    )
    return f'<Relationships xmlns="{_OFFICE}/package/2006/relationships">{lines}</Relationships>'


def _made_strict(content: str) -> str:
    for transitional, other in STRICT.items():
        content = content.replace(f"{_OFFICE}/{transitional}", f"http://purl.oclc.org/ooxml/{other}")
    return content


def style(name: str, content: str, kind: str = "paragraph", based: str = "", more: str = "") -> str:
    based = f'<w:basedOn w:val="{based}"/>' if based else ""
    return f'<w:style w:type="{kind}" w:styleId="{name}" {more}>{based}{content}</w:style>'


def read(content: bytes, **limits: int) -> tuple[list[str], list[str]]:
    """The paragraphs, and the codes of the warnings."""
    job = Job(task="parse", content_type="", cpu_seconds=9, total_cpu_seconds=9, memory_bytes=1, **limits)
    text, warnings = reader.read(io.BytesIO(content), job)
    return text.split("\n\n") if text else [], [code for code, _ in warnings]


CLAUSES = numbering(level(0, "%1."), level(1, "%1.%2"), level(2, "(%3)", "lowerLetter"))
