"""Reading order, spacing and hyphens of text in PDFs."""

from collections.abc import Sequence
from itertools import chain

import pytest

from backend.documents.ingestion.parsers.hyphens import joint, words_of
from backend.documents.tests.pdfs import at, build, lines, pages_of, rows, text_of

LEFT = ("The tenant pays a rent of five", "hundred euros on the first day", "of each month to the owner.")
RIGHT = ("The owner insures the roof", "against storms and fire for ten", "years from the first payment.")
THIRD = ("Both parties may end this lease", "with a notice of three months", "before the end of a year.")
IN_LEFT, IN_RIGHT, IN_THIRD = (" ".join(column) for column in (LEFT, RIGHT, THIRD))


def columns(*texts: tuple[str, ...], leadings: tuple[float, ...] = (11, 11, 11), step: float = 170) -> str:
    """Columns of print, written line by line across all of them."""
    placed = [
        [at(60 + step * number, 700 - leading * row, text, 9) for row, text in enumerate(column)]
        for number, (column, leading) in enumerate(zip(texts, leadings, strict=False))
    ]
    return "".join(chain.from_iterable(zip(*placed, strict=True)))


ORDER = {
    "two columns": (columns(LEFT, RIGHT, step=260), [IN_LEFT, IN_RIGHT]),
    "three columns": (columns(LEFT, RIGHT, THIRD), [IN_LEFT, IN_RIGHT, IN_THIRD]),
    "columns of different leading": (columns(LEFT, RIGHT, leadings=(11, 14), step=260), [IN_LEFT, IN_RIGHT]),
    "a headline over both columns": (
        at(60, 730, "The lease of the whole house and of its garden, as agreed by both of them", 14)
        + columns(LEFT, RIGHT, step=260),
        ["as agreed by both of them", IN_LEFT, IN_RIGHT],
    ),
    "text below both columns": (
        columns(LEFT, RIGHT, step=260)
        + at(60, 640, "This last paragraph goes from the left edge of the page to its right edge, under both.", 11),
        [IN_LEFT, IN_RIGHT, "This last paragraph"],
    ),
    "a sentence that goes on in the next column": (
        columns(
            (*LEFT[:2], "of each month to"),
            ("the owner, who insures", "the roof against storms", "for years."),
            step=260,
        ),
        ["of each month to the owner, who insures the roof against storms for years."],
    ),
    "columns written one after the other": (
        lines(*LEFT, x=60, size=9, leading=11) + lines(*RIGHT, x=320, size=9, leading=11),
        [IN_LEFT, IN_RIGHT],
    ),
    "a hyphen at the end of a column's line": (
        columns(("The tenant pays an indem-", "nity of five hundred euros", "to the owner."), RIGHT, step=260),
        ["The tenant pays an indemnity of five hundred euros to the owner.", IN_RIGHT],
    ),
}


@pytest.mark.parametrize("name", ORDER)
def test_columns_are_read_one_after_the_other(name: str) -> None:
    content, parts = ORDER[name]
    text = text_of(build(content))

    places = [text.find(part) for part in parts]
    assert -1 not in places, text
    assert places == sorted(places)
    assert "|" not in text


TABLES = {
    "each row is a line": (
        rows(["No.", "Goods", "Unit", "Price"], ["1", "Chair", "pc.", "33,00"], ["2", "Desk", "pc.", "44,00"]),
        ["No. | Goods | Unit | Price", "1 | Chair | pc. | 33,00", "2 | Desk | pc. | 44,00"],
    ),
    "an empty cell": (
        rows(["Region", "January", "February", "March"], ["North", "", "", "30"], ["South", "10", "20", "40"]),
        ["Region | January | February | March", "North |  |  | 30", "South | 10 | 20 | 40"],
    ),
    "words, and no columns of prose": (
        rows(["Item", "Colour", "Made"], ["A table for six", "Dark brown", "Oak"], ["A bench", "Light red", "Pine"]),
        ["Item | Colour | Made", "A table for six | Dark brown | Oak", "A bench | Light red | Pine"],
    ),
    "a cell of two lines": (
        rows(["No.", "Goods", "Price"], ["1", "Chair with", "33,00"], leading=30)
        + at(160, 660, "two arms", 9)
        + at(60, 640, "2", 9) + at(160, 640, "Desk", 9) + at(260, 640, "44,00", 9),
        ["No. | Goods | Price", "1 | Chair with two arms | 33,00", "2 | Desk | 44,00"],
    ),
    "names and values": (
        rows(["Tenant:", "Marta Sample"], ["Rent:", "1450 euros"], ["Since:", "May"]),
        ["Tenant: Marta Sample", "Rent: 1450 euros", "Since: May"],
    ),
    "figures aligned on the right": (
        rows(["Year", "Sales"], ["2023"], ["2024", "1250"]) + at(175, 686, "7", 9),
        ["Year | Sales", "2023 | 7", "2024 | 1250"],
    ),
}  # fmt: skip


