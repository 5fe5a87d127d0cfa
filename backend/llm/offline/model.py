"""Calls the tool search_knowledge for every question, again in other words if needed, and quotes the passages found."""

import asyncio
import re
from collections.abc import AsyncGenerator

import msgspec

from backend.llm.catalog import Provider
from backend.llm.chat import (
    ChatEvent,
    ChatRequest,
    Finished,
    Message,
    TextDelta,
    ToolCall,
    Usage,
    count_calls,
    count_request,
    count_tokens,
    output_limit,
)
from backend.llm.offline.languages import reply_language
from backend.llm.offline.parts import parts_of
from backend.llm.offline.questions import MAX_QUESTION_CHARACTERS, Question, read_question
from backend.llm.offline.quoting import MAX_QUOTES, MAX_QUOTES_OF_PART, Passage, distinct, quotes_for
from backend.llm.offline.replies import Documents, compose, search_failed, without_documents, without_question
from backend.llm.offline.words import language_of, paraphrases

SEARCH = "search_knowledge"
BEFORE_SPACE = re.compile(r"(?<=\S)(?=\s)")
MAX_WRITING_SECONDS = 3.0  # However long the answer is and however slow the model is set.


class _Found(msgspec.Struct):
    passages: list[Passage]
    documents: Documents | None = None


class Chat:
    def __init__(self, provider: Provider) -> None:
        self.pause = 1 / provider.tokens_per_second

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        answer = reply_to(request)
        given = count_request(request)
        if isinstance(answer, ToolCall):
            yield answer
            usage = Usage(input_tokens=given, cached_input_tokens=0, output_tokens=count_calls([answer]))
            yield Finished(reason="tool_calls", usage=usage)
            return
        pieces = [piece for piece in BEFORE_SPACE.split(answer) if piece]
        pause = min(self.pause, MAX_WRITING_SECONDS / max(len(pieces), 1))
        limit = output_limit(request)
        written = ""
        for piece in pieces:
            if count_tokens(written + piece) > limit:
                break
            await asyncio.sleep(pause)
            written += piece
            yield TextDelta(piece)
        usage = Usage(input_tokens=given, cached_input_tokens=0, output_tokens=max(1, count_tokens(written)))
        yield Finished(reason="stop" if len(written) == len("".join(pieces)) else "length", usage=usage)


def reply_to(request: ChatRequest) -> str | ToolCall:
    asked = [turn.text for turn in request.messages if turn.role == "user"]
    results = results_since_question(request.messages)
    passages, documents, failed = found_in(results)
    # A question of a few nouns shows no language; the user who asks it reads that of the documents.
    spoken = language_of("\n".join(passage.text for passage in passages), request.instructions)
    question = read_question(asked, otherwise=spoken or "en")
    may_search = request.tool_choice == "auto"
    reply = reply_language(asked, reader=request.language, otherwise=[spoken])
    if not results:
        if not any(tool.name == SEARCH for tool in request.tools):
            return without_documents(reply)
        if question.greeting or not question.text:
            return without_question(reply)
        return search(request, question.query) if may_search else search_failed(reply)
    if failed and not passages:
        return search_failed(reply)
    parts = questions_in(asked, question)
    limit = MAX_QUOTES if len(parts) == 1 else MAX_QUOTES_OF_PART
    answers = [quotes_for(part, passages, limit=limit) for part in parts]
    unanswered = [part for part, quotes in zip(parts, answers, strict=True) if not quotes]
    if len(results) == 1 and may_search and any(tool.name == SEARCH for tool in request.tools):
        others = [word for part in unanswered for word in other_words(part) if part.language == (spoken or reply)]
        if others:
            return search(request, " ".join([*(part.query for part in unanswered), *dict.fromkeys(others)]))
    quotes = distinct([quote for found in answers for quote in found])
    if not quotes and len(parts) > 1:
        quotes, unanswered = quotes_for(question, passages), []
    return compose(reply, quotes, documents, [part.text for part in unanswered])


def questions_in(asked: list[str], question: Question) -> list[Question]:
    """Each part of the last question, read with those before it."""
    parts = parts_of(asked[-1]) if asked else []
    if len(parts) < 2:
        return [question]
    before = asked[:-1]
    return [read_question([*before, *parts[: place + 1]], otherwise=question.language) for place in range(len(parts))]


def other_words(question: Question) -> list[str]:
    known = paraphrases(question.language)
    return [word for term in question.terms if not term.exact for word in known.get(term.stem, ())]


def search(request: ChatRequest, query: str) -> ToolCall:
    arguments = msgspec.json.encode({"query": query[:MAX_QUESTION_CHARACTERS]}).decode()
    return ToolCall(id=f"call_{len(request.messages)}", name=SEARCH, arguments=arguments)


def results_since_question(messages: tuple[Message, ...]) -> list[str]:
    results: list[str] = []
    for turn in reversed(messages):
        if turn.role == "user":
            break
        if turn.role == "tool":
            results.insert(0, turn.text)
    return results


def found_in(results: list[str]) -> tuple[list[Passage], Documents | None, bool]:
    """Every passage that the results hold, which documents were not searched, and whether a result was no result."""
    passages: dict[int, Passage] = {}
    documents: Documents | None = None
    failed = False
    for result in results:
        try:
            found = msgspec.json.decode(result, type=_Found)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            failed = True
            continue
        passages.update((passage.n, passage) for passage in found.passages)
        documents = found.documents
    return list(passages.values()), documents, failed
