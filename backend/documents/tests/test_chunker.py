"""Passages are exact spans, cover the text, and do not depend on how the text arrived."""

from hypothesis import given
from hypothesis import strategies as st

from backend.documents.ingestion import chunker

words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)
prose = st.lists(st.tuples(words, st.sampled_from([" ", ". ", "\n", "\n\n", "! ", " A"])), max_size=900).map(
    lambda parts: "".join(word + end for word, end in parts)
)


@given(prose)
def test_passages_are_spans_in_order_that_leave_only_white_space_out(text: str) -> None:
    position = 0
    for start, end in chunker.split(text, final=True):
        assert not text[position:start].strip()
        assert 0 < end - start <= chunker.MAX_LENGTH
        assert text[start:end] == text[start:end].strip()
        position = end
    assert not text[position:].strip()


@given(prose, st.integers(0, 6000))
def test_passages_of_a_part_are_those_of_the_whole(text: str, cut: int) -> None:
    certain = list(chunker.split(text[:cut], final=False))

    assert certain == list(chunker.split(text, final=True))[: len(certain)]


def test_passages_end_with_sentences_and_are_of_a_size() -> None:
    text = " ".join(f"This is sentence number {number} of a long text about nothing." for number in range(200))
    passages = [text[start:end] for start, end in chunker.split(text, final=True)]

    assert all(passage.endswith(".") for passage in passages)
    assert all(chunker.MIN_LENGTH <= len(passage) <= chunker.MAX_LENGTH for passage in passages)


def test_a_heading_stays_with_what_follows() -> None:
    body = "A sentence that fills the section with words. " * 20
    text = "\n\n".join(f"Chapter {number}\n\n{body.strip()}" for number in range(5))

    assert not [text[s:e] for s, e in chunker.split(text, final=True) if text[s:e].splitlines()[-1].startswith("Chap")]


def test_a_text_without_any_break_is_cut_all_the_same() -> None:
    assert [end - start for start, end in chunker.split("x" * 3000, final=True)] == [1300, 1300, 400]
