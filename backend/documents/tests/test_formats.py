"""The text of each format, and the errors of files that cannot be read."""

import io
import json
import math
import zipfile
from pathlib import Path
from typing import Any

import docx
import pytest
from reportlab.pdfgen.canvas import Canvas

from backend.documents.ingestion.parsers.boxes import Rectangles
from backend.documents.ingestion.parsers.frames import Job
from backend.documents.ingestion.parsers.pdf import open_document, read_pages
from backend.documents.models import Document, Page
from backend.documents.tests.cast import ingestion_of, make_document, pdf, read, upload
from tests.actors import Person

pytestmark = pytest.mark.django_db


ENTITIES = (
    b'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;&a;">]>'
    b'<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">&b;</w:document>'
)


def text_of(person: Person, document: Document) -> str:
    text: str = json.loads(b"".join(person.get(f"/api/v1/documents/{document.public_id}/text")))["text"]
    return text


def failure(person: Person, content: bytes, name: str) -> dict[str, Any]:
    """How the document ends that is made of this."""
    response = upload(person, content, name)
    assert response.status_code == 201, response.content
    read(response.json()["id"])
    shown = person.get(f"/api/v1/documents/{response.json()['id']}").json()
    assert shown["status"] == "failed", shown
    assert shown["error"]["detail"]
    return dict(shown["error"])


def word(*paragraphs: str, table: list[list[str]] | None = None) -> bytes:
    document = docx.Document()
    document.add_heading("The heading", level=1)
    for paragraph in paragraphs:
        document.add_paragraph(paragraph)
    if table:
        grid = document.add_table(rows=len(table), cols=len(table[0]))
        for row, cells in zip(grid.rows, table, strict=True):
            for cell, text in zip(row.cells, cells, strict=True):
                cell.text = text
    target = io.BytesIO()
    document.save(target)
    return target.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return target.getvalue()


def test_pdf_pages_keep_their_numbers_and_the_boxes_of_their_lines(owner: Person) -> None:
    document = make_document(
        owner, pdf("The first page\nhas two lines.", "The second page speaks of turtles."), "a.pdf"
    )

    shown = owner.get(f"/api/v1/documents/{document.public_id}").json()
    assert (shown["page_count"], shown["progress"]["percent"]) == (2, 100)
    assert shown["progress"]["pages_done"] == shown["progress"]["pages_total"] == 2
    hit = owner.post("/api/v1/search", {"query": "turtles"}).json()["results"][0]
    text = text_of(owner, document)
    assert text[hit["char_start"] : hit["char_end"]] == hit["text"]
    box = next(box for box in hit["boxes"] if box["page"] == 2)
    assert text[box["char_start"] : box["char_end"]] == "The second page speaks of turtles."
    # Drawn at x = 72, baseline y = 760 of 595 × 842 points.
    assert box["x0"] == pytest.approx(72 / 595, abs=0.01)
    assert box["y1"] == pytest.approx(1 - 760 / 842, abs=0.01)
    assert box["y0"] < box["y1"]
    assert box["x0"] < box["x1"] < 1


def test_a_line_of_many_pieces_has_one_box_around_all_of_them(owner: Person) -> None:
    target = io.BytesIO()
    canvas = Canvas(target, pagesize=(1000, 800), invariant=1)
    for number in range(150):  # Each is a rectangle of its own for PDFium.
        canvas.drawString(50 + 6 * number, 400, "x")
    canvas.save()
    document = make_document(owner, target.getvalue(), "pieces.pdf")

    (line,) = Page.objects.get(ingestion=document.active_ingestion).lines
    assert line[0] == pytest.approx(500, abs=20)
    assert line[2] == pytest.approx(9500, abs=20)
    assert line[3] == pytest.approx(5000, abs=20)


@pytest.mark.parametrize("edge", [math.nan, math.inf, -math.inf])
def test_a_line_with_coordinates_that_are_not_numbers_has_no_box(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edge: float
) -> None:
    path = tmp_path / "odd.pdf"
    path.write_bytes(pdf("Nowhere."))
    monkeypatch.setattr(Rectangles, "around", lambda *args: (edge, 0.0, 10.0, 10.0))
    job = Job(task="parse", content_type="application/pdf", cpu_seconds=1, total_cpu_seconds=1, memory_bytes=1)

    with path.open("rb") as file:
        ((page, readable),) = read_pages(open_document(file), job)

    assert (page.text, page.lines, readable) == ("Nowhere.\n\n", [], True)


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_boxes_follow_the_rotation_of_the_page(owner: Person, rotation: int) -> None:
    document = make_document(owner, pdf("Rotated text", rotation=rotation, size=(800, 800)), f"{rotation}.pdf")

    line = Page.objects.get(ingestion=document.active_ingestion).lines[0]
    x, y = 72 / 800, 82 / 800  # The start of the baseline, unrotated.
    expected = {90: (1 - y, x), 180: (1 - x, 1 - y), 270: (y, 1 - x)}[rotation]
    corners = [(line[i] / 10_000, line[j] / 10_000) for i in (0, 2) for j in (1, 3)]
    assert min(abs(a - expected[0]) + abs(b - expected[1]) for a, b in corners) < 0.02