def right(*cells: Sequence[str], xs: Sequence[float]) -> str:
    """Rows of cells that end at these places, in a size of 10."""
    widths = dict.fromkeys("0123456789", 5.56) | {" ": 2.78, ".": 2.78, ",": 2.78}
    return "".join(
        at(x - sum(widths.get(letter, 5.5) for letter in text), 700 - 16 * number, text, 10)
        for number, row in enumerate(cells)
        for x, text in zip(xs, row, strict=True)
        if text
    )


for _gap in (5.5, 7, 9):
    TABLES[f"columns {_gap} points apart"] = (
        right(("Sales", "12", "345 000"), ("Costs", "7", "100 000"), ("Taxes", "88", "200 500"),
              xs=(110, 150, 150 + _gap + 36.2)),
        ["Sales | 12 | 345 000", "Costs | 7 | 100 000", "Taxes | 88 | 200 500"],
    )  # fmt: skip
for _gap in (7, 9):
    TABLES[f"empty cells, columns {_gap} points apart"] = (
        right(("Name", "2022", "2023"), ("Sales", "1 234", "567 890"), ("Costs", "12 345", "6 000"),
              ("Tax", "", "789 012"), ("Rent", "450", ""), xs=(110, 110 + _gap + 31, 110 + 2 * _gap + 67)),
        ["Name | 2022 | 2023", "Sales | 1 234 | 567 890", "Costs | 12 345 | 6 000", "Tax |  | 789 012", "Rent | 450 |"],
    )  # fmt: skip
TABLES["one value in each row"] = (
    right(("North", "South", "East"), ("", "", "9"), ("", "8", ""), ("7", "", ""), xs=(100, 180, 260)),
    ["North | South | East", "|  | 9", "| 8 |", "7 |  |"],
)
TABLES["two figures in one line"] = (at(72, 700, "12", 10) + at(90, 700, "345 000", 10), ["12 | 345 000"])
TABLES["a figure in groups"] = (at(72, 700, "Sales 12 345 000", 10), ["Sales 12 345 000"])
TABLES["numbers of rows"] = (
    "".join(at(60, 700 - 14 * n, str(10 + n), 10) + at(76, 700 - 14 * n, text, 10)
            for n, text in enumerate(("What did you pay?", "300 euros.", "When was that?"))),
    ["10 What did you pay? 11 | 300 euros.", "12 When was that?"],
)  # fmt: skip
TABLES["quantities that count upwards"] = (
    lines("1 red apples", "2 pears", "3 ripe plums", x=60, size=10),
    ["1 red apples 2 pears", "3 ripe plums"],
)  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_the_cells_of_a_table_stay_in_their_rows(name: str) -> None:
    content, expected = TABLES[name]

    assert text_of(build(content)).splitlines() == expected


COUNTED = (
    "The owner shall pay", "300 euros to the", "tenant within", "days of the end and", "200 euros for each", "month."
)  # fmt: skip


@pytest.mark.parametrize("first", [10, 98])
@pytest.mark.parametrize(("x", "beside"), [(60, 6), (60, 15), (60, 30), (300, 0)])
@pytest.mark.parametrize("apart", [False, True])
def test_line_numbers_are_not_part_of_the_text(first: int, x: float, beside: float, apart: bool) -> None:
    first -= 0 if apart else 9
    numbers = [at(x, 700 - 14 * n, str(first + n), 10) for n in range(len(COUNTED))]
    texts = [at(x + 17 + beside if beside else 72, 700 - 14 * n, text, 10) for n, text in enumerate(COUNTED)]
    written = [*numbers, *texts] if apart else list(chain.from_iterable(zip(numbers, texts, strict=True)))

    assert text_of(build("".join(written))).split() == " ".join(COUNTED).split()


def test_each_line_has_its_own_span_and_box_also_in_columns_and_tables() -> None:
    (page,) = pages_of(build(columns(LEFT, RIGHT, step=260) + at(60, 500, "North", 9) + at(300, 500, "30", 9)
                             + at(60, 486, "South", 9) + at(300, 486, "40", 9)))  # fmt: skip
    found = {page.text[start:end]: (x0, y0, x1, y1) for x0, y0, x1, y1, start, end in page.lines}

    assert [*found] == [*LEFT, *RIGHT, "North | 30", "South | 40"]
    for text, x, y in ((LEFT[1], 60, 689), (RIGHT[0], 320, 700), ("South | 40", 60, 486)):
        left, top, _, bottom = found[text]
        assert left / 10_000 == pytest.approx(x / 595, abs=0.003)
        assert top / 10_000 < 1 - y / 842 < bottom / 10_000 + 0.003
    assert found["South | 40"][2] > 300 / 595 * 10_000 > found[LEFT[0]][2]


