"""Files and documents that tests are about."""

import io
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


def uuid_of(public_id: str) -> UUID:
    return decode(public_id.partition("_")[0], public_id)
