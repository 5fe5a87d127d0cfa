"""From markers in the text to quotes of the passages, however the text is cut."""

from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.agents.answers.citations import MAX_CITATIONS, CitationTracker, Source
from backend.agents.answers.quotes import claim_before, quote_for, sentence_spans
from backend.documents.queries import Passage
from backend.documents.spans import Layout, PageSpan
from backend.http.ids import new_id
from tests.work import at_most

LICENCE = "Capítulo 4. Das licenças\nA licença de pesca custa 318\ncruzados por temporada. Vale por casco."


def source(n: int, text: str = LICENCE, *, layout: Layout | None = None, at: int = 1000) -> Source:
    layout = layout or Layout([PageSpan(41, at, [])])
    end = at + len(text)
    pages = layout.pages_of(at, end) or (None, None)
    passage = Passage(
        document_id=new_id(),
        document_name="Lagoa.pdf",
        chunk_id=new_id(),
        text=text,
        score=1.0,
        page_from=pages[0],
        page_to=pages[1],
        char_start=at,
        char_end=end,
        boxes=layout.boxes_of(at, end),
        layout=layout,
    )
    return Source(n, passage)


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


def cited(text: str, *sources: Source) -> list[tuple[int, str]]:
    """The number of every citation with the text of its marker."""
    reader = tracker(*(sources or (source(1), source(2), source(3))))
    return [(found["n"], text[found["start"] : found["end"]]) for found in [*reader.feed(text), *reader.finish()]]


def test_every_marker_is_a_citation_with_its_own_place() -> None:
    assert cited("One [1][2]. Again [1, 2].") == [(1, "[1]"), (2, "[2]"), (1, "[1, 2]"), (2, "[1, 2]")]


def test_two_sentences_of_one_passage_are_two_quotes() -> None:
    answer = "A licença custa 318 cruzados [1]. E vale por casco [1], segundo o documento."

    first, second = tracker(source(1)).feed(answer)

    assert first["quote"] == "A licença de pesca custa 318\ncruzados por temporada."
    assert second["quote"] == "Vale por casco."
    assert LICENCE[second["char_start"] - 1000 : second["char_end"] - 1000] == second["quote"]
    assert (answer[second["start"] : second["end"]], second["part"]) == ("[1]", 0)


@pytest.mark.parametrize(
    ("answer", "quotes"),
    [
        ("The fee is 318 [1] and residents over 65 pay none [1].", ["The fee is 318.", "Residents over 65 pay none."]),
        ("According to [1], it is due in March.", ["It is due in March."]),
        ("[1] says that residents of 65 pay none.", ["Residents over 65 pay none."]),
        ("The fee is 318. [1]", ["The fee is 318."]),
        ("- the fee: 318 [1]\n- due in March [1]", ["The fee is 318.", "It is due in March."]),
        (
            "“Residents over 65 pay none.” [1] — x.pdf\n\n“The fee is 318.” [1] — x.pdf",
            ["Residents over 65 pay none.", "The fee is 318."],
        ),
    ],
)
def test_the_sentence_is_cited_that_the_claim_rests_on(answer: str, quotes: list[str]) -> None:
    reader = tracker(source(1, "The fee is 318. Residents over 65 pay none. It is due in March."))

    assert [found["quote"] for found in [*reader.feed(answer), *reader.finish()]] == quotes


def test_a_quote_has_its_own_pages_and_lines() -> None:
    first, second = "The deposit of the tenant must be paid back within", "thirty days of the end. The rent is 900."
    text = f"Terms. {first}\n\n{second}"
    lines = [[100, 100, 900, 200, 1000, 1007 + len(first)], [100, 100, 900, 200, 1009 + len(first), 1000 + len(text)]]
    layout = Layout([PageSpan(1, 900, [lines[0]]), PageSpan(2, 1009 + len(first), [lines[1]])])
    reader = tracker(source(1, text, layout=layout))

    over, after, before = reader.feed("The deposit is due within thirty days [1]. Rent: 900 [1]. See the Terms [1]. ")

    assert over["quote"] == f"{first}\n\nthirty days of the end."
    assert (over["page_from"], over["page_to"], [box["page"] for box in over["boxes"]]) == (1, 2, [1, 2])
    assert (after["page_from"], after["page_to"], [box["page"] for box in after["boxes"]]) == (2, 2, [2])
    assert (before["page_from"], before["page_to"], [box["page"] for box in before["boxes"]]) == (1, 1, [1])