SPACED = "[(C)-400(O)-400(N)-400(T)-400(R)-400(A)-400(C)-400(T)] TJ"
AS_WORDS = {
    "spaced by kerning": (f"BT /F1 14 Tf 72 700 Td {SPACED} ET", "CONTRACT"),
    "spaced by places": ("".join(at(72 + 15 * n, 700, c) for n, c in enumerate("Contract")), "Contract"),
    "spaced by spaces": (at(72, 700, "C O N T R A C T"), "CONTRACT"),
    "two spaced words": (at(72, 700, "L E A S E   O F   L A N D"), "LEASE OF LAND"),
    "spaced widely": ("".join(at(72 + 28 * n, 700, c) for n, c in enumerate("LEASE")), "LEASE"),
    "a list of letters": (at(72, 700, "A B C D E"), "A B C D E"),
    "short words": (at(72, 700, "a e o e a o"), "a e o e a o"),
    "figures": (at(72, 700, "1 2 3 4 5 6"), "1 2 3 4 5 6"),
    "printed twice to be bold": (at(72, 700, "Final price 120") + at(72.3, 700, "Final price 120"), "Final price 120"),
    "a note's number": (at(72, 700, "Rent: 300") + at(123.4, 705, "1", 7) + at(130, 700, "euros"), "Rent: 300^1 euros"),
    "a note's number by rise": ("(Rent: 300) Tj 5 Ts /F1 7 Tf (1) Tj 0 Ts /F1 12 Tf ( euros) Tj", "Rent: 300^1 euros"),
    "an exponent": ("(10) Tj 5 Ts /F1 7 Tf (-3) Tj 0 Ts /F1 12 Tf ( litres) Tj", "10^-3 litres"),
    "an area": ("(12 m) Tj 5 Ts /F1 7 Tf (2) Tj 0 Ts /F1 12 Tf (, 40 m) Tj 5 Ts /F1 7 Tf (3) Tj", "12 m^2, 40 m^3"),
    "a base": ("(101) Tj -3 Ts /F1 7 Tf (2) Tj 0 Ts /F1 12 Tf ( is 5) Tj", "101_2 is 5"),
    "a formula": ("(H) Tj -3 Ts /F1 7 Tf (2) Tj 0 Ts /F1 12 Tf (O) Tj", "H2O"),
    "ordinals": (at(72, 700, "Art. 1º, 2ª parte"), "Art. 1º, 2ª parte"),
    "small figures on the line": ("(A) Tj /F1 9 Tf (12) Tj", "A12"),
}  # fmt: skip


@pytest.mark.parametrize("name", AS_WORDS)
def test_letter_spaced_and_superscript_text(name: str) -> None:
    content, expected = AS_WORDS[name]
    content = content if content.startswith("BT") else f"BT /F1 12 Tf 72 700 Td {content} ET"

    assert text_of(build(content)) == expected


KEPT = """entregá-lo reúnem-se fazê-la compô-las parti-lo exigi-los substituí-lo dar-lhe dar-lhe-ei dar-lhe-/ei
far-se-/á entregá-la-ia tornou-se referir-se enviar-lhes tornando-se referimo-nos obrigo-me fizeram-no dão-se farão-se
trata-se refere-se aplica-se deve-se considera-se constitui-se entrega-o tornou-os cabe-lhe faz-se comunicar-nos
guarda-chuva segunda-feira terças-feiras bem-estar recém-nascido não-conformidade mão-de-/obra decreto-lei
vice-presidente well-known self-employed long-term 2023-2024 ABC-123 12.345.678/0001-95 www.long-name.org Saint-Denis"""
JOINED = """in-demnity con-trato contra-tante ex-clusivo obriga-ção pró-prio guarda-napo par-te gen-te interes-se
clas-se análi-se hipóte-se contratan-te me-nos huma-nos cader-nos deta-lhe volu-me confor-me esti-lo capítu-lo mode-lo
vári-os funcionári-os pesso-as conver-se univer-se no-vos agree-ment pe-las"""


@pytest.mark.parametrize(("words", "hyphen"), [(KEPT, "-"), (JOINED, "")])
def test_a_hyphen_at_the_end_of_a_line_is_kept_where_it_belongs_to_the_word(words: str, hyphen: str) -> None:
    for word in words.split():
        before, _, after = word.partition("/") if "/" in word[:-6] and word[0].isalpha() else word.rpartition("-")
        if word in ("dar-lhe-ei", "entregá-la-ia"):
            before, _, after = word.partition("-")
        assert joint(f"Então {before.removesuffix('-')}", f"{after} depois", frozenset()) == hyphen, word


def test_other_words_of_the_page_show_how_a_divided_word_is_spelled() -> None:
    assert joint("a co", "operação", words_of("a cooperação")) == ""
    assert joint("o micro", "ônibus", words_of("um micro-ônibus azul")) == "-"


def test_hyphens_of_pdfs() -> None:
    content = lines(
        "O comprador deve entregá-", "lo limpo. Em segunda-", "feira, com guarda-", "-chuva, de 2023-", "2024,"
    )
    content += lines("CNPJ 12.345.678/0001-", "95, a indem-", "nity of ten.", y=630)

    assert " ".join(text_of(build(content)).split()) == (
        "O comprador deve entregá-lo limpo. Em segunda-feira, com guarda-chuva, de 2023-2024, "
        "CNPJ 12.345.678/0001-95, a indemnity of ten."
    )
