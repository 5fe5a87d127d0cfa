"""Small PDFs, written object by object, and what is read from them."""

import io
from collections.abc import Sequence
from tempfile import NamedTemporaryFile

from backend.documents.ingestion.parsers.frames import Job, PageText
from backend.documents.ingestion.parsers.pdf import open_document, read_pages

HELVETICA = "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>"
_JOB = Job(task="parse", content_type="application/pdf", cpu_seconds=1, total_cpu_seconds=1, memory_bytes=1)


def build(
    *contents: str, page: str = "", objects: Sequence[str | bytes] = (), catalog: str = "", resources: str = ""
) -> bytes:
    """A PDF with one page per content stream.

    :param page: more entries of each page; ``catalog`` and ``resources`` likewise.
    :param objects: further objects, numbered from 100.
    """
    bodies: dict[int, str | bytes] = {1: f"<</Type/Catalog/Pages 2 0 R{catalog}>>"}
    kids = [10 + 2 * number for number in range(len(contents))]
    bodies[2] = f"<</Type/Pages/Count {len(kids)}/Kids[{' '.join(f'{kid} 0 R' for kid in kids)}]>>"
    for kid, content in zip(kids, contents, strict=True):
        fonts = f"<</Font<</F1 {HELVETICA}>>{resources}>>"
        box = "" if "/MediaBox" in page else "/MediaBox[0 0 595 842]"
        bodies[kid] = f"<</Type/Page/Parent 2 0 R{box}/Resources{fonts}/Contents {kid + 1} 0 R{page}>>"
        bodies[kid + 1] = stream(content)
    bodies.update({100 + number: body for number, body in enumerate(objects)})
    out, places = io.BytesIO(), {}
    out.write(b"%PDF-1.7\n")
    for number, body in sorted(bodies.items()):
        places[number] = out.tell()
        out.write(b"%d 0 obj\n" % number + _bytes(body) + b"\nendobj\n")
    start, size = out.tell(), max(bodies) + 1
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % size)
    for number in range(1, size):
        out.write(b"%010d 00000 n \n" % places[number] if number in places else b"0000000000 00000 f \n")
    out.write(b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (size, start))
    return out.getvalue()


def stream(content: str, entries: str = "") -> bytes:
    data = _bytes(content)
    return _bytes(f"<<{entries}/Length {len(data)}>>\nstream\n") + data + b"\nendstream"


def at(x: float, y: float, text: str, size: float = 12) -> str:
    """Print with its baseline's start at this place."""
    text = text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
    return f"BT /F1 {size} Tf {x} {y} Td ({text}) Tj ET\n"


def lines(*texts: str, x: float = 72, y: float = 700, size: float = 12, leading: float = 14) -> str:
    return "".join(at(x, y - leading * number, text, size) for number, text in enumerate(texts))


def rows(*cells: Sequence[str], xs: Sequence[float] = (60, 160, 260, 360), leading: float = 14) -> str:
    """A table without rules, written row by row; an empty text leaves its cell empty."""
    return "".join(
        at(x, 700 - leading * number, text, 9)
        for number, row in enumerate(cells)
        for x, text in zip(xs, row, strict=False)
        if text
    )


def pages_of(data: bytes) -> list[PageText]:
    with NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        with open(file.name, "rb") as source:
            return [page for page, _ in read_pages(open_document(source), _JOB)]


def text_of(data: bytes) -> str:
    return "".join(page.text for page in pages_of(data)).strip()


def _bytes(content: str | bytes) -> bytes:
    return content if isinstance(content, bytes) else content.encode("cp1252")
