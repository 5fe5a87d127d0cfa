"""Search finds relevant passages, and only visible ones."""

from importlib import import_module
from typing import Any

import pytest
from django.db import connection
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


PASTED = (
    "Segue abaixo mensagem recebida ontem pela manhã sobre diversos assuntos pendentes entre nossas equipes "
    "comerciais, jurídicas, financeiras, técnicas: agradecemos novamente toda colaboração durante último trimestre; "
    "lembramos também reunião marcada próxima quarta-feira, auditório principal, andar térreo, presença obrigatória "
    "coordenadores, gerentes, analistas, estagiários; favor confirmar participação respondendo formulário eletrônico "
    "enviado semana passada, junto cópia crachá atualizado, comprovante vacinação, autorização gestor imediato, "
    "previsão despesas viagem, hospedagem, alimentação, transporte local, seguro obrigatório"
)
NUMBERED = " ".join(f"assunto{number}" for number in range(150))


@pytest.mark.parametrize(
    ("query", "texts"),
    [
        # Identifiers, written with separators and without.
        ("12345678000195", ["A empresa tem o CNPJ 12.345.678/0001-95 e sede em Lisboa.", "Outra empresa, no Porto."]),
        (
            "12.345.678/0001-95",
            ["A empresa 12345678000195 tem sede em Lisboa.", "Nota 12 de 345 com 678 e 95 de 0001."],
        ),
        (
            "12.345/2024-7",
            [
                "Autos em apenso. O processo de número 12.345/2024-7 foi distribuído à vara da comarca e aguarda "
                "despacho do juiz, conforme consta da certidão que se junta ao presente requerimento do autor.",
                "Lote 1: item 7, caixa 12, sala 345, ano 2024.",
                "Lote 2: item 7, caixa 12, sala 345, ano 2024.",
            ],
        ),
        ("ISO9001", ["The plant is certified by ISO-9001.", "The plant is certified."]),
        ("AB1234C", ["Order AB-1234-C was sent in May.", "Orders are sent in May."]),
        ("912345678", ["Ligue para 912 345 678 depois das nove.", "Ligue depois das nove."]),
        ("11 98765-4321", ["Telefone: (11) 98765-4321.", "Telefone da sala 11."]),
        ("PT50000201231234567890154", ["IBAN PT50 0002 0123 1234 5678 9015 4", "IBAN em falta"]),
        ("1,234.56", ["Total de 1.234,56 euros", "Total de 1 euro, 234 vezes, e 56"]),
        ("email", ["Write an e-mail to the office.", "Write a letter to the office."]),
        ("artigo 5", ["O art. 5º, o artigo da liberdade.", "O artigo sobre a casa."]),
        ("300", ["The rent is 300¹ euros.", "The rent is due."]),
        # Letters that have no accent to lose.
        ("Lodz", ["The office in Łódź is open.", "The office in Porto is closed."]),
        ("Orsted", ["Ørsted signed the contract.", "Another company signed the contract."]),
        ("strasse", ["Das Haus in der Straße.", "Das Haus am See."]),
        ("istanbul", ["The office in İstanbul is open.", "The office in Porto is closed."]),
        ("2024", ["会議は２０２４年に開かれます。", "会議は開かれます。"]),
        ("efficient", ["An eﬃcient pump.", "A strong pump."]),
        # Scripts without spaces.
        ("契約の価格", ["契約の価格は五百円です。支払いは五月末までに行います。", "会議は月曜日に開かれます。"]),
        ("円", ["契約の価格は五百円です。", "会議は月曜日に開かれます。"]),
        ("합의", ["우리의 합의서는 내일 나옵니다.", "회의는 월요일에 있습니다."]),
        ("价格", ["合同价格为五百元。", "会议在星期一举行。"]),
        # Characters that cannot be seen.
        ("pá\u00adginas", ["O documento tem quinze páginas.", "O anexo tem uma folha."]),
        ("páginas", ["O documento tem quinze pá\u00adgi\u200bnas.", "O anexo tem uma folha."]),
        ("العربية", ["اللغة العَرَبِيَّة جميلة", "مرحبا بكم"]),
        # A question after, before and within a long text.
        (
            f"{PASTED}. Pergunta: quanto é a multa por rescisão antecipada?",
            ["A multa por rescisão antecipada é de três aluguéis.", "O prédio tem um porteiro."],
        ),
        (f"{NUMBERED}. Quanto é a multa?", ["A multa é de três aluguéis.", "O prédio tem um porteiro."]),
        (f"Quanto é a multa? {NUMBERED}", ["A multa é de três aluguéis.", "O prédio tem um porteiro."]),
        (f"{NUMBERED}. Quanto é a multa? {NUMBERED}.", ["A multa é de três aluguéis.", "O prédio tem um porteiro."]),
        (f"{NUMBERED} multa", ["A multa é de três aluguéis.", "O prédio tem um porteiro."]),
        # Nothing but stop words.
        ("to be or not to be", ["To be or not to be, that is the question.", "The mill stands by the river."]),
        ("o que não foi", ["Conto o que nao\nfoi, e mais.", "Foi para o mar; não sei o que viu, nem quem era."]),
        ("who you are", ["The one who you are is not the one that we see.", "The mill stands by the river."]),
    ],
)
def test_the_relevant_document_ranks_first(owner: Person, query: str, texts: list[str]) -> None:
    for number, text in enumerate(texts):
        make_document(owner, text, f"{number}.txt")

    assert found(owner, query)[:1] == ["0.txt"]


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


def test_documents_that_are_not_ready_are_not_found(owner: Person) -> None:
    upload(owner, "The zebra is queued.")

    assert found(owner, "zebra") == []


def test_ids_of_another_workspace_find_nothing_even_below_the_routes(owner: Person, stranger: Person) -> None:
    document = make_document(owner, "The zebra is mine.")

    result = queries.search(workspace_id=stranger.workspace.pk, query="zebra", document_ids=[document.pk])

    assert result.passages == []
    assert queries.existing_documents(stranger.workspace.pk, [document.pk]) == {}
    assert queries.readiness(owner.workspace.pk).ready == 1
    assert queries.readiness(stranger.workspace.pk, [], [document.pk]).total == 0


def test_scores_descend_and_are_reproducible(library: Person) -> None:
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
def test_counted_statistics_rank_like_exact_ones(
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


def test_a_phrase_of_stop_words_is_found_in_a_large_workspace(library: Person, settings: Any) -> None:
    make_document(library, "To be or not to be, that is the question.", "hamlet.txt")
    settings.SEARCH_EXACT_CHUNKS = 1
    tasks.refresh_statistics()

    assert found(library, "to be or not to be") == ["hamlet.txt"]


def test_counts_follow_added_and_removed_chunks(library: Person, settings: Any) -> None:
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
def test_no_query_breaks_the_search(library: Person, query: str) -> None:
    response = library.post("/api/v1/search", {"query": query})

    assert response.status_code in (200, 422)


def test_stored_chunks_are_indexed_again(library: Person) -> None:
    before = list(Chunk.objects.order_by("id").values_list("id", "words", "length"))
    Chunk.objects.update(words="", length=1)
    assert found(library, "água") == []

    migration = import_module("backend.documents.migrations.0004_words_anew")
    migration.index_anew(None, connection.schema_editor())

    assert list(Chunk.objects.order_by("id").values_list("id", "words", "length")) == before
    assert found(library, "água") == ["agua.txt"]
