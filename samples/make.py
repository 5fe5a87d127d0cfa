"""Makes the two sample contracts of this folder: `.venv/bin/python samples/make.py`, after `make test` has set up.

The same contract in English and in Portuguese, three pages each, with a heading, clauses and a table: something to
upload and ask about.
"""

from pathlib import Path

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

TITLE = ParagraphStyle("title", fontName="Times-Bold", fontSize=19, leading=24, spaceAfter=4 * mm)
PARTIES = ParagraphStyle("parties", fontName="Times-Italic", fontSize=11, leading=16, spaceAfter=6 * mm)
HEADING = ParagraphStyle(
    "heading", fontName="Times-Bold", fontSize=13, leading=18, spaceBefore=6 * mm, spaceAfter=2 * mm
)
BODY = ParagraphStyle("body", fontName="Times-Roman", fontSize=11, leading=16, spaceAfter=3 * mm, alignment=4)
PAGE = None  # Where a new page begins.

ENGLISH = (
    "Contract of Maintenance",
    "between Farol da Barra Ltda., CNPJ 12.345.678/0001-95 (the client), and Moinho Manutenção S.A., CNPJ "
    "98.765.432/0001-10 (the contractor), number 4711/2024-3",
    [
        ("1. Object", ["The contractor maintains the second tower of the client: its lifts, pumps and lamps."]),
        (
            "2. Duties of the contractor",
            [
                "The contractor inspects the tower every month and answers a fault within four hours, by day and by "
                "night. After each visit it hands over a signed report.",
                "The contractor keeps spare parts for the pumps on site, at its own cost.",
            ],
        ),
        ("3. Duties of the client", ["The client gives access to every room and names one person to speak with."]),
        PAGE,
        ("4. Price", ["The client pays by the 10th day of each month. The prices of this contract are:"]),
        [
            ["Service", "Unit", "Price in euros"],
            ["Monthly inspection", "month", "1,450.00"],
            ["Night call", "call", "180.00"],
            ["Lamp, replaced", "piece", "36.50"],
        ],
        (
            "5. Delay",
            ["A client who pays late owes a penalty of 2 percent of the invoice, and interest of 1 percent a month."],
        ),
        PAGE,
        (
            "6. Term",
            [
                "The contract begins on 1 April 2026. The contract ends on 31 March 2031. It may be renewed once, in "
                "writing, for two years.",
            ],
        ),
        (
            "7. Termination",
            [
                "Either party may end the contract with a notice of ninety days. Whoever ends it before its term pays "
                "a penalty of three monthly inspections.",
            ],
        ),
        ("8. Court", ["The parties choose the court of Porto Alegre."]),
    ],
)
PORTUGUESE = (
    "Contrato de Manutenção",
    "entre Farol da Barra Ltda., CNPJ 12.345.678/0001-95 (a contratante), e Moinho Manutenção S.A., CNPJ "
    "98.765.432/0001-10 (a contratada), número 4711/2024-3",
    [
        (
            "1. Objeto",
            ["A contratada faz a manutenção da segunda torre da contratante: elevadores, bombas e lâmpadas."],
        ),
        (
            "2. Obrigações da contratada",
            [
                "A contratada inspeciona a torre todo mês e atende uma falha em até quatro horas, de dia e de noite. "
                "Depois de cada visita, entrega um relatório assinado.",
                "A contratada mantém no local, por sua conta, peças de reposição das bombas.",
            ],
        ),
        ("3. Obrigações da contratante", ["A contratante dá acesso a todas as salas e indica uma pessoa de contato."]),
        PAGE,
        ("4. Preço", ["A contratante paga até o dia 10 de cada mês. Os preços deste contrato são:"]),
        [
            ["Serviço", "Unidade", "Preço em euros"],
            ["Inspeção mensal", "mês", "1.450,00"],
            ["Chamado noturno", "chamado", "180,00"],
            ["Lâmpada trocada", "peça", "36,50"],
        ],
        ("5. Atraso", ["Quem paga com atraso deve multa de 2 por cento da fatura e juros de 1 por cento ao mês."]),
        PAGE,
        (
            "6. Prazo",
            [
                "O contrato começa em 1º de abril de 2026. O contrato termina em 31 de março de 2031. Pode ser "
                "renovado uma vez, por escrito, por dois anos.",
            ],
        ),
        (
            "7. Rescisão",
            [
                "Qualquer das partes pode encerrar o contrato com aviso de noventa dias. Quem o encerra antes do prazo "
                "paga multa de três inspeções mensais.",
            ],
        ),
        ("8. Foro", ["As partes elegem o foro de Porto Alegre."]),
    ],
)


def make(path: Path, title: str, parties: str, parts: list[object]) -> None:
    story: list[object] = [Paragraph(title, TITLE), Paragraph(parties, PARTIES)]
    for part in parts:
        match part:
            case None:
                story.append(PageBreak())
            case (str(heading), list(paragraphs)):
                story += [Paragraph(heading, HEADING), *(Paragraph(text, BODY) for text in paragraphs)]
            case list(rows):
                table = Table(rows, colWidths=[80 * mm, 40 * mm, 40 * mm])
                lines = [("LINEBELOW", (0, 0), (-1, -1), 0.4, colors.HexColor("#a79c94"))]
                fonts = [("FONT", (0, 0), (-1, 0), "Times-Bold", 11), ("FONT", (0, 1), (-1, -1), "Times-Roman", 11)]
                table.setStyle(TableStyle([*lines, *fonts, ("ALIGN", (2, 0), (2, -1), "RIGHT")]))
                story += [table, Spacer(1, 4 * mm)]
    document = SimpleDocTemplate(
        str(path), pagesize=A4, leftMargin=28 * mm, rightMargin=28 * mm, topMargin=28 * mm, title=title, invariant=True
    )

    def number(canvas: object, _: object) -> None:
        canvas.setFont("Times-Roman", 9)  # type: ignore[attr-defined]  # reportlab has no types.
        canvas.drawCentredString(A4[0] / 2, 14 * mm, str(document.page))  # type: ignore[attr-defined]

    document.build(story, onFirstPage=number, onLaterPages=number)


if __name__ == "__main__":
    folder = Path(__file__).resolve().parent
    make(folder / "contract.pdf", *ENGLISH)
    make(folder / "contrato.pdf", *PORTUGUESE)