@pytest.mark.parametrize(
    "text",
    [
        *("[7]", "[0]", "[]", "[1", "1]", "[a1]", "[[", "array[1x]", "[-1]", "[１]", "[1.5]", "[1-7]", "[3-1]"),
        *("[1](https://example.com/a)", "[[1]](https://example.com)", "![1](x.png)", "[one][1]"),
        *("[the [1] first](x)", "[a [b [1]](x)](y)", "![see [1]](x.png)"),
        *("\\[1]", "【1", "【a】", "【7†source】", "【4:0†source】", "［7］", "[^7]", "[1\n]"),
    ],
)
def test_what_names_no_source_stays_text(text: str) -> None:
    assert cited(f"See {text} there.") == []


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        *[("[1]", [1]), ("[1, 2]", [1, 2]), ("[1,2;3]", [1, 2, 3]), ("[1][2]", [1, 2]), ("[1] [2]", [1, 2])],
        *[("[1-3]", [1, 2, 3]), ("[1–3]", [1, 2, 3]), ("[1, 7]", [1]), ("[[1]]", [1]), ("[^1]", [1]), ("[^1^]", [1])],
        *[("【1】", [1]), ("【1†source】", [1]), ("【1†L3-L9】", [1]), ("【1】【2】", [1, 2]), ("【1、2】", [1, 2])],
        *[("［1］", [1]), ("［１］", [1]), ("（1）", []), ("(**[1]**)", [1]), ("[1]: see", [1]), ("Wow![1]", [1])],
    ],
)
def test_the_forms_in_which_models_cite(text: str, numbers: list[int]) -> None:
    assert [n for n, _text in cited(f"It costs 318 {text}")] == numbers
    assert [n for n, _text in cited(f"It costs 318 {text}.")] == numbers


@pytest.mark.parametrize(
    "code",
    [
        *("```\n{}\n```\n", "```python\nx = a{}\n```\n", "~~~\n{}\n~~~\n", "````\n```\n{}\n````\n"),
        *("  ```\n{}\n  ```\n", "```\n[2]{}\n````\n"),
        *("```\n{}\n~~~\n{}\n```\n", "```\n{}", "```\n{}\n``\n{}", "- item\n  ```\n  {}\n  ```\n"),
        *("> ```\n> {}\n> ```\n", "- a\n  - b\n\n    ```\n    {}\n    ```\n"),
        *("1. one\n\n   ~~~ sh\n   {}\n   ~~~\n", "    x = a{}\n", "\tx = a{}\n\n"),
        *("- item\n\n      a{}\n", ">     a{}\n"),
        *("Run `a{}` now.\n", "Run ``a`{}`` now.\n", "Run `a\nb{}` now.\n", "Run `a\\`\n", "`{}`", "``` a{} ``` b\n"),
        *("[1]: https://example.com\n", "  [1]: https://example.com 'a{}'\n", "[^1]: Lagoa.pdf\n", "> [1]: x\n"),
        "- [1]: x\n",
    ],
)
def test_nothing_is_cited_in_code_and_definitions(code: str) -> None:
    assert cited(f"Read this:\n\n{code.replace('{}', '[1]')}") == []


