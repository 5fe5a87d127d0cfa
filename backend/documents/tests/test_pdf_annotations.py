"""Fields, free text and stamps of a PDF are read at their places."""

import pytest

from backend.documents.tests.cast import make_document
from backend.documents.tests.pdfs import HELVETICA, at, build, pages_of, stream, text_of
from tests.actors import Person

RESOURCES = f"/DR<</Font<</Helv {HELVETICA}>>>>/DA(/Helv 12 Tf 0 g)"
ON = "/AP<</N<</Yes 150 0 R/Off 150 0 R>>>>"
DRAWN = stream(
    "BT /Helv 12 Tf 2 4 Td (APPROVED) Tj ET",
    f"/Type/XObject/Subtype/Form/BBox[0 0 228 30]/Resources<</Font<</Helv {HELVETICA}>>>>",
)


def widget(rect: str, entries: str) -> str:
    flags = "" if "/F " in entries else "/F 4"
    return f"<</Type/Annot/Subtype/Widget/T(field{rect}){flags}/Rect[{rect}]{entries}>>"


def text(rect: str, value: str, entries: str = "") -> str:
    return widget(rect, f"/FT/Tx/V({value}){entries}")


def form(content: str, *widgets: str) -> bytes:
    references = " ".join(f"{100 + number} 0 R" for number in range(len(widgets)))
    catalog = f"/AcroForm<</Fields[{references}]{RESOURCES}/NeedAppearances true>>"
    return build(content, page=f"/Annots[{references}]", objects=widgets, catalog=catalog)


def annotated(*annotations: str) -> bytes:
    references = " ".join(f"{101 + number} 0 R" for number in range(len(annotations)))
    return build(at(72, 700, "Printed."), page=f"/Annots[{references}]", objects=[DRAWN, *annotations])


SHOWN = {
    "behind their labels": (
        form(
            at(72, 700, "Tenant:") + at(72, 650, "Rent:"),
            text("200 696 400 714", "Marta"),
            text("200 646 400 664", "1450"),
        ),
        ["Tenant: Marta", "", "Rent: 1450"],
    ),
    "two in a line": (
        form(
            at(72, 700, "Name:") + at(300, 700, "Phone:"),
            text("120 696 200 712", "Ana"),
            text("350 696 420 712", "5551"),
        ),
        ["Name: Ana Phone: 5551"],
    ),
    "within a sentence": (
        form(at(72, 700, "Pay") + at(160, 700, "euros a month."), text("97 696 150 712", "50")),
        ["Pay 50 euros a month."],
    ),
    "on a line of dots": (
        form(at(72, 700, "Pay ________ euros a month."), text("97 696 150 712", "50")),
        ["Pay 50 euros a month."],
    ),
    "below a label": (
        form(at(72, 700, "Full name") + at(72, 650, "Next"), text("72 678 300 694", "Marta")),
        ["Full name", "Marta", "", "Next"],
    ),
    "several lines": (
        form(at(72, 700, "Notes:") + at(72, 600, "The end."), text("120 640 300 712", "First\\rSecond", "/Ff 4096")),
        ["Notes: First", "Second", "The end."],
    ),
    "one letter in each box": (
        form(at(72, 700, "Code:"), text("120 696 300 712", "12345", "/Ff 16777216/MaxLen 5")),
        ["Code: 12345"],
    ),
    "boxes to be checked": (
        form(
            at(90, 700, "I agree") + at(90, 680, "I disagree"),
            widget("72 698 84 710", f"/FT/Btn/V/Yes/AS/Yes{ON}"),
            widget("72 678 84 690", f"/FT/Btn/AS/Off{ON}"),
        ),
        ["[x] I agree", "[ ] I disagree"],
    ),
    "a choice": (
        form(at(72, 700, "City:"), widget("120 696 200 712", "/FT/Ch/Ff 131072/V(b)/Opt[[(a)(Porto)][(b)(Lisbon)]]")),
        ["City: Lisbon"],
    ),
    "several choices": (
        form(at(72, 700, "Cities:"), widget("120 640 200 712", "/FT/Ch/Ff 2097152/V[(A)(C)]/I[0 2]/Opt[(A)(B)(C)]")),
        ["Cities: A, C"],
    ),
    "hidden": (form(at(72, 700, "Hidden:"), text("120 696 300 712", "secret", "/F 2")), ["Hidden:"]),
    "not shown on a screen": (form(at(72, 700, "Hidden:"), text("120 696 300 712", "secret", "/F 32")), ["Hidden:"]),
    "a password": (form(at(72, 700, "Password:"), text("120 696 300 712", "secret", "/Ff 8192")), ["Password:"]),
    "no value": (form(at(72, 700, "Empty:"), text("120 696 300 712", "")), ["Empty:"]),
    "typed on": (
        annotated("<</Type/Annot/Subtype/FreeText/Rect[72 600 300 618]/Contents(Moved to June)/DA(/Helv 12 Tf)/F 4>>"),
        ["Printed.", "", "Moved to June"],
    ),
    "typed on, hidden": (
        annotated("<</Type/Annot/Subtype/FreeText/Rect[72 600 300 618]/Contents(Moved to June)/DA(/Helv 12 Tf)/F 2>>"),
        ["Printed."],
    ),
    "a stamp": (
        annotated("<</Type/Annot/Subtype/Stamp/Rect[72 600 300 630]/F 4/AP<</N 100 0 R>>>>"),
        ["Printed.", "", "APPROVED"],
    ),
    "a hidden stamp": (
        annotated("<</Type/Annot/Subtype/Stamp/Rect[72 600 300 630]/F 2/AP<</N 100 0 R>>>>"),
        ["Printed."],
    ),
    "a note that opens on a click": (
        annotated("<</Type/Annot/Subtype/Text/Contents(pops up)/Rect[9 9 20 20]/F 4>>"),
        ["Printed."],
    ),
}


@pytest.mark.parametrize("name", SHOWN)
def test_annotations_are_read_where_they_are_shown(name: str) -> None:
    document, expected = SHOWN[name]

    assert text_of(document).splitlines() == expected


def test_the_box_of_a_line_includes_its_field() -> None:
    (page,) = pages_of(SHOWN["behind their labels"][0])
    left, top, right, bottom, start, end = page.lines[0]

    assert page.text[start:end] == "Tenant: Marta"
    assert left / 10_000 == pytest.approx(72 / 595, abs=0.003)
    assert right / 10_000 == pytest.approx(400 / 595, abs=0.003)
    assert top / 10_000 == pytest.approx(1 - 714 / 842, abs=0.003)
    assert bottom / 10_000 == pytest.approx(1 - 696 / 842, abs=0.003)


def test_a_page_with_very_many_fields_keeps_its_text() -> None:
    fields = (text(f"72 {600 - n % 500} 200 {610 - n % 500}", f"value {n}") for n in range(6_000))

    content = form(at(72, 700, "Printed."), *fields)

    assert text_of(content) == "Printed."
    assert [page.fields_left_out for page in pages_of(content)] == [True]


@pytest.mark.django_db
def test_fields_that_were_left_out_give_a_warning(owner: Person) -> None:
    fields = (text(f"72 {600 - n % 500} 200 {610 - n % 500}", f"value {n}") for n in range(2_001))
    document = make_document(owner, form(at(72, 700, "Printed."), *fields), "form.pdf")

    shown = owner.get(f"/api/v1/documents/{document.public_id}").json()
    assert shown["status"] == "ready"
    assert shown["warnings"] == [
        {"code": "fields_left_out", "detail": "Page 1 has too many form fields and notes; they were left out."}
    ]
