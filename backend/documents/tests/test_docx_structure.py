"""Tables and lists of a DOCX: every value in its column, every paragraph with its number in Word."""

import pytest

from backend.documents.tests.wordml import (
    CLAUSES,
    Part,
    cell,
    docx,
    item,
    level,
    numbering,
    p,
    read,
    row,
    run,
    style,
    styles,
    table,
)

TABLES = [
    (
        "empty cells",
        table(row("North", "", "", "30"), row("South", "10", "20", "40")),
        "North |  |  | 30\nSouth | 10 | 20 | 40",
    ),
    ("an empty cell at the end", table(row("a", "b"), row("c", "")), "a | b\nc |"),
    ("paragraphs in a cell", table(row("a", cell("b", "c")), row("d", cell("10", "500"))), "a | b c\nd | 10 / 500"),
    (
        "merged cells",
        table(
            row(cell("Gold", properties='<w:vMerge w:val="restart"/>'), "Jan", "5"),
            row(cell(properties="<w:vMerge/>"), "Feb", "6"),
            row(cell("Total", properties='<w:gridSpan w:val="2"/>'), "11"),
        ),
        "Gold | Jan | 5\n| Feb | 6\nTotal |  | 11",
    ),
    (
        "old merges in a row",
        table(
            row(cell("T", properties='<w:hMerge w:val="restart"/>'), cell("no", properties="<w:hMerge/>"), "x"),
            row("a", "b", "c"),
        ),
        "T |  | x\na | b | c",
    ),
    (
        "cells before and after",
        table(
            row("a", "b", "c"),
            row("x", properties='<w:gridBefore w:val="2"/>'),
            row("y", properties='<w:gridAfter w:val="2"/>'),
        ),
        "a | b | c\n|  | x\ny |  |",
    ),
    (
        "a table in a cell",
        table(row("a", cell(table(row("1", "2"), row("3", "4")))), row("b", "c")),
        "a | 1, 2; 3, 4\nb | c",
    ),
    ("one column", table(row(cell("one", "two")), row("three")), "one\ntwo\nthree"),
    (
        "rows and cells in controls",
        table(
            "<w:sdt><w:sdtContent>"
            + row("a", "<w:sdt><w:sdtContent>" + cell("b") + "</w:sdtContent></w:sdt>")
            + "</w:sdtContent></w:sdt>"
        ),
        "a | b",
    ),
    ("a deleted row", table(row("a", "b"), row("c", "d", properties='<w:del w:id="1"/>')), "a | b"),
    ("a row that all span", table(row(*[cell(t, properties='<w:gridSpan w:val="3"/>') for t in "ab"])), "a | b"),
    (
        "as many columns as no table has",
        table(row(cell("a", properties='<w:gridSpan w:val="999999"/>'), "b"), row("c")),
        "a | b\nc |",
    ),
]


@pytest.mark.parametrize(("body", "expected"), [case[1:] for case in TABLES], ids=[case[0] for case in TABLES])
def test_values_stay_in_their_columns(body: str, expected: str) -> None:
    assert read(docx(body))[0] == expected.split("\n")