def test_hidden_elements_and_navigation_of_html_are_not_text(owner: Person) -> None:
    page = """<body><nav><ul><li>Home<li>Contact</ul></nav>before<p hidden>secret <b>words</b></p>after
    in<span hidden>visible</span>side<pre hidden>code</pre><p hidden=until-found>found</p></body>"""
    document = make_document(owner, page, "page.html")

    assert (
        json.loads(b"".join(owner.get(f"/api/v1/documents/{document.public_id}/text")))["text"]
        == "before\n\nafter inside\n\nfound"
    )


def test_the_rows_of_a_table_in_a_pdf_stay_lines(owner: Person) -> None:
    rows = "Janeiro R$ 410,00 R$ 95,00\nFevereiro R$ 415,00 R$ 96,5\nMarço R$ 398,00 R$ 97,25"
    paragraph = "In 1993 there were 12 of them who went on walking\nand 14 who stayed behind in the house of 1887."
    document = make_document(owner, pdf(rows, paragraph), "table.pdf")

    text = json.loads(b"".join(owner.get(f"/api/v1/documents/{document.public_id}/text")))["text"]

    assert rows in text
    assert paragraph.replace("\n", " ") in text


def test_a_pdf_without_text_is_ready_with_a_warning(owner: Person) -> None:
    document = make_document(owner, pdf("", ""), "scan.pdf")

    shown = owner.get(f"/api/v1/documents/{document.public_id}").json()
    assert [warning["code"] for warning in shown["warnings"]] == ["no_text"]
    assert (shown["page_count"], shown["chunk_count"]) == (2, 0)


@pytest.mark.parametrize(
    ("content", "name", "code"),
    [
        (pdf("Secret", password="sesame"), "locked.pdf", "encrypted"),
        (b"%PDF-1.7\nnothing of a PDF follows", "broken.pdf", "corrupt"),
        (pdf("Cut off")[:400], "cut.pdf", "corrupt"),
        (b"PK\x03\x04 no archive", "broken.docx", "corrupt"),
        (zipped({"word/document.xml": b"<w:document"}), "broken-xml.docx", "corrupt"),
        (zipped({"word/document.xml": ENTITIES}), "entities.docx", "corrupt"),
    ],
)
def test_a_file_that_cannot_be_read_fails_with_its_reason(owner: Person, content: bytes, name: str, code: str) -> None:
    error = failure(owner, content, name)

    assert (error["code"], error["retryable"]) == (code, False)


def test_an_archive_that_unpacks_without_end_is_refused_by_what_it_declares(owner: Person, settings: Any) -> None:
    settings.MAX_UNPACKED_BYTES = 1_000_000
    bomb = zipped({"word/document.xml": b"<w/>", "word/media/image1.bin": b"\0" * 5_000_000})

    assert len(bomb) < 10_000
    assert failure(owner, bomb, "bomb.docx")["code"] == "too_large"


def test_an_archive_that_declares_a_false_size_is_refused_by_its_unpacked_size(owner: Person, settings: Any) -> None:
    settings.MAX_UNPACKED_BYTES = 1_000_000
    bomb = zipped({"word/document.xml": b"<w>" + b" " * 5_000_000 + b"</w>"})
    lie = bomb.replace((5_000_007).to_bytes(4, "little"), (1_007).to_bytes(4, "little"))
    assert lie != bomb

    assert failure(owner, lie, "bomb.docx")["code"] in ("too_large", "corrupt")


def test_limits_of_pages_and_of_text(owner: Person, settings: Any) -> None:
    settings.MAX_DOCUMENT_PAGES = 2
    settings.MAX_DOCUMENT_CHARACTERS = 50

    assert failure(owner, pdf("1", "2", "3"), "long.pdf")["code"] == "too_large"
    assert failure(owner, b"word " * 20, "long.txt")["code"] == "too_large"
    assert failure(owner, pdf("word " * 9, "word " * 9), "full.pdf")["code"] == "too_large"


def test_memory_beyond_the_limit_ends_the_parser_and_not_the_worker(owner: Person, settings: Any) -> None:
    settings.PARSER_MEMORY_BYTES = 100_000_000
    settings.MAX_DOCUMENT_CHARACTERS = 1_000_000_000
    settings.MAX_UPLOAD_BYTES = 100_000_000

    error = failure(owner, b"word " * 10_000_000, "huge.txt")

    assert error["code"] == "too_complex"
    assert make_document(owner, "And the next document is read.").status == "ready"


def test_time_beyond_the_limit_ends_the_parser(owner: Person, settings: Any) -> None:
    settings.PARSER_CPU_SECONDS = 1
    settings.MAX_DOCUMENT_CHARACTERS = 1_000_000_000
    slow = b"<p>a <b>b</b> <i>c</i> <td>d" * 400_000

    assert failure(owner, slow, "slow.html")["code"] == "too_complex"


