"""Ranks chunks by BM25 in SQL. Small scopes count document frequencies in each search; large ones use counted tables.

One word of a query may be several lexemes: stemmed as Portuguese and as English, with and without its accents. They
count as one word: its frequency in a chunk is that of its most frequent lexeme.
"""

import json
import math
import re
from collections.abc import Collection as AnyOf
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.utils.translation import gettext as _
from psycopg.errors import QueryCanceled

from backend.documents.models import Language
from backend.documents.words import folded, query_words, short_word_pairs
from backend.errors import ServiceUnavailable

K1 = 1.2  # BM25's saturation of term frequency.
B = 0.75  # BM25's normalization by length.
MAX_WORDS = 128  # Of a query.
CANDIDATES = 400  # Chunks that are scored in full.
RARE = 100  # In a large corpus, a word in less than 1 of 100 chunks selects candidates.

_SENTENCE = re.compile(r"[^.!?…。！？\n]+[.!?…。！？\n]?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Where to search. No collections and no documents: the whole workspace; both: in either."""

    workspace_id: UUID
    collection_ids: AnyOf[UUID] = ()
    document_ids: AnyOf[UUID] = ()
    content_types: AnyOf[str] = ()
    languages: AnyOf[str] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Word:
    """One lexeme of a word of the query, in one language."""

    number: int
    language: str
    lexeme: str


@dataclass(frozen=True, slots=True)
class Corpus:
    """The counted statistics of a workspace: its chunks, and the words in all of them."""

    chunks: int
    words: int


# Visibility (workspace, tombstone, active ingestion, scope) is part of every ranking statement. A filter over its
# result would let other chunks influence scores and take the places of visible ones.
_VISIBLE = """
documents_chunk c
JOIN documents_document d ON d.active_ingestion_id = c.ingestion_id AND d.deleted_at IS NULL
JOIN documents_blob b ON b.id = d.blob_id
WHERE c.workspace_id = %(workspace)s AND d.workspace_id = %(workspace)s
    AND (%(anywhere)s OR d.id = ANY(%(documents)s::uuid[]) OR EXISTS (
        SELECT FROM documents_collectiondocument m
        WHERE m.document_id = d.id AND m.collection_id = ANY(%(collections)s::uuid[])))
    AND (cardinality(%(content_types)s::text[]) = 0 OR b.content_type = ANY(%(content_types)s::text[]))
    AND (cardinality(%(languages)s::text[]) = 0 OR c.language = ANY(%(languages)s::text[]))
    AND d.metadata @> %(metadata)s::jsonb
"""

_LEXEMES = """
SELECT word.number, language, lexeme
FROM unnest(%(written)s::text[], %(folded)s::text[]) WITH ORDINALITY AS word(written, folded, number)
CROSS JOIN unnest(%(languages)s::text[]) AS language
CROSS JOIN unnest(tsvector_to_array(documents_words(language, word.written, word.folded))) AS lexeme
WHERE documents_words(language, word.written, '') <> ''
"""

# A chunk's vector with the query's lexemes alone. To unpack a whole vector of a hundred lexemes would
# cost several times as much. Stored vectors have no weights, so weight A marks the lexemes that ts_filter() keeps.
_QUERY_LEXEMES_ONLY = "ts_filter(setweight(c.words, 'A', %(lexemes)s::text[]), '{a}') AS words"

# ``chunks`` defines ``chunk`` (id, language, length, words): the chunks to score, words as above.
# Casts to float: PostgreSQL takes a constant such as 0.75 for a numeric, whose arithmetic is slow. Weights are looked
# up by the word's number: joined, they would be compared with each hit, because the planner expects one.
_SCORES = f"""
WITH word AS MATERIALIZED (
    SELECT * FROM unnest(%(numbers)s::int[], %(word_languages)s::text[], %(lexemes)s::text[])
    AS given(number, language, lexeme)
), {{chunks}}, entry AS MATERIALIZED (
    SELECT id, language, length, lexeme, cardinality(positions) AS tf
    FROM chunk CROSS JOIN LATERAL unnest(words) AS unpacked(lexeme, positions, weights)
), hit AS MATERIALIZED (
    SELECT entry.id, entry.length, word.number, max(entry.tf) AS tf FROM entry
    JOIN word ON word.language = entry.language AND word.lexeme = entry.lexeme
    GROUP BY entry.id, entry.length, word.number
), corpus AS MATERIALIZED ({{corpus}}), weight AS (
    SELECT number, ln(1 + (corpus.chunks - found + 0.5) / (found + 0.5)) * (%(boosts)s::float[])[number] AS idf
    FROM ({{frequencies}}) AS f, corpus
), weights AS MATERIALIZED (
    SELECT array_agg(idf ORDER BY number) AS idf
    FROM generate_series(1, {MAX_WORDS}) AS number LEFT JOIN weight USING (number)
)
SELECT hit.id, round(sum(
    idf[number] * tf * (%(k1)s::float + 1)
    / (tf + %(k1)s::float * (1 - %(b)s::float + %(b)s::float * length / corpus.average))
) * 1e6::float) / 1e6::float AS score
FROM hit, weights, corpus
GROUP BY hit.id ORDER BY score DESC, hit.id LIMIT %(limit)s
"""  # noqa: S608  # No value is ever part of a statement; its pieces are all written here.

# Every chunk of the scope is scored. NOT MATERIALIZED: the count reads no vectors, and no copy of them is made.
_EXACT = _SCORES.format(
    chunks=f"""chunk AS NOT MATERIALIZED (
        SELECT c.id, c.language, c.length, {_QUERY_LEXEMES_ONLY} FROM {_VISIBLE}
    )""",  # noqa: S608
    corpus="SELECT count(*) AS chunks, greatest(avg(length), 1)::float AS average FROM chunk",
    frequencies="SELECT number, count(*)::float AS found FROM hit GROUP BY number",
)
# In a large corpus, the index finds the chunks with a rare word; those with the most weight of rare words are scored.
_COUNTED = _SCORES.format(
    chunks=f"""rare AS (
        SELECT * FROM unnest(%(rare_queries)s::text[], %(rare_weights)s::float[]) AS given(query, weight)
    ), candidate AS MATERIALIZED (
        SELECT c.id, c.language, c.length, {_QUERY_LEXEMES_ONLY}
        FROM {_VISIBLE} AND c.words @@ %(selection)s::tsquery
    ), best AS MATERIALIZED (
        SELECT id FROM candidate JOIN rare ON words @@ query::tsquery
        GROUP BY id ORDER BY sum(weight) DESC, id LIMIT %(candidates)s
    ), chunk AS NOT MATERIALIZED (SELECT candidate.* FROM candidate JOIN best USING (id))""",  # noqa: S608
    corpus="SELECT %(chunks)s::float AS chunks, %(average)s::float AS average",
    frequencies="SELECT * FROM unnest(%(numbers_once)s::int[], %(found)s::float[]) AS given(number, found)",
)

_LIMIT = "SELECT set_config('statement_timeout', %(milliseconds)s::text, true)"  # Until the transaction ends.
_CORPUS = "SELECT chunks, words FROM documents_corpus WHERE workspace_id = %(workspace)s AND chunks > %(exact)s"
_SIZE = """
SELECT coalesce(sum(i.chunk_count), 0) FROM documents_document d
JOIN documents_ingestion i ON i.id = d.active_ingestion_id
WHERE d.workspace_id = %(workspace)s AND d.deleted_at IS NULL
    AND (%(anywhere)s OR d.id = ANY(%(documents)s::uuid[]) OR EXISTS (
        SELECT FROM documents_collectiondocument m
        WHERE m.document_id = d.id AND m.collection_id = ANY(%(collections)s::uuid[])))
"""

_FOUND = """
SELECT number, sum(chunks)::float FROM (
    SELECT word.number, word.language, max(frequency.chunks) AS chunks
    FROM unnest(%(numbers)s::int[], %(word_languages)s::text[], %(lexemes)s::text[]) AS word(number, language, lexeme)
    JOIN documents_wordfrequency frequency ON frequency.workspace_id = %(workspace)s
        AND frequency.language = word.language AND frequency.lexeme = word.lexeme
    GROUP BY word.number, word.language
) AS by_language GROUP BY number
"""


def rank(scope: Scope, query: str, *, limit: int) -> list[tuple[UUID, float]]:
    """The ids of the best chunks with their scores, best first; ties by id, so that the order is stable.

    :raises ServiceUnavailable: it took longer than SEARCH_SECONDS, and PostgreSQL cancelled it.
    """
    try:
        with transaction.atomic():
            _fetch(_LIMIT, {"milliseconds": round(settings.SEARCH_SECONDS * 1000)})
            return _rank(scope, query, limit=limit)
    except OperationalError as error:
        if isinstance(error.__cause__, QueryCanceled):
            raise ServiceUnavailable(
                _("The search takes too long; ask with fewer words, or in fewer documents.")
            ) from error
        raise


def _rank(scope: Scope, query: str, *, limit: int) -> list[tuple[UUID, float]]:
    weights = _select_words(query)
    words = _words(list(weights))
    pairs = short_word_pairs(query)[: MAX_WORDS - len(weights)]
    languages_without_words = set(Language.values) - {word.language for word in words}
    if pairs and languages_without_words:  # There the query has only stop words, which are not indexed alone.
        pair_words = [replace(word, number=word.number + len(weights)) for word in _words(pairs)]
        words += [word for word in pair_words if word.language in languages_without_words]
        weights |= dict.fromkeys(pairs, 1.0)
    if not words:
        return []
    parameters: dict[str, Any] = {
        "workspace": scope.workspace_id,
        "anywhere": not scope.collection_ids and not scope.document_ids,
        "documents": list(scope.document_ids),
        "collections": list(scope.collection_ids),
        "content_types": list(scope.content_types),
        "languages": list(scope.languages),
        "metadata": json.dumps(dict(scope.metadata)),
        "numbers": [word.number for word in words],
        "word_languages": [word.language for word in words],
        "lexemes": [word.lexeme for word in words],
        "boosts": list(weights.values()),
        "k1": K1,
        "b": B,
        "limit": limit,
    }
    corpus = _corpus(scope.workspace_id)
    if corpus is None or _size(parameters) <= settings.SEARCH_EXACT_CHUNKS:
        return _fetch(_EXACT, parameters)
    return _fetch(
        _COUNTED,
        {**parameters, **_candidate_parameters(corpus, words, parameters), "candidates": max(CANDIDATES, limit)},
    )


def _corpus(workspace_id: UUID) -> Corpus | None:
    """The statistics of a large workspace; none where each search counts its own."""
    rows = _fetch(_CORPUS, {"workspace": workspace_id, "exact": settings.SEARCH_EXACT_CHUNKS})
    return Corpus(*rows[0]) if rows else None


def _size(parameters: Mapping[str, Any]) -> int:
    """How many chunks the scope has: a small scope in a large workspace is counted exactly, too."""
    return int(_fetch(_SIZE, parameters)[0][0])


def _words(written: list[str]) -> list[Word]:
    """The lexemes of the query's words in each language, without that language's stop words."""
    if not written:
        return []
    parameters = {"written": written, "folded": list(map(folded, written)), "languages": Language.values}
    return [Word(*row) for row in _fetch(_LEXEMES, parameters)]


def _select_words(query: str) -> dict[str, float]:
    """The query's words with their weights; of a long query the ``MAX_WORDS`` that are likely to be the question.

    Users paste a whole e-mail and ask about it, above or below it. So the words of questions come first, then,
    alternating, those of the end and of the beginning.
    """
    weights = query_words(query)
    if len(weights) <= MAX_WORDS:
        return weights
    questions = [part for part in _SENTENCE.findall(query) if part.endswith(("?", "？"))]
    of_questions = [word for part in questions for word in list(query_words(part))[-MAX_WORDS:]]
    ends = (word for pair in zip(reversed(weights), weights, strict=True) for word in pair)
    chosen = dict.fromkeys(word for word in (*of_questions, *ends) if word in weights)
    return {word: weights[word] for word in list(chosen)[:MAX_WORDS]}


def _candidate_parameters(corpus: Corpus, words: list[Word], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of ``_COUNTED``: in how many chunks each word occurs, and the rare words that select candidates."""
    found = dict.fromkeys((word.number for word in words), 0.0) | dict(_fetch(_FOUND, parameters))
    known = sorted((number for number in found if found[number]), key=lambda number: (found[number], number))
    rare = {number for number in known if found[number] * RARE < corpus.chunks} | set(known[:2])
    lexemes = {number: [word.lexeme for word in words if word.number == number] for number in sorted(rare)}
    return {
        "chunks": corpus.chunks,
        "average": max(1.0, corpus.words / corpus.chunks),
        "numbers_once": list(found),
        "found": [min(count, float(corpus.chunks)) for count in found.values()],
        "selection": _any_of(lexeme for several in lexemes.values() for lexeme in several),
        "rare_queries": [_any_of(several) for several in lexemes.values()],
        "rare_weights": [math.log(1 + corpus.chunks / found[number]) for number in lexemes],
    }


def _any_of(lexemes: Iterable[str]) -> str:
    """The text of a tsquery that matches any of these."""
    quoted = ("'" + lexeme.replace("\\", "\\\\").replace("'", "''") + "'" for lexeme in dict.fromkeys(lexemes))
    return " | ".join(quoted)


def _fetch(sql: str, parameters: Mapping[str, Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())
