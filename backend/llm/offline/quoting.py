"""Finds the sentences of the passages that answer a question, and refuses when none does."""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence, Set

import msgspec

from backend.llm.offline.questions import Question, Term, is_number
from backend.llm.offline.sentences import Sentence, sentences
from backend.llm.offline.words import GENERIC, Language, alike, language_of, said_otherwise, stem, words
from backend.llm.prose import is_small, literally, over_pages

ENOUGH = 0.5  # The share of what was asked for that a quotation and its surroundings must hold.
COMMON = 0.25  # The share of the sentences above which a word does not distinguish one of them.
CLOSE = 0.75  # A second quotation must be nearly as good as the best.
PARAPHRASED = 0.7  # How well another word for the same meets a term.
MAX_QUOTES = 3
MAX_QUOTES_OF_PART = 2
MAX_PASSAGE_CHARACTERS = 8000
MAX_PASSAGES = 20
MAX_QUOTE_CHARACTERS = 700
MAX_NAME_CHARACTERS = 255  # Of a document.


class Passage(msgspec.Struct, frozen=True):
    """As the tool search_knowledge gives it."""

    n: int
    text: str
    document: str = ""
    page: int | None = None
    page_breaks: list[int] = []  # Of a passage on several pages: the characters at which the others begin.

    def pages_of(self, quoted: str) -> tuple[int, int] | None:
        """The first and the last page that a piece of the text is on, its white space aside."""
        if self.page is None:
            return None
        start, end = literally(quoted, self.text) or (0, len(self.text))
        return self.page + bisect_right(self.page_breaks, start), self.page + bisect_right(self.page_breaks, end - 1)


class Quote(msgspec.Struct, frozen=True):
    """:ivar header: the first line of the table that the text is a row of."""

    passage: Passage
    text: str
    header: str = ""

    @property
    def pages(self) -> tuple[int, int] | None:
        return self.passage.pages_of(self.text)


class Candidate(msgspec.Struct):
    passage: Passage
    place: int  # Of the sentence in its passage.
    sentence: Sentence
    hits: dict[str, float]  # Term: how well it is met here, 0 to 1.
    near: dict[str, float]  # The same with what surrounds it.
    score: float = 0
    row: bool = False  # Of a table whose first line is near.
    header: str = ""  # The names of that table's columns.


def quotes_for(question: Question, passages: Sequence[Passage], *, limit: int = MAX_QUOTES) -> list[Quote]:
    """The best sentences, in the order of the passages; none when nothing fits the question."""
    passages = passages[:MAX_PASSAGES]
    if not question.terms:
        return openings(passages)
    candidates = [candidate for passage in passages for candidate in candidates_of(question, passage)]
    rarity = rarities(candidates)
    weights = weights_of(question, candidates)
    needed = (question.subject, {term.stem for term in question.terms if not is_number(term.word)})
    rank = {passage.n: place for place, passage in enumerate(passages)}
    generic = GENERIC.intersection(words(question.text))
    for candidate in candidates:
        candidate.score = score(question, candidate, rarity, rank[candidate.passage.n], generic)
    able = [
        candidate
        for candidate in candidates
        if candidate.hits
        and candidate.sentence.kind != "heading"
        and covered(candidate, weights)
        and meets(candidate, needed)
    ]
    able.sort(key=lambda candidate: -candidate.score)
    best: list[Candidate] = []
    for candidate in able:
        if candidate.score < CLOSE * able[0].score or len(best) == limit:
            break
        if all(candidate.sentence.text != other.sentence.text for other in best):
            best.append(candidate)
    best.sort(key=lambda candidate: (candidate.passage.n, candidate.place))
    return joined(best)


def distinct(quotes: Sequence[Quote]) -> list[Quote]:
    """Without those that another one holds, in their order."""

    def held(place: int, quote: Quote) -> bool:
        return any(
            other.passage.n == quote.passage.n and quote.text in other.text and (quote.text != other.text or at < place)
            for at, other in enumerate(quotes)
            if at != place
        )

    return [quote for place, quote in enumerate(quotes) if not held(place, quote)]


