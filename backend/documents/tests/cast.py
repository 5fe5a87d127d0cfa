"""Helpers that create files and documents."""

import io
import zlib
from typing import Any
from uuid import UUID

from django.core.files.uploadedfile import SimpleUploadedFile
from reportlab.lib.pagesizes import A4
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen.canvas import Canvas

from backend.documents.ingestion import runner
from backend.documents.models import Document, Ingestion
from backend.http.ids import decode
from tests.actors import Person


def upload(person: Person, content: bytes | str, filename: str = "notes.txt", **fields: Any) -> Any:
    """POST a file as a browser does; the answer."""
    data = content.encode() if isinstance(content, str) else content
    kind = fields.pop("content_type", "application/octet-stream")
    headers = fields.pop("headers", {})
    return person.upload("/api/v1/documents", {"file": SimpleUploadedFile(filename, data, kind), **fields}, **headers)


def read(public_id: str) -> Document:
    """Do what a worker does with an uploaded document."""
    document = Document.objects.get(pk=decode("doc", public_id))
    assert document.latest_ingestion_id is not None
    runner.execute(ingestion_id=document.latest_ingestion_id)
    document.refresh_from_db()
    return document


def make_document(person: Person, content: bytes | str, filename: str = "notes.txt", **fields: Any) -> Document:
    """Upload and read a document that must become ready."""
    response = upload(person, content, filename, **fields)
    assert response.status_code == 201, response.content
    document = read(response.json()["id"])
    assert document.status == "ready", document.latest_ingestion.error if document.latest_ingestion else None
    return document


def ingestion_of(document: Document) -> Ingestion:
    document.refresh_from_db()
    assert document.latest_ingestion is not None
    return document.latest_ingestion


def pdf(*pages: str, password: str | None = None, rotation: int = 0, size: tuple[float, float] = A4) -> bytes:
    """A PDF with one line of print per line of each page's text."""
    target = io.BytesIO()
    encrypt = StandardEncryption(password) if password else None
    canvas = Canvas(target, pagesize=size, encrypt=encrypt, invariant=1)
    for page in pages:
        canvas.setPageRotation(rotation)
        canvas.setFont("Helvetica", 12)
        for number, line in enumerate(page.split("\n")):
            canvas.drawString(72, size[1] - 82 - 16 * number, line)
        canvas.showPage()
    canvas.save()
    return target.getvalue()


def slow_pdf(*strokes: int) -> bytes:
    """A small PDF, each page with so many strokes: a million take about half a second to read or to draw."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>"]
    kids = b" ".join(b"%d 0 R" % (3 + 2 * number) for number in range(len(strokes)))
    objects.append(b"<< /Type /Pages /Count %d /Kids [%s] >>" % (len(strokes), kids))
    for number, count in enumerate(strokes):
        content = zlib.compress(b"q 200 w\n" + b"0 0 m 600 800 l S\n" * count + b"Q\n", 9)
        objects.append(b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents %d 0 R >>" % (4 + 2 * number))
        objects.append(b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(content), content))
    out, places = bytearray(b"%PDF-1.5\n"), []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)


def uuid_of(public_id: str) -> UUID:
    return decode(public_id.partition("_")[0], public_id)
