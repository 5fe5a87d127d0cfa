"""Search finds what a person would, and only where they may look."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from backend.documents import queries, search, statistics, tasks
from backend.documents.models import Chunk, Corpus, Document, WordFrequency
from backend.documents.tests.cast import make_document, upload
from tests.actors import Person

pytestmark = pytest.mark.django_db


def found(person: Person, query: str, **more: Any) -> list[str]:
    response = person.post("/api/v1/search", {"query": query, **more})
    assert response.status_code == 200, response.content
    return [result["document_name"] for result in response.json()["results"]]


PARAGRAPHS = {
    "agua.txt": "A água potável é distribuída pela companhia municipal. As informações da qualidade saem todo mês.",
    "luz.txt": "A energia elétrica chega às casas pela rede aérea. O consumo é medido e cobrado na conta.",
    "train.txt": "The trains leave the central station every hour. Passengers buy their tickets before boarding.",
}


@pytest.fixture
def library(owner: Person) -> Person:
    for name, text in PARAGRAPHS.items():
        make_document(owner, text, name)
    return owner


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("Quem distribui a água?", "agua.txt"),
        ("agua potavel", "agua.txt"),
        ("informacoes de qualidade", "agua.txt"),
        ("informação", "agua.txt"),
        ("ENERGIA ELÉTRICA", "luz.txt"),
        ("Where do passengers board the train?", "train.txt"),
        ("ticket", "train.txt"),
        ('"água" & | ! <-> \':*( OR potável', "agua.txt"),
    ],
)
def test_a_question_finds_its_document(library: Person, query: str, first: str) -> None:
    assert found(library, query)[0] == first


@pytest.mark.parametrize("query", ["o que a de", "the of and", "?!...", "zyxwvut", "'", "\\", "%s %(id)s {}"])
def test_a_question_without_words_that_occur_finds_nothing(library: Person, query: str) -> None:
    assert found(library, query) == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"query": ""}, 422),
        ({"query": "   "}, 422),
        ({}, 422),
        ({"query": "a" * 4001}, 422),
        ({"query": "x" * 1_100_000}, 413),
        ({"query": "nul \0"}, 400),
        ({"query": "x", "limit": 0}, 422),
        ({"query": "x", "mode": "magic"}, 422),
        ({"query": "x", "filter": {"colour": "red"}}, 422),
        ({"query": "x", "collections": ["col_nonsense"]}, 404),
        ({"query": ["x"]}, 422),
        ({"query": "x", "documents": "doc_x"}, 422),
    ],
)
def test_bad_searches_are_refused(owner: Person, body: Any, status: int) -> None:
    response = owner.post("/api/v1/search", body)

    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"


def test_the_answer_has_the_shape_of_the_contract(library: Person) -> None:
    body = library.post("/api/v1/search", {"query": "água", "mode": "hybrid"}).json()

    assert body["mode"] == "lexical"
    assert body["degraded"] is False
    assert set(body["results"][0]) == {
        *(
            "document",
            "document_name",
            "chunk",
            "text",
            "score",
            "page_from",
            "page_to",
            "char_start",
            "char_end",
            "boxes",
        )
    }
    assert body["results"][0]["text"] == PARAGRAPHS["agua.txt"]
    assert body["results"][0]["page_from"] is None


def test_a_scope_is_collections_or_documents(library: Person) -> None:
    texts = {document.name: document.public_id for document in Document.objects.all()}
    collection = library.post("/api/v1/collections", {"name": "Water"}).json()["id"]
    library.post(f"/api/v1/collections/{collection}/documents", {"document": texts["agua.txt"]})
    query = "água energia station"

    assert set(found(library, query)) == set(PARAGRAPHS)
    assert found(library, query, collections=[collection]) == ["agua.txt"]
    assert found(library, query, documents=[texts["luz.txt"]]) == ["luz.txt"]
    both = found(library, query, collections=[collection], documents=[texts["train.txt"]])
    assert set(both) == {"agua.txt", "train.txt"}


def test_a_filter_narrows(library: Person) -> None:
    make_document(library, "# Água\n\nA água em Markdown.", "agua.md", metadata='{"year": 2024, "tags": ["a"]}')

    assert found(library, "água", filter={"content_type": "text/markdown"}) == ["agua.md"]
    assert found(library, "água", filter={"metadata": {"year": 2024}}) == ["agua.md"]
    assert found(library, "água", filter={"metadata": {"year": 2023}}) == []
    assert found(library, "água station", filter={"language": "en"}) == ["train.txt"]


def test_what_is_not_ready_is_not_found(owner: Person) -> None:
    upload(owner, "The zebra is queued.")

    assert found(owner, "zebra") == []


def test_ids_of_another_workspace_find_nothing_even_below_the_routes(owner: Person, stranger: Person) -> None:
    document = make_document(owner, "The zebra is mine.")

    result = queries.search(workspace_id=stranger.workspace.pk, query="zebra", document_ids=[document.pk])

    assert result.passages == []
    assert queries.existing_documents(stranger.workspace.pk, [document.pk]) == {}
    assert queries.count_ready(owner.workspace.pk, [], []) == 1
    assert queries.count_ready(stranger.workspace.pk, [], [document.pk]) == 0


def test_scores_fall_and_repeat_exactly(library: Person) -> None:
    body = {"query": "água energia conta station passengers", "limit": 3}
    first, second = (library.post("/api/v1/search", body).json()["results"] for _ in range(2))

    scores = [result["score"] for result in first]
    assert scores == sorted(scores, reverse=True)
    assert first == second


def test_a_rare_word_counts_more_than_a_frequent_one_and_repetition_saturates(owner: Person) -> None:
    for number in range(8):
        make_document(owner, f"The report number {number} speaks of sales and of nothing else.", f"{number}.txt")
    make_document(owner, "The report speaks of turtles once, among other sentences of the same length.", "turtle.txt")
    make_document(owner, "The report: sales, sales, sales, sales, sales, sales, sales and sales again.", "sales.txt")

    assert found(owner, "report of sales and turtles")[0] == "turtle.txt"
    assert found(owner, "sales")[0] == "sales.txt"


@pytest.mark.parametrize(
    "query", ["água potável", "energia da rede", "trains and tickets", "água energia tickets qualidade"]
)
def test_counts_made_aside_rank_like_exact_ones(
    library: Person, settings: Any, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    for number in range(6):
        make_document(
            library, f"Outro texto sobre a rede e a água, o número {number}, com mais palavras.", f"{number}.txt"
        )
    exact = library.post("/api/v1/search", {"query": query}).json()["results"]

    monkeypatch.setattr(search, "RARE", 1)  # In a corpus this small no word is in one chunk of a hundred.
    settings.SEARCH_EXACT_CHUNKS = 1
    tasks.refresh_statistics()

    corpus = Corpus.objects.get()
    assert (corpus.chunks, corpus.words) == (9, sum(Chunk.objects.values_list("length", flat=True)))
    counted = library.post("/api/v1/search", {"query": query}).json()["results"]
    assert counted == exact


def test_a_small_scope_in_a_large_workspace_is_searched_whole(library: Person, settings: Any) -> None:
    station = make_document(library, "A station without any name.", "station.txt")
    settings.SEARCH_EXACT_CHUNKS = 1
    tasks.refresh_statistics()

    # "água" and "energia" are rarer, and not in it.
    assert found(library, "água energia station", documents=[station.public_id]) == ["station.txt"]


def test_counts_follow_what_comes_and_goes(library: Person, settings: Any) -> None:
    settings.SEARCH_EXACT_CHUNKS = 1
    tasks.refresh_statistics()
    assert WordFrequency.objects.get(language="en", lexeme="train").chunks == 1
    document = make_document(library, "Another train for the passengers of the other station.", "more.txt")
    tasks.refresh_statistics()
    assert WordFrequency.objects.get(language="en", lexeme="train").chunks == 2
    library.delete(f"/api/v1/documents/{document.public_id}")
    tasks.refresh_statistics()
    assert WordFrequency.objects.get(language="en", lexeme="train").chunks == 1
    assert statistics.changed() == []
    settings.SEARCH_EXACT_CHUNKS = 1000
    statistics.refresh(workspace_id=library.workspace.pk)
    assert not WordFrequency.objects.exists()


@settings_of_hypothesis(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(query=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60))
def test_no_question_breaks_the_search(library: Person, query: str) -> None:
    response = library.post("/api/v1/search", {"query": query})

    assert response.status_code in (200, 422)
