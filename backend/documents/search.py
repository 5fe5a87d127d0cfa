"""BM25 in plain SQL over the words of the chunks: exact statistics while a search space is small, counted aside later.

One word of a query may be several lexemes: stemmed as Portuguese and as English, with and without its accents. They
count as one word: its frequency in a chunk is that of its most frequent lexeme.
"""

import json
from collections.abc import Collection as AnyOf
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection

from backend.documents.models import Corpus, Language
from backend.documents.words import folded, words_of

K1 = 1.2  # How soon repeating a word stops helping.
B = 0.75  # How much a long chunk is held against it.
MOST_WORDS = 64  # Of a query, the first ones that differ.
CANDIDATES = 400  # Chunks that are scored in full.
RARE = 100  # A word in less than one chunk in so many selects candidates in a large corpus.


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
    """A word of the query in one language."""

    number: int
    language: str
    lexemes: list[str]


# Who may be found: the tombstone, the active ingestion and the scope are part of the search itself, never a filter
# over what it found.
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
SELECT word.number - 1, language, tsvector_to_array(documents_words(language, word.written, word.folded))
FROM unnest(%(written)s::text[], %(folded)s::text[]) WITH ORDINALITY AS word(written, folded, number)
CROSS JOIN unnest(%(languages)s::text[]) AS language
WHERE documents_words(language, word.written, '') <> ''
"""

_SCORES = f"""
WITH word AS MATERIALIZED (
    SELECT number, language, lexemes, query FROM unnest(
        %(numbers)s::int[], %(word_languages)s::text[], %(queries)s::text[]
    ) AS given(number, language, text), LATERAL (SELECT text::tsquery AS query) AS parsed,
    LATERAL (SELECT tsvector_to_array(replace(text, ' | ', ' ')::tsvector) AS lexemes) AS listed
), match AS MATERIALIZED (
    SELECT c.id, word.number FROM word JOIN (
        SELECT c.id, c.language, c.words FROM {_VISIBLE} {{narrowed}}
    ) AS c ON c.language = word.language AND c.words @@ word.query
), corpus AS (
    {{corpus}}
), weight AS (
    SELECT number, ln(1 + (corpus.chunks - found + 0.5) / (found + 0.5)) AS idf FROM ({{frequencies}}) AS f, corpus
), candidate AS (
    SELECT match.id FROM match JOIN weight USING (number) GROUP BY match.id
    ORDER BY sum(idf) DESC, match.id LIMIT %(candidates)s
), frequency AS (
    SELECT c.id, c.length, word.number, max(cardinality(entry.positions)) AS tf
    FROM candidate JOIN documents_chunk c USING (id)
    CROSS JOIN LATERAL unnest(c.words) AS entry(lexeme, positions, weights)
    JOIN word ON word.language = c.language AND entry.lexeme = ANY(word.lexemes)
    GROUP BY c.id, word.number
)
SELECT frequency.id, round(sum(
    idf * tf * (%(k1)s + 1) / (tf + %(k1)s * (1 - %(b)s + %(b)s * length / corpus.average))
)::numeric, 6)::float AS score
FROM frequency JOIN weight USING (number), corpus
GROUP BY frequency.id ORDER BY score DESC, frequency.id LIMIT %(limit)s
"""  # noqa: S608  # No value is ever part of a statement; its pieces are all written here.

_EXACT = _SCORES.format(
    narrowed="",
    corpus=f"SELECT count(*) AS chunks, greatest(avg(c.length), 1)::float AS average FROM {_VISIBLE}",  # noqa: S608
    frequencies="SELECT number, count(*)::float AS found FROM match GROUP BY number",
)
_COUNTED = _SCORES.format(
    narrowed="AND c.words @@ %(selection)s::tsquery",
    corpus="SELECT %(chunks)s::float AS chunks, %(average)s::float AS average",
    frequencies="SELECT * FROM unnest(%(numbers_once)s::int[], %(found)s::float[]) AS given(number, found)",
)

_FOUND = """
SELECT given.number, given.language, max(frequency.chunks) FROM unnest(
    %(numbers)s::int[], %(word_languages)s::text[], %(one_lexeme)s::text[]
) AS given(number, language, lexeme)
JOIN documents_wordfrequency frequency ON frequency.workspace_id = %(workspace)s
    AND frequency.language = given.language AND frequency.lexeme = given.lexeme
GROUP BY 1, 2
"""


def rank(scope: Scope, query: str, *, limit: int) -> list[tuple[UUID, float]]:
    """The ids of the best chunks with their scores, best first; ties by id, so that the order never changes."""
    words = _lexemes(query)
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
        "queries": [" | ".join(map(_quoted, word.lexemes)) for word in words],
        "candidates": max(CANDIDATES, limit),
        "k1": K1,
        "b": B,
        "limit": limit,
    }
    corpus = Corpus.objects.filter(workspace_id=scope.workspace_id, chunks__gt=settings.SEARCH_EXACT_CHUNKS).first()
    if corpus is None:
        return _rows(_EXACT, parameters)
    return _rows(_COUNTED, {**parameters, **_selection(corpus, words)})


def _lexemes(query: str) -> list[Word]:
    """The query's words in each language, without that language's stop words."""
    written = list(dict.fromkeys(words_of(query)))[:MOST_WORDS]
    if not written:
        return []
    parameters = {"written": written, "folded": list(map(folded, written)), "languages": Language.values}
    return [Word(*row) for row in _rows(_LEXEMES, parameters)]


def _selection(corpus: Corpus, words: list[Word]) -> dict[str, Any]:
    """In how many chunks each word is, and the rare words, any of which a candidate has."""
    pairs = [(word.number, word.language, lexeme) for word in words for lexeme in word.lexemes]
    numbers, languages, lexemes = zip(*pairs, strict=True)
    found: dict[int, int] = dict.fromkeys((word.number for word in words), 0)
    rows = _rows(
        _FOUND,
        {
            "numbers": list(numbers),
            "word_languages": list(languages),
            "one_lexeme": list(lexemes),
            "workspace": corpus.workspace_id,
        },
    )
    for number, _language, chunks in rows:
        found[number] += chunks
    rarest = sorted((number for number in found if found[number]), key=lambda number: (found[number], number))
    chosen = {number for number in rarest if found[number] * RARE < corpus.chunks} | set(rarest[:2])
    selected = {lexeme for word in words if word.number in chosen or not rarest for lexeme in word.lexemes}
    return {
        "chunks": corpus.chunks,
        "average": max(1.0, corpus.words / corpus.chunks),
        "numbers_once": list(found),
        "found": [float(min(count, corpus.chunks)) for count in found.values()],
        "selection": " | ".join(map(_quoted, sorted(selected))),
    }


def _quoted(lexeme: str) -> str:
    """A lexeme in the text of a tsquery or a tsvector."""
    return "'" + lexeme.replace("\\", "\\\\").replace("'", "''") + "'"


def _rows(statement: str, parameters: Mapping[str, Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())
