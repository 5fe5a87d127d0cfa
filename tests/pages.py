"""PDF files made for tests."""

from io import BytesIO

from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas


def pdf(*pages: str, password: str | None = None) -> bytes:
    """A PDF with one page per text; a text's lines are its lines."""
    buffer = BytesIO()
    canvas = Canvas(buffer, pagesize=A4, encrypt=password, invariant=True)
    for page in pages:
        lines = canvas.beginText(72, A4[1] - 96)
        lines.setFont("Helvetica", 12)
        for line in page.splitlines():
            lines.textLine(line)
        canvas.drawText(lines)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()
