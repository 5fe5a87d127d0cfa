"""Demo content of a new workspace: the guide to Orquestra and an agent that knows it, in one language."""

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from backend.agents.models import Agent
from backend.agents.operations.agents import KnowledgeItem, make_agent
from backend.agents.readiness import GUIDE
from backend.documents import operations as documents

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Demo:
    """The demo's texts in one language.

    :ivar file: the guide's text, in this folder.
    """

    agent: str
    collection: str
    document: str
    file: str
    instructions: str
    starters: tuple[str, ...]


ENGLISH = Demo(
    agent="Guide",
    collection="Guide to Orquestra",
    document="Guide to Orquestra.md",
    file="guide.en.md",
    instructions="You help people find their way in Orquestra. Answer from its guide, in a few sentences, in the "
    "language of the question.",
    starters=(
        "How do I upload a document, and which formats can Orquestra read?",
        "What happens to a run when I stop it, and what does it cost?",
        "How do citations in answers work?",
    ),
)
PORTUGUESE = Demo(
    agent="Guia",
    collection="Guia do Orquestra",
    document="Guia do Orquestra.md",
    file="guide.pt-br.md",
    instructions="Você ajuda as pessoas a se orientar no Orquestra. Responda a partir do guia, em poucas frases, no "
    "idioma da pergunta.",
    starters=(
        "Como envio um documento, e quais formatos o Orquestra lê?",
        "O que acontece com uma execução quando eu a interrompo, e quanto ela custa?",
        "Como funcionam as citações nas respostas?",
    ),
)


def make(*, workspace_id: UUID, owner_id: UUID, language: str) -> Agent:
    """Put the guide into a collection of the workspace and make the agent that answers from it.

    :param language: a code such as ``pt-br``; other languages get the English guide.
    """
    demo = PORTUGUESE if language.lower().startswith("pt") else ENGLISH
    collection = documents.import_collection(workspace_id=workspace_id, created_by_id=owner_id, name=demo.collection)
    documents.import_text(
        workspace_id=workspace_id,
        created_by_id=owner_id,
        name=demo.document,
        text=(FOLDER / demo.file).read_text(encoding="utf-8"),
        collection_id=collection.pk,
        metadata=GUIDE,
    )
    knowledge: KnowledgeItem = {"collection": collection.pk, "document": None, "limit": 6, "mode": ""}
    fields = {"name": demo.agent, "instructions": demo.instructions, "starters": list(demo.starters)}
    return make_agent(workspace_id=workspace_id, created_by_id=owner_id, fields=fields, knowledge=[knowledge])
