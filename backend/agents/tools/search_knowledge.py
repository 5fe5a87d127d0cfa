"""The tool ``search_knowledge``: passages of the agent's documents, numbered through the whole run."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec

from backend.agents.answers.citations import Source
from backend.agents.models import Knowledge
from backend.agents.readiness import GUIDE, readiness_of
from backend.agents.tools.interface import BadArguments, Bounds, Context, Outcome, Policy
from backend.db.connection import retry_on_disconnect
from backend.documents import queries as documents
from backend.documents.queries import Readiness
from backend.llm.chat import count_tokens

NAME = "search_knowledge"
MAX_QUERY_CHARACTERS = 4000  # As many as search takes.
MAX_OUTPUT_TOKENS = 8000
PASSAGE_TOKENS = 750  # A generous passage with its name and number, as the model reads it.
MAX_SECONDS = 15.0  # A search is refused after SEARCH_SECONDS; a PostgreSQL that went away is waited for.
NO_ROOM = "There was no room for them. Answer from what you have."
NOTICE = "These were not searched. Tell the user so, and do not say that the documents hold no answer."


INSTRUCTIONS = """\
You have documents that may answer the user. Call search_knowledge before answering anything they may cover; search \
again in other words if the passages do not fit. Rest what you say on the passages and put the number of the passage, \
such as [1], right behind each statement that it supports. Cite only numbers you were given. When the passages do not \
answer the question, say so. Answer in the language of the question."""


class Arguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    query: str


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


class SearchKnowledge:
    """The tool of an agent that knows documents."""

    name = NAME
    description = "Searches the documents you know and returns numbered passages. Cite a passage by its number: [1]."
    parameters: dict[str, Any] = {  # A constant.
        "type": "object",
        "properties": {"query": {"type": "string", "description": "What to look for, in the words of the question."}},
        "required": ["query"],
        "additionalProperties": False,
    }
    instructions = INSTRUCTIONS
    policy = Policy.AUTO
    side_effects = False

    def __init__(self, knowledge: Sequence[Knowledge]) -> None:
        self.knowledge = knowledge
        passages = max((row.limit for row in knowledge), default=0)
        self.bounds = Bounds(
            seconds=MAX_SECONDS,
            output_bytes=256 * 1024,  # Whole passages are left out before that.
            output_tokens=min(passages * PASSAGE_TOKENS, MAX_OUTPUT_TOKENS),
        )

    def parse(self, arguments: Any) -> str:
        """The query."""
        try:
            query = msgspec.convert(arguments, Arguments).query.replace("\x00", "").strip()
        except msgspec.ValidationError as error:
            raise BadArguments(f'The arguments must be {{"query": "…"}}: {error}') from error
        if not query:
            raise BadArguments('The arguments must be {"query": "…"}: it is empty.')
        return query[:MAX_QUERY_CHARACTERS]

    def run(self, context: Context, arguments: str) -> Outcome:
        """Search, and number what was found: whole passages, the best first, as many as fit ``context.tokens``."""
        return retry_on_disconnect(lambda: self._search(context, arguments), seconds=10)

    def _search(self, context: Context, query: str) -> Outcome:
        readiness = readiness_of(context.workspace_id, self.knowledge)
        scope = scope_of(workspace_id=context.workspace_id, knowledge=self.knowledge, readiness=readiness)
        result = search(workspace_id=context.workspace_id, knowledge=self.knowledge, query=query, scope=scope)
        unread = _unread(readiness, searched=scope.searched)
        tokens = context.tokens - (count_tokens(_json(unread)) if unread else 0)
        passages: list[dict[str, Any]] = []
        sources: list[Source] = []
        for passage in result.passages:
            shown = {"n": 9999, "document": passage.document_name, **_pages(passage), "text": passage.text}
            size = count_tokens(_json(shown))
            if size > tokens:
                continue
            tokens -= size
            source = Source(context.tracker.number(passage.chunk_id), passage)
            context.tracker.add_source(source)
            sources.append(source)
            passages.append({**shown, "n": source.n})
        left_out = len(result.passages) - len(passages)
        rest = {"left_out": left_out, "reason": NO_ROOM} if left_out else {}
        summary = {
            "passages": [{name: passage[name] for name in ("n", "document", "page")} for passage in passages],
            "documents_searched": scope.searched,
            "documents_pending": readiness.pending,
            "documents_failed": readiness.failed,
            "passages_read": len(passages),
            "degraded": result.degraded,
        }
        return Outcome(
            text=_json({"passages": passages, **rest, **unread}),
            shown={"output": summary},
            sources=sources,
            readiness=readiness,
        )


def _pages(passage: documents.Passage) -> dict[str, Any]:
    """Its first page; of a passage on several pages also the characters of its text at which the others begin."""
    breaks = passage.page_breaks
    return {"page": passage.page_from, **({"page_breaks": breaks} if breaks else {})}


def _unread(readiness: Readiness, *, searched: int) -> dict[str, Any]:
    """Names the documents that could not be searched, so that the model does not conclude that they hold no answer."""
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
    text = f"Of {readiness.total} documents, {notice}. {NOTICE}" if notice else "There are no documents to search."
    return {"documents": facts, "notice": text}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
