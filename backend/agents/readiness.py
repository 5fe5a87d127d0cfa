"""How far the documents that an agent knows have been read."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from backend.agents.models import Knowledge
from backend.documents import queries as documents
from backend.documents.queries import Readiness

# Metadata of the documents that come with a new workspace. Where people's own documents are still being read, these
# are not searched in their stead.
GUIDE = {"origin": "orquestra-guide"}


def readiness_of(
    workspace_id: UUID, knowledge: Sequence[Knowledge], *, without: dict[str, Any] | None = None
) -> Readiness:
    """:param knowledge: what a version of an agent knows; not nothing, which would mean the whole workspace."""
    assert knowledge  # noqa: S101  # See above.
    return documents.readiness(
        workspace_id,
        [row.collection_id for row in knowledge if row.collection_id],
        [row.document_id for row in knowledge if row.document_id],
        without=without,
    )


def kept(found: Readiness) -> dict[str, int]:
    """As a run keeps it."""
    return {"total": found.total, "ready": found.ready, "failed": found.failed}
