"""The guide's starters: what a new workspace is invited to ask is answered, with its source."""

import pytest

from backend.agents import demo
from backend.agents.tests.test_knowing import ask_about, carried
from backend.agents.tests.test_runner import answer_of
from backend.documents.tests.cast import read
from tests.actors import Person

pytestmark = pytest.mark.django_db

ANSWERS = {
    "en": (
        ("To upload a document, drop the file on the page", "Orquestra reads these formats: PDF, Word (DOCX)"),
        ("When you stop a run, the model stops writing at once", "A stopped run costs only the tokens used until then"),
        ("the agent writes a number in brackets such as [1] after the statement",),
    ),
    "pt-br": (
        ("Para enviar um documento, solte o arquivo na página", "O Orquestra lê estes formatos: PDF, Word (DOCX)"),
        ("Quando você interrompe uma execução, o modelo para", "Uma execução interrompida custa só os tokens usados"),
        ("o agente escreve um número entre colchetes, como [1], logo depois da afirmação",),
    ),
}


@pytest.mark.parametrize("language", ["en", "pt-br"])
def test_every_starter_is_answered_with_quotes_that_answer_it(owner: Person, language: str) -> None:
    agent = demo.make(workspace_id=owner.workspace.pk, owner_id=owner.user.pk, language=language)
    for document in owner.get("/api/v1/documents").json()["results"]:
        read(document["id"])
    shown = owner.patch(f"/api/v1/agents/{agent.public_id}", {"model": "offline"}).json()

    for starter, expected in zip(shown["starters"], ANSWERS[language], strict=True):
        run = ask_about(owner, agent=shown, text=starter)
        text = carried(owner, run)[1]
        quotes = [citation["quote"] for citation in answer_of(owner, run)["citations"]]
        for sentence in expected:
            assert any(sentence in " ".join(quote.split()) for quote in quotes), (starter, text, quotes)
        assert not any(one != other and one in other for one in quotes for other in quotes), text
        assert not any(words in text for words in ("I found nothing", "Não encontrei")), text


@pytest.mark.parametrize(
    ("file", "heading"),
    [(demo.ENGLISH.file, "## For developers"), (demo.PORTUGUESE.file, "## Para desenvolvedores")],
)
def test_names_of_the_api_stand_in_the_part_for_developers_only(file: str, heading: str) -> None:
    for_all, for_developers = (demo.FOLDER / file).read_text(encoding="utf-8").split(heading)

    assert "`POST /api/v1/documents`" in for_developers
    assert not any(name in for_all for name in ("`", "API", "_", "worker", "back-end", "back end", "BM25", "Redis"))
