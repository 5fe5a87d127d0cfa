"""The guide to Orquestra, in two languages, and an agent that knows it."""

from pathlib import Path
from uuid import UUID

from backend.agents.models import Agent
from backend.agents.operations.agents import KnowledgeItem, make_agent
from backend.documents import operations as documents

FOLDER = Path(__file__).parent
GUIDES = {"guide.en.md": "Guide to Orquestra.md", "guide.pt-br.md": "Guia do Orquestra.md"}
INSTRUCTIONS = (
    "You help people find their way in Orquestra. Answer from its guide, in a few sentences, in the language of the "
    "question."
)
STARTERS = [
    "How do I upload a document, and which formats can Orquestra read?",
    "What happens to a run when I stop it, and what does it cost?",
    "Como funcionam as citações nas respostas?",
]


def make(*, workspace_id: UUID, owner_id: UUID) -> Agent:
    """Put the guides into a collection of the workspace and make the agent that answers from them."""
    collection = documents.import_collection(
        workspace_id=workspace_id, created_by_id=owner_id, name="Guide to Orquestra"
    )
    for file, name in GUIDES.items():
        documents.import_text(
            workspace_id=workspace_id,
            created_by_id=owner_id,
            name=name,
            text=(FOLDER / file).read_text(encoding="utf-8"),
            collection_id=collection.pk,
        )
    knowledge: KnowledgeItem = {"collection": collection.pk, "document": None, "limit": 6, "mode": ""}
    fields = {"name": "Guide", "instructions": INSTRUCTIONS, "starters": STARTERS}
    return make_agent(workspace_id=workspace_id, created_by_id=owner_id, fields=fields, knowledge=[knowledge])
