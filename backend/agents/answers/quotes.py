"""Finds the sentence of a passage that supports a claim of an answer."""

import re
import unicodedata

from backend.agents.answers.markers import MARKER
from backend.llm.prose import Span, abbreviated, goes_on, literally

MAX_CLAIM_CHARACTERS = 1000  # Characters before a marker in which its sentence is looked for.
MAX_HEADING_CHARACTERS = 60  # Characters.
CONTEXT = 0.3  # What a word of the claim's surroundings counts for, beside a word of the claim.

_END = re.compile(r"[.!?…][\"”’»)\]]*(?=\s)|\n\s*\n|\n(?=[ \t]*[^\W\d_a-zà-öø-ÿ]|[ \t]*[§•*#–-])|\Z")
_QUOTATION_MARKS = frozenset('“"«”»')
_WORD = re.compile(r"\w+")
_STOP = re.compile(r"[.!?…](?= )|\n")
_QUOTATION = re.compile(r"[“\"«][^“”\"«»]{8,800}[”\"»][.!?…]*\Z")
_QUOTED = re.compile(r"[“\"«]([^”\"»]{8,800})[”\"»]")
_MIN_MEANINGFUL_LETTERS = 4  # Shorter words are mostly function words.


def claim_before(text: str, end: int) -> str:
    """The sentence before a marker at ``end``, or its part after an earlier marker in it."""
    before = MARKER.sub("", segment_before(text, end)).rstrip()
    body = before.rstrip('.!?…"”’»)] ')
    if quotation := _QUOTATION.search(before):
        body = before[: quotation.start()]  # What is quoted may be several sentences; they belong together.
    return before[_last_end(body) :].strip()


def segment_before(text: str, end: int) -> str:
    """The text since the last marker before ``end`` that words follow."""
    segment = text[max(0, end - MAX_CLAIM_CHARACTERS) : end]
    for marker in reversed(list(MARKER.finditer(segment))):
        if _WORD.search(segment, marker.end()):
            return segment[marker.end() :]
        segment = segment[: marker.start()]
    return segment


def _last_end(text: str) -> int:
    """Where the last whole sentence of the text ends."""
    ends = [end.end() for end in _STOP.finditer(text) if end[0] != "." or not abbreviated(text[: end.start()])]
    return ends[-1] if ends else 0


def quote_span(claim: str, passage: str, *, context: str = "") -> Span:
    """Where the sentence stands that the claim rests on: the words it quotes, else those nearest to it.

    :param context: the sentence that the claim is a part of; it decides between sentences that are equally near.
    """
    quoted = [found for words in _quotations(claim) if (found := literally(words, passage))]
    if quoted:
        return max(quoted, key=lambda span: span[1] - span[0])
    wanted = _words(claim)
    around = _words(context) - wanted

    def likeness(span: Span) -> float:
        words = _words(passage[slice(*span)])
        return (len(words & wanted) + CONTEXT * len(words & around)) / (len(words) + 8) ** 0.5 if words else -1.0

    return max(sentence_spans(passage), key=likeness, default=_stripped(passage, 0, len(passage)))


def quote_for(claim: str, passage: str, *, context: str = "") -> str:
    """As ``quote_span``, the words themselves."""
    return passage[slice(*quote_span(claim, passage, context=context))]


def shares_a_word(claim: str, passage: str) -> bool:
    """Whether the claim shares a word with the passage, function words aside."""
    shared = _words(claim) & _words(passage)
    return any(len(word) >= _MIN_MEANINGFUL_LETTERS or word[0].isdigit() for word in shared)


def _quotations(claim: str) -> list[str]:
    """What the claim quotes; first all between its outermost quotation marks, which may hold others."""
    places = [place for place, character in enumerate(claim) if character in _QUOTATION_MARKS]
    outer = [claim[places[0] + 1 : places[-1]]] if len(places) > 1 else []
    return [words for words in (*outer, *_QUOTED.findall(claim)) if len(words) >= 8]


def sentence_spans(text: str) -> list[Span]:
    """The sentences of a text. A line break ends one only after a short line such as a heading's: PDFs break long
    sentences over several lines. Nor does the end of a paragraph end a sentence that continues in the next paragraph,
    as over the end of a page.
    """
    spans: list[Span] = []
    start = 0
    for end in _END.finditer(text):
        line = text[max(start, text.rfind("\n", 0, end.start()) + 1) : end.start()]
        if end[0] == "\n" and len(line) > MAX_HEADING_CHARACTERS:
            continue
        if end[0] == "." and abbreviated(text[start : end.start()]):
            continue
        if end[0].startswith("\n") and goes_on(line, text[end.end() : end.end() + MAX_HEADING_CHARACTERS]):
            continue
        span = _stripped(text, start, end.end())
        if span[0] < span[1]:
            spans.append(span)
        start = end.end()
    return spans


def _stripped(text: str, start: int, end: int) -> Span:
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    return start, start + len(piece.strip())


def _words(text: str) -> set[str]:
    folded = unicodedata.normalize("NFD", text.casefold())
    return set(_WORD.findall("".join(mark for mark in folded if not unicodedata.combining(mark))))
