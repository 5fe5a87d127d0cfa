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


# Something to ask about: the answer is in the third line of the second page.
LINES = [
    "Capítulo 4. Das licenças",
    "O cais abre ao nascer do sol e fecha quando a última lanterna se apaga.",
    "A licença de pesca da lagoa Itaperema custa 318 cruzados por temporada.",
    "São isentos os residentes com mais de sessenta e cinco anos.",
]
REGULATION = pdf(
    "Regulamento da Lagoa Itaperema\nBarcos a motor navegam entre seis e vinte horas.",
    "\n".join(LINES),
    "Capítulo 9. Das multas\nQuem pesca sem licença paga multa de 90 cruzados ao cais.",
)
QUESTION = "Quanto custa a licença de pesca por temporada?"
