"""Sentences that continue on the next page are found and cited whole, with any headers and footers between."""

import pytest

from backend.documents.ingestion import chunker
from backend.documents.models import Chunk
from backend.documents.tests.cast import make_document
from backend.documents.tests.pdfs import at, build, lines, pages_of
from tests.actors import Person

TOP = ("Lease of the flat in Harbour Street.", "The deposit must be paid back within")
REST = "fourteen days after the keys are returned."
WHOLE = f"{TOP[1]} {REST}"
NEXT = "The next clause speaks of the garden."


def with_edges(*bodies: str, header: str = "Contract 4711/2024", footer: str = "Page {} of {}") -> bytes:
    """Pages with a header and a footer; in the footer the page's number and how many there are."""
    return build(
        *(
            (at(72, 800, header, 9) if header else "")
            + body
            + (at(280, 30, footer.format(number, len(bodies)), 9) if footer else "")
            for number, body in enumerate(bodies, 1)
        )
    )


ENDS = {
    "plain": (build(lines(*TOP), lines(REST)), WHOLE),
    "headers and footers": (with_edges(lines(*TOP), lines(REST)), WHOLE),
    "page numbers alone": (with_edges(lines(*TOP), lines(REST), header="", footer="{}"), WHOLE),
    "a hyphen": (build(lines("They agree to an indem-"), lines("nity of ten euros.")), "an indemnity of ten euros."),
    "a hyphen that stays": (
        with_edges(lines("O comprador deve entregá-"), lines("lo limpo.")),
        "O comprador deve entregá-lo limpo.",
    ),
    "figures": (build(lines("The rent is due within"), lines("14 days.")), "The rent is due within 14 days."),
    "a name": (build(lines("It was signed by"), lines("Marta Sample.")), "It was signed by Marta Sample."),
    "two columns": (
        build(
            at(60, 700, "The tenant pays a rent of", 9) + at(320, 700, "euros a month. The deposit of the", 9)
            + at(60, 689, "exactly five hundred and fifty", 9) + at(320, 689, "tenant must be paid back within", 9),
            lines(REST),
        ),
        "The deposit of the tenant must be paid back within fourteen days",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ENDS)
def test_a_sentence_continues_on_the_next_page(name: str) -> None:
    document, sentence = ENDS[name]

    assert sentence in "".join(page.text for page in pages_of(document))


def test_a_page_that_ends_with_its_sentence_ends_with_an_empty_line() -> None:
    first, second = pages_of(build(lines("The lease ends in May.", "It is signed."), lines(NEXT)))

    assert (first.text[-2:], second.text) == ("\n\n", f"{NEXT}\n\n")


def test_headers_and_footers_are_in_the_text_once_and_rows_of_tables_always() -> None:
    table = "".join(
        at(x, y, t, 9) for x, y, t in ((60, 700, "North"), (300, 700, "30"), (60, 686, "South"), (300, 686, "40"))
    )
    first, second, third = pages_of(with_edges(lines(*TOP), lines(REST) + table.replace("700", "670"), table))

    assert first.text.split("\n\n")[:2] == ["Contract 4711/2024", "Page 1 of 3"]
    assert "Contract" not in second.text + third.text
    assert "Page" not in second.text + third.text
    assert "North | 30\nSouth | 40" in third.text


def test_a_line_at_one_edge_that_occurs_once_is_kept() -> None:
    first, second = pages_of(build(at(72, 800, "Annex A") + lines(NEXT), at(72, 800, "Annex B") + lines(NEXT)))

    assert (first.text.startswith("Annex A\n"), second.text.startswith("Annex B\n")) == (True, True)


@pytest.mark.django_db
@pytest.mark.parametrize("batch", [2, 16])
def test_the_passage_of_such_a_sentence_is_cited_to_both_pages(owner: Person, settings: object, batch: int) -> None:
    settings.INGESTION_BATCH_PAGES = batch  # type: ignore[attr-defined]
    pages = with_edges(lines(*TOP), lines(f"{REST} {NEXT}"), lines("The third page ends it."))
    make_document(owner, pages, f"lease-{batch}.pdf")

    hit, *_ = owner.post("/api/v1/search", {"query": "deposit paid back within fourteen days"}).json()["results"]
    after, *_ = owner.post("/api/v1/search", {"query": "garden"}).json()["results"]

    assert WHOLE in hit["text"]
    assert (hit["page_from"], hit["page_to"]) == (1, 2)
    assert {box["page"] for box in hit["boxes"]} == {1, 2}
    assert (after["text"], after["page_from"], after["page_to"]) == (NEXT, 2, 2)


@pytest.mark.django_db
def test_passages_do_not_depend_on_the_size_of_batches(owner: Person, settings: object) -> None:
    sentence = "The owner keeps the house in good order and the tenant keeps the garden, as both of them"
    pages = build(*(lines(*[f"{sentence} promised {n}."] * 30, sentence, size=6) for n in range(4)), lines("said."))
    found = []
    for batch in (16, 2):
        settings.INGESTION_BATCH_PAGES = batch  # type: ignore[attr-defined]
        document = make_document(owner, pages + b"\n%% %d" % batch, f"{batch}.pdf")
        chunks = Chunk.objects.filter(ingestion=document.active_ingestion).order_by("index")
        found.append(list(chunks.values_list("char_start", "char_end", "page_from", "page_to")))

    assert found[0] == found[1]
    assert all(one[1] <= other[0] for one, other in zip(found[0], found[0][1:], strict=False))


@pytest.mark.parametrize(
    ("rest", "end"),
    [
        ("and so. Then", 8),
        ("and so on", 9),
        ("x" * 700 + ". End", 0),
        ("so\n\nnext. One", 4),
        ("of 3.5 euros. Then", 14),
    ],
)
def test_the_end_of_a_sentence_that_continues(rest: str, end: int) -> None:
    assert chunker.sentence_end(rest, 0, len(rest)) == end