NUMBERS = [
    (
        "of several levels",
        CLAUSES,
        item("A") + item("b", 1) + item("B") + item("c", 1) + item("d", 2) + item("e", 2) + item("f", 1),
        "1. A,1.1 b,2. B,2.1 c,(a) d,(b) e,2.2 f",
    ),
    (
        "with words around",
        numbering(level(0, "Cláusula %1ª", more='<w:suff w:val="space"/>')),
        item("Objeto") + item("Preço"),
        "Cláusula 1ª Objeto,Cláusula 2ª Preço",
    ),
    ("that do not begin at one", numbering(level(0, "%1)", start=5)), item("A") + item("B"), "5) A,6) B"),
    (
        "in Roman, letters, ordinals",
        numbering(level(0, "%1.", "upperRoman"), level(1, "%2)", "lowerLetter"), level(2, "%3", "ordinal")),
        item("A") + item("a", 1) + item("b", 2) + item("B") + item("C") + item("D"),
        "I. A,a) a,1st b,II. B,III. C,IV. D",
    ),
    ("with zeros", numbering(level(0, "%1", "decimalZero")), item("A"), "01 A"),
    ("of bullets", numbering(level(0, "", "bullet")), item("A"), "- A"),
    ("that are not shown", numbering(level(0, "", "none")), item("A"), "A"),
    (
        "begun anew",
        numbering(
            level(0, "%1."),
            nums='<w:num w:numId="2"><w:abstractNumId w:val="0"/><w:lvlOverride w:ilvl="0">'
            '<w:startOverride w:val="7"/></w:lvlOverride></w:num>',
        ),
        item("A") + item("B") + item("C", num=2) + item("D", num=2),
        "1. A,2. B,7. C,8. D",
    ),
    (
        "that go on in another use",
        numbering(level(0, "%1."), nums='<w:num w:numId="2"><w:abstractNumId w:val="0"/></w:num>'),
        item("A") + p("between") + item("B", num=2),
        "1. A,between,2. B",
    ),
    (
        "that never restart",
        numbering(level(0, "%1."), level(1, "%1.%2", more='<w:lvlRestart w:val="0"/>')),
        item("A") + item("a", 1) + item("B") + item("b", 1),
        "1. A,1.1 a,2. B,2.2 b",
    ),
    (
        "in digits for the law",
        numbering(level(0, "%1", "upperRoman"), level(1, "%1.%2", more="<w:isLgl/>")),
        item("A") + item("a", 1),
        "I A,1.1 a",
    ),
    (
        "of another definition",
        numbering(
            level(0, "%1."),
            nums='<w:num w:numId="2"><w:abstractNumId w:val="0"/>'
            f'<w:lvlOverride w:ilvl="0">{level(0, "[%1]")}</w:lvlOverride></w:num>',
        ),
        item("A", num=2),
        "[1] A",
    ),
    ("switched off", CLAUSES, item("A") + item("none", num=0) + item("B"), "1. A,none,2. B"),
    (
        "deleted with their paragraph",
        CLAUSES,
        item("A")
        + p(
            "<w:del>" + run("x") + "</w:del>",
            properties='<w:numPr><w:ilvl w:val="0"/><w:numId w:val="1"/></w:numPr><w:rPr><w:del/></w:rPr>',
        )
        + item("B"),
        "1. A,2. B",
    ),
    ("of paragraphs without text", CLAUSES, item("A") + item("") + item("B"), "1. A,3. B"),
    ("in a table", CLAUSES, table(row(cell(item("A")), "x"), row(cell(item("B")), "y")), "1. A | x,2. B | y"),
    ("of lists that are not there", CLAUSES, item("A", num=9), "A"),
]


@pytest.mark.parametrize(
    ("part", "body", "expected"), [case[1:] for case in NUMBERS], ids=[case[0] for case in NUMBERS]
)
def test_paragraphs_have_their_numbers(part: Part, body: str, expected: str) -> None:
    assert read(docx(body, part))[0] == expected.split(",")


def test_styles_number_paragraphs() -> None:
    linked = numbering(
        level(0, "%1.", more='<w:pStyle w:val="Clause"/>'),
        level(1, "%1.%2", more='<w:pStyle w:val="Sub"/>'),
        more='<w:abstractNum w:abstractNumId="5"><w:numStyleLink w:val="Outline"/></w:abstractNum>'
        f'<w:abstractNum w:abstractNumId="6"><w:styleLink w:val="Outline"/>{level(0, "§ %1")}</w:abstractNum>',
        nums='<w:num w:numId="5"><w:abstractNumId w:val="5"/></w:num>',
    )
    own = '<w:pPr><w:numPr><w:numId w:val="1"/></w:numPr></w:pPr>'
    sheet = styles(
        style("Clause", own)
        + style("Special", "", based="Clause")
        + style("Sub", own)
        + style("Plain", '<w:pPr><w:numPr><w:numId w:val="0"/></w:numPr></w:pPr>', based="Clause")
    )
    body = "".join(
        p(text, properties=f'<w:pStyle w:val="{name}"/>')
        for text, name in (("A", "Clause"), ("a", "Sub"), ("B", "Special"), ("none", "Plain"), ("b", "Sub"))
    )

    assert read(docx(body + item("c", num=5), linked, sheet))[0] == ["1. A", "1.1 a", "2. B", "none", "2.1 b", "§ 1 c"]


def test_ordinals_are_those_of_the_language_of_the_document() -> None:
    sheet = styles('<w:docDefaults><w:rPrDefault><w:rPr><w:lang w:val="pt-BR"/></w:rPr></w:rPrDefault></w:docDefaults>')
    part = numbering(level(0, "Artigo %1", "ordinal"), level(1, "Cláusula %2", "ordinalText"))

    assert read(docx(item("A") + item("B", 1), part, sheet))[0] == ["Artigo 1º A", "Cláusula Primeiro B"]
