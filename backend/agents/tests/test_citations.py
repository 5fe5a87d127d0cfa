"""From markers in the text to quotes of the passages, however the text is cut."""

from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.agents.citations import CitationTracker, Source, claim_before, quote_for, sentences_of
from backend.http.ids import new_id
from tests.work import at_most

LICENCE = "Capítulo 4. Das licenças\nA licença de pesca custa 318\ncruzados por temporada. Vale por casco."


def source(n: int, text: str = LICENCE) -> Source:
    return Source(n, new_id(), "Lagoa.pdf", new_id(), text, 41, 41)


def tracker(*sources: Source) -> CitationTracker:
    made = CitationTracker()
    for one in sources:
        made.add_source(one)
    return made


def test_marker_becomes_a_citation_with_a_literal_quote() -> None:
    [citation] = tracker(source(1)).feed("A licença custa 318 cruzados por temporada [1].")

    assert citation["n"] == 1
    assert (citation["document_name"], citation["page_from"], citation["page_to"]) == ("Lagoa.pdf", 41, 41)
    assert citation["document"].startswith("doc_")
    assert citation["chunk"].startswith("chk_")
    assert citation["quote"] == "A licença de pesca custa 318\ncruzados por temporada."


def test_each_number_is_reported_once() -> None:
    reader = tracker(source(1), source(2))

    assert [found["n"] for found in reader.feed("One [1][2]. Again [1, 2].")] == [1, 2]


@pytest.mark.parametrize("text", ["[7]", "[0]", "[]", "[1", "1]", "[a1]", "[[", "array[1x]", "[-1]", "[１]", "[1.5]"])
def test_what_names_no_source_stays_text(text: str) -> None:
    assert tracker(source(1)).feed(f"See {text} there.") == []


def test_several_numbers_in_one_marker() -> None:
    assert [found["n"] for found in tracker(source(1), source(3)).feed("Both [1, 2; 3].")] == [1, 3]


@given(
    pieces=st.lists(
        st.sampled_from(["[", "]", "1", "2", "23", ",", ";", " ", "\n", "[1]", "[2]", "[2, 1]", "word", "é", ". "]),
        max_size=40,
    ),
    cuts=st.lists(st.integers(min_value=0, max_value=120), max_size=12),
)
def test_cuts_change_nothing(pieces: list[str], cuts: list[int]) -> None:
    text = "".join(pieces)
    sources = source(1), source(2), source(23)
    whole = tracker(*sources).feed(text)

    reader, places = tracker(*sources), sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    cut = [found for start, end in pairwise(places) for found in reader.feed(text[start:end])]

    assert cut == whole


@given(st.text(max_size=300), st.text(max_size=300))
def test_a_quote_is_always_a_piece_of_the_passage(claim: str, passage: str) -> None:
    assert quote_for(claim, passage) in passage


@given(st.text(max_size=300))
def test_sentences_are_pieces_in_order(text: str) -> None:
    place = 0
    for sentence in sentences_of(text):
        place = text.index(sentence, place) + len(sentence)


def test_words_that_the_claim_quotes_win() -> None:
    passage = "The fee is 318. Residents over\n65 are exempt from the fee. The fee is due in March."

    assert (
        quote_for("They wrote “Residents over 65 are exempt” about the fee", passage) == "Residents over\n65 are exempt"
    )


def test_accents_and_case_do_not_matter() -> None:
    assert quote_for("SAO ISENTOS OS RESIDENTES", "Nada aqui.\n\nSão isentos os residentes.") == (
        "São isentos os residentes."
    )


def test_the_claim_is_the_sentence_before_the_marker() -> None:
    text = "First thing [1]. The second thing is 3.5 high [2]"

    assert claim_before(text, text.index(" [2]")) == "The second thing is 3.5 high"


@pytest.mark.parametrize(
    ("answer", "quote"),
    [
        ("O documento diz: “O fiador é o Sr. João da Conceição.” [1]", "O fiador é o Sr. João da Conceição."),
        ("O fiador é o Sr. João da Conceição [1].", "O fiador é o Sr. João da Conceição."),
        ("“A multa, conforme o art. 5º da Lei nº. 8.078, é de sete mil reais.” [1]", None),
        ("Sim. “O fiador é o Sr. João da Conceição. A multa, conforme o art. 5º da Lei nº. 8.078,” [1]", None),
    ],
)
def test_abbreviations_end_no_sentence(answer: str, quote: str | None) -> None:
    passage = "O fiador é o Sr. João da Conceição. A multa, conforme o art. 5º da Lei nº. 8.078, é de sete mil reais."
    [citation] = tracker(source(1, passage)).feed(answer)

    assert citation["quote"] == (quote or answer.partition("“")[2].partition("”")[0])


def test_the_same_passage_keeps_its_number() -> None:
    one = source(1)
    reader = tracker(one)

    assert reader.number(one.chunk_id) == 1
    assert reader.number(UUID(int=0)) == 2


SHAPES = [
    *(
        "[1",
        "[1, ",
        "[1][",
        "[ ",
        "[1 ; ",
        "“",
        "“a",
        '"ab',
        "«»",
        "a ",
        "a  ",
        ". ",
        '."',
        "...",
        ".”) ",
        "\n",
        "\n \n",
    ),
    *("\n\t", "e.g. ", "á", "\u0301\u0327", "[1] “aaaaaaaaa” ", "1,1;"),
]


@pytest.mark.parametrize("shape", SHAPES)
def test_an_answer_of_any_shape_is_read_in_proportion(shape: str) -> None:
    answer = (shape * 150_000)[:150_000]
    reader = tracker(source(1), source(12))

    with at_most(8):
        for start in range(0, len(answer), 30):
            reader.feed(answer[start : start + 30])
        reader.feed(" [12] [1]")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("quoted", ["“{}”", "{}"])
def test_the_longest_claim_and_passage_take_little(shape: str, quoted: str) -> None:
    passage = (shape * 2_600)[:2_600]  # Twice a passage's usual length.
    claim = quoted.format((shape * 980)[:980])

    with at_most(2):
        for _ in range(3):
            assert quote_for(claim, passage + "!") in passage + "!"
            claim_before(passage, len(passage))


def test_a_claim_is_found_after_a_long_answer() -> None:
    """What the tracker forgets is what no claim reaches back to."""
    reader = tracker(source(1))
    for _ in range(500):
        reader.feed("Something that cites nothing at all. ")

    (cited,) = reader.feed("A licença de pesca custa 318 cruzados [1].")
    assert cited["quote"] == quote_for("A licença de pesca custa 318 cruzados", LICENCE)