def openings(passages: Sequence[Passage]) -> list[Quote]:
    """For a question without a subject, such as what the document is about: how it begins."""
    found: list[Quote] = []
    for passage in sorted(passages[:MAX_QUOTES], key=lambda passage: (passage.document, passage.page or 0))[:1]:
        plain = [
            sentence.text for sentence in sentences(passage.text[:MAX_PASSAGE_CHARACTERS]) if sentence.kind == "text"
        ]
        found += [Quote(passage, shortened(text)) for text in plain[:2]]
    return found


def candidates_of(question: Question, passage: Passage) -> list[Candidate]:
    text = over_pages(passage.text[:MAX_PASSAGE_CHARACTERS], passage.page_breaks)
    foreign = language_of(text) not in (None, question.language)
    found: list[Candidate] = []
    heading: dict[str, float] = {}
    since = 0
    title = {
        term: 0.5 * met
        for term, met in hits_in(question, passage.document[:MAX_NAME_CHARACTERS], foreign=False).items()
    }
    header: Candidate | None = None
    for place, sentence in enumerate(sentences(text)):
        hits = hits_in(question, sentence.text, foreign=foreign)
        if header is not None and is_row(sentence, header.sentence):
            hits = merged(hits, (header.hits, 0.8)) if hits else {}  # A row is read with the names of its columns.
            near = merged(hits, (header.hits, 0.9), (title, 1.0))
            found.append(Candidate(passage, place, sentence, hits, near, row=True, header=header_of(header.sentence)))
            if header.sentence.cells > 2:
                header.sentence = msgspec.structs.replace(header.sentence, kind="heading")
            continue
        if sentence.kind == "heading":
            heading, since = hits, 0
        before = found[-1].hits if found and found[-1].sentence.kind == "text" else {}
        nearness = 0.3 if sentence.kind == "line" else 0.9 if since <= 1 else 0.6
        near = merged(hits, (heading, nearness), (before, 0.5), (title, 1.0))
        if sentence.kind == "line":
            heading, since = hits, 0
        if found:
            found[-1].near = merged(found[-1].near, (hits, 0.4))
        found.append(Candidate(passage, place, sentence, hits, near))
        header = found[-1] if sentence.cells > 1 or sentence.kind != "text" else None
        since += 1
    for candidate in found:  # Under a heading that asks the question, the answer need not repeat its words.
        candidate.hits = candidate.hits or {term: 0.5 * met for term, met in candidate.near.items() if met >= 0.8}
    return found


def header_of(first: Sentence) -> str:
    """The names of the columns; none where what begins the rows is no more than a heading."""
    return first.text if len(first.text.split()) > 1 else ""


def is_row(sentence: Sentence, first: Sentence) -> bool:
    """Whether the sentence is a row of the table that the first line begins: as many cells, or a line with figures."""
    if sentence.cells > 1 or first.cells > 1:
        return sentence.cells == first.cells
    return sentence.kind == "line" and any(letter.isdigit() for letter in sentence.text)


def merged(own: dict[str, float], *others: tuple[dict[str, float], float]) -> dict[str, float]:
    result = dict(own)
    for hits, share in others:
        for term, met in hits.items():
            result[term] = max(result.get(term, 0), met * share)
    return result


def hits_in(question: Question, text: str, *, foreign: bool) -> dict[str, float]:
    """How well each term is met by the words of the text. Across languages only names, figures and kin words meet."""
    there = {word for word in words(text) if not is_small(word)}
    language: Language = question.language
    stems = {word: stem(word, language) for word in there}
    found: dict[str, float] = {}
    for term in question.terms:
        met = 0.0
        if term.word in there:
            met = 1.0
        elif not foreign and any(alike(term.stem, other) for other in stems.values()):
            met = 0.9
        elif not foreign and not term.exact and not said_otherwise(term.stem, language).isdisjoint(stems.values()):
            met = PARAPHRASED
        elif foreign and not term.exact and any(kin(term.word, other) for other in there):
            met = 0.7
        if met:
            found[term.stem] = met
    return found


def kin(one: str, other: str) -> bool:
    """university, universidade: long words of two languages that begin alike."""
    return len(one) >= 6 and len(other) >= 6 and one[:6] == other[:6]


