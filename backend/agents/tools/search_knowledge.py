"""The tool ``search_knowledge``: passages of the agent's documents, numbered through the whole run."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from backend.agents.citations import CitationTracker, Source
from backend.agents.models import Knowledge
from backend.documents import queries as documents
from backend.llm.chat import ToolDefinition, count_tokens

NAME = "search_knowledge"
LONGEST_QUERY = 4000  # Characters, as many as search takes.
LONGEST_OUTPUT_TOKENS = 8000
NO_ROOM = "There was no room for them. Answer from what you have."

DEFINITION = ToolDefinition(
    name=NAME,
    description="Searches the documents you know and returns numbered passages. Cite a passage by its number: [1].",
    parameters={
        "type": "object",
        "properties": {"query": {"type": "string", "description": "What to look for, in the words of the question."}},
        "required": ["query"],
        "additionalProperties": False,
    },
)


class BadArguments(Exception):
    """The model's arguments do not fit the tool; the message tells it why."""


@dataclass(frozen=True, slots=True)
class Found:
    """``text`` is what the model reads, ``summary`` what people are shown."""

    text: str
    summary: dict[str, Any]


def query_of(arguments: Any) -> str:
    """:raises BadArguments: there is no usable query."""
    query = arguments.get("query") if isinstance(arguments, dict) else None
    if not isinstance(query, str) or not query.strip():
        raise BadArguments('The arguments must be {"query": "…"}.')
    return query.strip().replace("\x00", "")[:LONGEST_QUERY]


def search(*, workspace_id: UUID, knowledge: Sequence[Knowledge], query: str) -> documents.SearchResult:
    """The best passages of all that the agent knows."""
    modes = {row.mode for row in knowledge if row.mode}
    return documents.search(
        workspace_id=workspace_id,
        query=query,
        collection_ids=[row.collection_id for row in knowledge if row.collection_id],
        document_ids=[row.document_id for row in knowledge if row.document_id],
        limit=max(row.limit for row in knowledge),
        mode=modes.pop() if len(modes) == 1 else None,
    )


def run(
    *, workspace_id: UUID, knowledge: Sequence[Knowledge], arguments: Any, tracker: CitationTracker, tokens: int
) -> Found:
    """Search and number what was found: whole passages, the best first, as many as fit ``tokens``.

    :raises BadArguments: there is no usable query.
    """
    query = query_of(arguments)
    result = search(workspace_id=workspace_id, knowledge=knowledge, query=query)
    passages: list[dict[str, Any]] = []
    for passage in result.passages:
        shown = {"n": 9999, "document": passage.document_name, "page": passage.page_from, "text": passage.text}
        size = count_tokens(_json(shown))
        if size > tokens:
            continue
        tokens -= size
        number = tracker.number(passage.chunk_id)
        tracker.add_source(Source(number, passage))
        passages.append({**shown, "n": number})
    left_out = len(result.passages) - len(passages)
    searched = documents.count_ready(
        workspace_id,
        [row.collection_id for row in knowledge if row.collection_id],
        [row.document_id for row in knowledge if row.document_id],
    )
    return Found(
        text=_json({"passages": passages, **({"left_out": left_out, "reason": NO_ROOM} if left_out else {})}),
        summary={
            "passages": [{name: passage[name] for name in ("n", "document", "page")} for passage in passages],
            "documents_searched": searched,
            "passages_read": len(passages),
            "degraded": result.degraded,
        },
    )


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
