"""What a question asks for: its terms with their weights, and the question before it when it is only a follow-up."""

import re

import msgspec

from backend.llm.offline.words import (
    GREETINGS,
    NUMBERS,
    WEAK,
    WORD,
    Language,
    carries_meaning,
    language_of,
    stem,
    words,
)
from backend.llm.prose import fold, listed

MAX_QUESTION_CHARACTERS = 2000  # Characters that are looked at.
MAX_TERMS = 40
FOLLOW_UP = re.compile(
    r"^\W*(and|but|also|so|then|or|what about|how about|what if|e|mas|ou|entao|tambem|e se|e quanto|e sobre)\b"
)
PRONOUNS = listed(
    """it its they them their he she him his her those these there one ones ele ela eles elas dele dela deles delas
    nele nela isso isto aquilo disso nisso"""
)
FIGURES = re.compile(
    r"\b(how (many|much|long|far|old|often|big|large|heavy|high|fast)|when|what (year|date|time|percentage)|which year"
    r"|quant[oa]s?|quando|que (ano|dia|data|horas)|qual (o |a )?(valor|preco|prazo|ano|data|numero|percentual|taxa))\b"
)
# Words that ask for a figure and stand in no answer: "tempo" in "quanto tempo".
SHAPE = re.compile(
    r"\bhow (?:many |much )?(long|far|old|often|big|large|heavy|high|fast|times?)\b|\b(?:what|which) (year|date|time)\b"
    r"|\bquant[oa]s? (tempo|vezes)\b|\bque (ano|dia|data|horas)\b"
)
NAMES = re.compile(r"\b(who|whose|whom|quem)\b")


class Term(msgspec.Struct, frozen=True):
    """A word asked for. Names and figures weigh more, words that only shape the answer less."""

    word: str
    stem: str
    weight: float
    exact: bool  # A name or a figure: the same in every language.


class Question(msgspec.Struct, frozen=True):
    """:ivar subject: stems of which an answer must hold one, where a follow-up is about something new (“And …?”)."""

    text: str
    language: Language
    query: str  # What to search for.
    terms: tuple[Term, ...]
    wants_figure: bool
    wants_name: bool
    greeting: bool
    subject: frozenset[str] = frozenset()


def read_question(texts: list[str], *, otherwise: Language = "en") -> Question:
    """The last of the user's texts, with what it leaves unsaid taken from those before it."""
    texts = [shorten(text) for text in texts] or [""]
    text = texts[-1]
    said = [text]
    while len(said) < min(len(texts), 3) and is_follow_up(said[0]):
        said.insert(0, texts[-len(said) - 1])
    language = language_of(*reversed(texts)) or otherwise
    folded = fold(text)
    found = set(words(text))
    elliptic = len(said) > 1 and bool(FOLLOW_UP.search(folded))
    own = terms_of(text, language, 1.0)
    if elliptic:  # "And the price?" is about nothing else.
        own = [msgspec.structs.replace(term, weight=max(term.weight, 1.0)) for term in own]
    terms = {term.stem: term for term in own}
    for part, share in zip(reversed(said[:-1]), (0.6, 0.3), strict=False):
        counted = any(is_number(term.word) for term in terms.values())
        older = [term for term in terms_of(part, language, share) if term.stem not in terms]
        # "And for two?" no longer asks for four.
        older = [term for term in older if not (counted and is_number(term.word))]
        terms |= {term.stem: term for term in lighter(older, than=own)}
    changes = elliptic or (len(said) > 1 and any(term.exact for term in own))
    return Question(
        text=text,
        language=language,
        query=" ".join(said),
        terms=tuple(terms.values())[:MAX_TERMS],
        wants_figure=bool(FIGURES.search(folded)),
        wants_name=bool(NAMES.search(folded)),
        greeting=bool(found & GREETINGS) and not any(carries_meaning(word) for word in found),
        subject=frozenset(term.stem for term in own) if changes else frozenset(),
    )


def lighter(older: list[Term], *, than: list[Term]) -> list[Term]:
    """What an earlier question asked for, much lighter than a new subject: “And the price?” asks for the price.

    A figure is no subject: “And for two?” asks for the same of two.
    """
    limit = 0.3 * sum(term.weight for term in than)
    weight = sum(term.weight for term in older)
    if weight <= limit or all(is_number(term.word) for term in than):
        return older
    return [msgspec.structs.replace(term, weight=term.weight * limit / weight) for term in older]


def shorten(text: str) -> str:
    text = " ".join(text[: 2 * MAX_QUESTION_CHARACTERS].split())
    return text if len(text) <= MAX_QUESTION_CHARACTERS else text[:MAX_QUESTION_CHARACTERS].rsplit(" ", 1)[0]


def is_follow_up(text: str) -> bool:
    """Whether the question makes no sense without the one before it."""
    found = words(text)
    meaning = [word for word in found if carries_meaning(word) and word not in WEAK]
    if FOLLOW_UP.search(fold(text)):
        return len(meaning) <= 6
    return len(meaning) < 1 or (len(meaning) <= 3 and not PRONOUNS.isdisjoint(found))


def terms_of(text: str, language: Language, share: float) -> list[Term]:
    terms: list[Term] = []
    shape = {word for found in SHAPE.findall(fold(text)) for word in found if word}
    begins = True
    for match in WORD.finditer(text):
        written, first = match.group(), begins
        begins = text[match.end() : match.end() + 1] in (".", "!", "?", ":")
        for word in words(written):
            if not carries_meaning(word) or word in shape:
                continue
            figure = word[0].isdigit()
            name = written[0].isupper() and not first and not (text.isupper() or text.istitle())
            weight = 1.5 if is_number(word) else 1.8 if name else 0.5 if word in WEAK else 1.0
            terms.append(Term(word, stem(word, language), weight * share, figure or name))
    return terms


def is_number(word: str) -> bool:
    return word[0].isdigit() or word in NUMBERS