def rarities(candidates: Sequence[Candidate]) -> dict[str, float]:
    """Inverse frequencies of the terms over the sentences at hand."""
    count = Counter(term for candidate in candidates for term in candidate.hits)
    size = len(candidates)
    return {term: math.log(1 + (size - n + 0.5) / (n + 0.5)) + 0.2 for term, n in count.items()}


def score(
    question: Question, candidate: Candidate, rarity: dict[str, float], rank: int, generic: frozenset[str]
) -> float:
    """:param generic: the words of the question that are too common to be searched for."""
    text = candidate.sentence.text
    total = 0.0
    for term in question.terms:
        worth = term.weight * rarity.get(term.stem, 0)
        total += worth * max(candidate.hits.get(term.stem, 0), 0.4 * candidate.near.get(term.stem, 0))
    if question.wants_figure and any(letter.isdigit() for letter in without(question.terms, text)):
        total *= 1.35
    if question.wants_name and any(word[:1].isupper() for word in text.split()[1:]):
        total *= 1.2
    there = words(text)
    shared = len(generic.intersection(there))
    total *= 1 + 0.05 * min(shared, 2)  # Enough to tell two sentences apart.
    if any(term.word in there[:6] for term in question.terms):
        total *= 1.05
    if candidate.sentence.kind == "line" and not candidate.row:
        total *= 0.5
    total *= 1 - 0.03 * min(rank, 8)  # The search knew more of the collection than these passages.
    return total / (1 + 0.15 * max(0, len(text) / 250 - 1))


def without(terms: Sequence[Term], text: str) -> str:
    """The text without the figures that the question itself holds."""
    figures = {term.word for term in terms if term.word[0].isdigit()}
    return " ".join(word for word in words(text) if word not in figures)


def weights_of(question: Question, candidates: Sequence[Candidate]) -> dict[str, float]:
    """What each term counts for in ``covered``: half where it stands almost everywhere, as “clause” in a contract."""
    count = Counter(term for candidate in candidates for term in candidate.hits)
    common = max(3, COMMON * len(candidates))
    return {term.stem: term.weight * (0.5 if count[term.stem] > common else 1) for term in question.terms}


def covered(candidate: Candidate, weights: dict[str, float]) -> bool:
    """Whether a sentence and its surroundings hold enough of what was asked for."""
    held = sum(weight * candidate.near.get(stem, 0) for stem, weight in weights.items())
    return held + 1e-9 >= ENOUGH * sum(weights.values())


def meets(candidate: Candidate, needed: Sequence[Set[str]]) -> bool:
    """Whether one of each set is there: a new subject, and more than a figure that the question happens to name."""
    return all(not stems or any(candidate.near.get(stem, 0) >= 0.4 for stem in stems) for stems in needed)


def joined(best: Sequence[Candidate]) -> list[Quote]:
    """Neighbouring sentences of one passage become one quotation; the first row of a table has its header with it."""
    found: list[Quote] = []
    previous: Candidate | None = None
    shown: set[tuple[int, str]] = {(candidate.passage.n, candidate.sentence.text) for candidate in best}
    for candidate in best:
        text = shortened(candidate.sentence.text)
        neighbours = (
            previous is not None
            and previous.passage.n == candidate.passage.n
            and previous.place + 1 == candidate.place
            and not candidate.row
            and f"{previous.sentence.text} {text}" in " ".join(candidate.passage.text.split())
        )
        table = (candidate.passage.n, candidate.header)
        if neighbours and len(found[-1].text) + len(text) <= MAX_QUOTE_CHARACTERS:
            found[-1] = msgspec.structs.replace(found[-1], text=f"{found[-1].text} {text}")
        else:
            found.append(Quote(candidate.passage, text, header="" if table in shown else candidate.header))
            shown.add(table)
        previous = candidate
    return found


def shortened(text: str) -> str:
    """No longer than a quotation may be, and then ending with a word."""
    return text if len(text) <= MAX_QUOTE_CHARACTERS else text[:MAX_QUOTE_CHARACTERS].rsplit(" ", 1)[0]