def test_wall_clock_beyond_the_limit_ends_the_parser(owner: Person, settings: Any) -> None:
    settings.PARSER_BATCH_SECONDS = 0.01
    slow = b"".join(b"*a_ `b [c](d) **e** <f> " for _ in range(100_000))

    assert failure(owner, slow, "slow.md")["code"] == "too_complex"


def test_docx_paragraphs_lists_and_tables_become_text(owner: Person) -> None:
    content = word("First paragraph.", "Segundo parágrafo\ncom duas linhas.", table=[["Name", "Age"], ["Ana", "42"]])
    document = make_document(owner, content, "letter.docx")

    assert text_of(owner, document).split("\n\n") == [
        "The heading",
        "First paragraph.",
        "Segundo parágrafo\ncom duas linhas.",
        "Name | Age",
        "Ana | 42",
    ]
    assert owner.get(f"/api/v1/documents/{document.public_id}").json()["page_count"] is None


def test_html_becomes_its_visible_text(owner: Person) -> None:
    page = """<!DOCTYPE html><html><head><title>The title</title><style>p { color: red }</style>
    <script>alert("never")</script></head><body><h1>A&ccedil;&atilde;o &amp; rea&ccedil;&atilde;o</h1>
    <p>One <b>bold</b>\n   word<br>and a break.</p><!-- hidden --><ul><li>first<li>second</ul>
    <table><tr><td>a</td><td>b</td></tr></table><pre>keeps\n  space</pre><noscript>not this</noscript>tail</body>"""
    document = make_document(owner, page, "page.html")

    assert text_of(owner, document).split("\n\n") == [
        *("The title", "Ação & reação", "One bold word\nand a break.", "- first", "- second", "a | b"),
        *("keeps\n  space", "tail"),
    ]


def test_html_whose_tags_are_never_closed_is_read_to_its_end(owner: Person) -> None:
    page = "<html><body>" + "".join(f"<p><font size=2><b>Clause {number} holds." for number in range(600))
    document = make_document(owner, page, "old.html")

    assert text_of(owner, document).split("\n\n") == [f"Clause {number} holds." for number in range(600)]


def test_html_may_have_unknown_tags(owner: Person) -> None:
    document = make_document(owner, "<p>The <depth>depth</depth> is 3 m.</p>", "pool.html")

    assert text_of(owner, document).split() == ["The", "depth", "is", "3", "m."]


def test_html_too_deep_to_be_read_whole_is_not_read_in_part(owner: Person) -> None:
    response = upload(owner, "<p>The beginning.</p>" + "<div>" * 6000 + "The end.", "deep.html")
    document = read(response.json()["id"])

    error = ingestion_of(document).error
    assert error is not None
    assert (document.status, error["code"]) == ("failed", "too_complex")


def test_markdown_becomes_text_without_its_marks(owner: Person) -> None:
    source = """# Title\n\nSome *emphasis* and a [link](https://example.com).\n\n- one\n- two\n\n| a | b |
|---|---|\n| 1 | 2 |\n\n```python\nprint("x")\n```\n\n<b>raw</b> html\n"""
    document = make_document(owner, source, "readme.md")

    assert text_of(owner, document).split("\n\n") == [
        *("Title", "Some emphasis and a link.", "- one", "- two", "a | b", "1 | 2", 'print("x")', "raw html"),
    ]


@pytest.mark.parametrize(
    "content",
    [
        "Ação, reação e pão".encode(),
        b"\xef\xbb\xbf" + "Ação, reação e pão".encode(),
        "Ação, reação e pão".encode("utf-16"),
        "Ação, reação e pão".encode("cp1252"),
    ],
)
def test_plain_text_in_any_usual_encoding(owner: Person, content: bytes) -> None:
    assert text_of(owner, make_document(owner, content, "text.txt")) == "Ação, reação e pão"


def test_control_characters_and_stray_marks_are_left_out(owner: Person) -> None:
    document = make_document(owner, "before\u200b and\u202e after\r\nnext\n\n\n\n\nlast", "odd.txt")

    assert text_of(owner, document) == "before and after\nnext\n\nlast"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("O contrato de trabalho não pode ser alterado sem o consentimento das partes envolvidas.", "pt"),
        ("The contract of employment may not be changed without the consent of both of the parties.", "en"),
        ("El contrato de trabajo no se puede cambiar sin el consentimiento de las partes.", "und"),
        ("Der Vertrag kann nicht ohne die Zustimmung der beiden Parteien geändert werden.", "und"),
        ("42 4711 0815", "und"),
    ],
)
def test_the_language_is_detected(owner: Person, text: str, language: str) -> None:
    document = make_document(owner, text)

    assert ingestion_of(document).language == language
    assert owner.get(f"/api/v1/documents/{document.public_id}").json()["language"] == language


def test_the_language_may_be_given(owner: Person) -> None:
    collection = owner.post("/api/v1/collections", {"name": "English", "language": "en-GB"}).json()

    assert collection["language"] == "en"
    assert ingestion_of(make_document(owner, "42", language="pt-BR")).language == "pt"
    assert ingestion_of(make_document(owner, "43", collection=collection["id"])).language == "en"