@pytest.mark.parametrize(
    "text",
    [
        *("```\nx\n```\nSo {}", "`a` and {}", "`a {}", "``a` {}", "`a {}\n\n`b", "\\`a {}`b`", "> ```\n> x\n\n{}"),
        *("- one\n\n    two {}", "- one\n    two {}", "1. one\n\n   two {}", "word\n    {}", "# Head {}", "> said {}"),
        *("- {}", "1. {}", "a\n- ```\n  x\n  ```\n- {}", "| a | {} |", "```a`b``` {}", "    x\n\ny {}", "* * *\n{}"),
        *("**{}**", "2024. {}", "#no {}", "~~a~~ {}", "a\n~~{}~~", "\n\n {}", "- a\n- b\n\n{}", "“a” {}", "`{}\n# `"),
        *(
            "[x] {}",
            "[see {}]",
            "[see {}] (x)",
            "[a {}",
            "`[` {}",
            "[ ] {}",
            "[a `](x)` {}]",
            "[a](x) {}",
            "[[a {}\n\n](x)",
        ),
    ],
)
def test_what_only_looks_like_code_is_cited(text: str) -> None:
    assert [n for n, _text in cited(text.replace("{}", "[2]"))] == [2]


def test_places_count_characters_of_their_part() -> None:
    reader = tracker(source(1))

    first = [*reader.feed("É 𝄞 “318” [1]", part=0), *reader.finish()]
    second = [*reader.feed("🧾 318 ", part=2), *reader.feed("[1]", part=2), *reader.finish()]

    assert [(found["part"], found["start"], found["end"]) for found in first + second] == [(0, 10, 13), (2, 6, 9)]


def test_an_answer_cites_so_often_and_no_more() -> None:
    assert len(cited("It is 318 [1]. " * (MAX_CITATIONS + 50))) == MAX_CITATIONS


@given(
    pieces=st.lists(
        st.sampled_from(
            [
                *("[", "]", "1", "2", "23", ",", ";", " ", "\n", "[1]", "[2]", "[2, 1]", "word", "é", ". ", "("),
                *("`", "``", "```", "\n```\n", "~~~", "    ", "\t", "- ", "> ", "1. ", "\n\n", "\\", ":", "[a", "]("),
                *("【1】", "†", "#"),
            ]
        ),
        max_size=40,
    ),
    cuts=st.lists(st.integers(min_value=0, max_value=160), max_size=12),
)
def test_cuts_change_nothing(pieces: list[str], cuts: list[int]) -> None:
    text = "".join(pieces)
    sources = source(1), source(2), source(23)
    once = tracker(*sources)
    whole = [*once.feed(text), *once.finish()]

    reader, places = tracker(*sources), sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    cut = [found for start, end in pairwise(places) for found in reader.feed(text[start:end])]

    assert [*cut, *reader.finish()] == whole


@given(st.text(max_size=300), st.text(max_size=300))
def test_a_quote_is_always_a_piece_of_the_passage(claim: str, passage: str) -> None:
    assert quote_for(claim, passage) in passage


@given(st.text(max_size=300))
def test_sentences_are_pieces_in_order(text: str) -> None:
    place = 0
    for start, end in sentence_spans(text):
        assert place <= start < end <= len(text)
        place = end


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
    [citation] = tracker(source(1, passage)).feed(f"{answer}\n")

    assert citation["quote"] == (quote or answer.partition("“")[2].partition("”")[0])


def test_the_same_passage_keeps_its_number() -> None:
    one = source(1)
    reader = tracker(one)

    assert reader.number(one.passage.chunk_id) == 1
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
    *("`", "` ", "`` ` ", "~", "```\n", "```", "    ", "> ", ">", "- ", "-\n", "1. "),
    *("[a", "[a [1]", "[a [1] ](", "](", "【1†", "\\", "[^1", "[1]", "[[1]", "`[1]", "[1]:"),
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

    (found,) = reader.feed("A licença de pesca custa 318 cruzados [1].")
    assert found["quote"] == quote_for("A licença de pesca custa 318 cruzados", LICENCE)
