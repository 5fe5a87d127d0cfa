"""The tool ``search_knowledge``: passages of the agent's documents, numbered through the whole run."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from backend.agents.answers.citations import CitationTracker, Source
from backend.agents.models import Knowledge
from backend.agents.readiness import GUIDE, readiness_of
from backend.documents import queries as documents
from backend.documents.queries import Readiness
from backend.llm.chat import ToolDefinition, count_tokens

NAME = "search_knowledge"
LONGEST_QUERY = 4000  # Characters, as many as search takes.
LONGEST_OUTPUT_TOKENS = 8000
NO_ROOM = "There was no room for them. Answer from what you have."
TELL = "These were not searched. Tell the user so, and do not say that the documents hold no answer."

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
    readiness: Readiness


def query_of(arguments: Any) -> str:
    """:raises BadArguments: there is no usable query."""
    query = arguments.get("query") if isinstance(arguments, dict) else None
    if not isinstance(query, str) or not query.strip():
        raise BadArguments('The arguments must be {"query": "…"}.')
    return query.strip().replace("\x00", "")[:LONGEST_QUERY]


@dataclass(frozen=True, slots=True)
class Scope:
    """What of an agent's knowledge is searched now.

    :ivar searched: how many documents that is.
    """

    collections: list[UUID]
    documents: list[UUID]
    searched: int


def scope_of(*, workspace_id: UUID, knowledge: Sequence[Knowledge], readiness: Readiness) -> Scope:
    """All that the agent knows. But while people's own documents are still being read, the guide that came with the
    workspace is not searched in their stead: it would answer another question.
    """
    collections = [row.collection_id for row in knowledge if row.collection_id]
    known = [row.document_id for row in knowledge if row.document_id]
    if readiness.pending:
        own = documents.readiness(workspace_id, collections, known, without=GUIDE)
        if own.pending and own.total < readiness.total:
            ready = documents.ready_documents(workspace_id, collections, known, without=GUIDE)
            return Scope([], ready, len(ready))
    return Scope(collections, known, readiness.ready)


def search(*, workspace_id: UUID, knowledge: Sequence[Knowledge], query: str, scope: Scope) -> documents.SearchResult:
    """The best passages of what is searched."""
    if not scope.collections and not scope.documents:  # Which would mean the whole workspace.
        return documents.SearchResult(passages=[], mode=documents.LEXICAL)
    modes = {row.mode for row in knowledge if row.mode}
    return documents.search(
        workspace_id=workspace_id,
        query=query,
        collection_ids=scope.collections,
        document_ids=scope.documents,
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
    readiness = readiness_of(workspace_id, knowledge)
    scope = scope_of(workspace_id=workspace_id, knowledge=knowledge, readiness=readiness)
    result = search(workspace_id=workspace_id, knowledge=knowledge, query=query, scope=scope)
    unread = _unread(readiness, searched=scope.searched)
    tokens -= count_tokens(_json(unread)) if unread else 0
    passages: list[dict[str, Any]] = []
    for passage in result.passages:
        shown = {"n": 9999, "document": passage.document_name, **_pages(passage), "text": passage.text}
        size = count_tokens(_json(shown))
        if size > tokens:
            continue
        tokens -= size
        number = tracker.number(passage.chunk_id)
        tracker.add_source(Source(number, passage))
        passages.append({**shown, "n": number})
    left_out = len(result.passages) - len(passages)
    return Found(
        text=_json({"passages": passages, **({"left_out": left_out, "reason": NO_ROOM} if left_out else {}), **unread}),
        summary={
            "passages": [{name: passage[name] for name in ("n", "document", "page")} for passage in passages],
            "documents_searched": scope.searched,
            "documents_pending": readiness.pending,
            "documents_failed": readiness.failed,
            "passages_read": len(passages),
            "degraded": result.degraded,
        },
        readiness=readiness,
    )


def _pages(passage: documents.Passage) -> dict[str, Any]:
    """Its first page; of a passage on several pages also the characters of its text at which the others begin."""
    breaks = passage.page_breaks
    return {"page": passage.page_from, **({"page_breaks": breaks} if breaks else {})}


def _unread(readiness: Readiness, *, searched: int) -> dict[str, Any]:
    """Names the documents that could not be searched, so that the model does not take their silence for an answer."""
    if readiness.ready == readiness.total > 0:
        return {}
    facts = {
        "total": readiness.total,
        "ready": readiness.ready,
        "searched": searched,
        "still_being_read": readiness.pending,
        "failed": readiness.failed,
        "names_of_those_being_read": readiness.pending_names,
        "names_of_those_that_failed": readiness.failed_names,
    }
    states = {"are still being read": readiness.pending, "could not be read": readiness.failed}
    notice = " and ".join(f"{count} {state}" for state, count in states.items() if count)
    told = f"Of {readiness.total} documents, {notice}. {TELL}" if notice else "There are no documents to search."
    return {"documents": facts, "notice": told}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
