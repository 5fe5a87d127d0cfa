"""Search finds what a person would, and only where they may look."""

from typing import Any

import pytest

from backend.documents.tests.cast import make_document
from tests.actors import Person

pytestmark = pytest.mark.django_db


def found(person: Person, query: str, **more: Any) -> list[str]:
    response = person.post("/api/v1/search", {"query": query, **more})
    assert response.status_code == 200, response.content
    return [result["document_name"] for result in response.json()["results"]]


PARAGRAPHS = {
    "agua.txt": "A água potável é distribuída pela companhia municipal. As informações sobre a qualidade saem todo mês.",
    "luz.txt": "A energia elétrica chega às casas pela rede aérea. O consumo é medido em quilowatts e cobrado na conta.",
    "train.txt": "The trains leave the central station every hour. Passengers buy their tickets before they are boarding.",
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
