"""Divides a question that asks for several things: “How long is the notice, and what is the deposit?”"""

import re
import unicodedata

from backend.llm.offline.questions import PRONOUNS, shorten
from backend.llm.offline.words import carries_meaning, words
from backend.llm.prose import fold, listed

MAX_PARTS = 5
# What begins a question within a sentence, a preposition before it included.
_ASKS = (
    r"(?:(?:at|by|for|from|in|on|to|until|with|a|ate|com|de|desde|em|para|por) )?"
    r"(?:who|whose|whom|what|when|where|which|why|how|quem|qual|quais|quando|onde|como|quant[oa]s?|o que|por que|que)"
)
_INVERTED = (
    r"(?:is|are|was|were|do|does|did|can|may|must|should|will) (?:the|a|an|i|it|there|they|we|you|he|she|this|that)"
)
_BEGINS = re.compile(rf"(?:{_ASKS}|{_INVERTED})\b")
_BETWEEN = re.compile(
    rf"[?;] ?(?:(?:and|or|also|e|ou),? )?|,? (?:and|e)(?: also| tambem)?,? (?={_ASKS}\b|{_INVERTED}\b)"
    rf"|(?P<comma>, )(?={_ASKS}\b)(?!que\b)"
)
# “What are the fee and the deposit?”, where nothing before the conjunction could belong to both.
_THINGS = re.compile(
    r"(?P<asks>(?:what|which|qual|quais)(?: (?:is|are|was|were|e|sao|era|eram|foi))?) "
    r"(?P<things>(?:(?:the|o|a|os|as) [\w-]+(?: [\w-]+)?(?:, | |,? (?:and|e) )){1,4}(?:the|o|a|os|as) )"
)
_NEXT_THING = re.compile(r",? (?:and|e) (?=(?:the|o|a|os|as) )|, (?=(?:the|o|a|os|as) )")
_HOLDS_TOGETHER = listed("of for between in on with to from by de do da dos das para entre em no na com por")


def parts_of(text: str) -> list[str]:
    """The questions in a text, each as written; only the text itself where it asks for one thing."""
    text = unicodedata.normalize("NFC", shorten(text))
    parts = [thing for part in divided(text) for thing in things_of(part)]
    return parts if 1 < len(parts) <= MAX_PARTS else [text]


def divided(text: str) -> list[str]:
    """A piece without a subject of its own, as in “when and where”, stays with what is next to it."""
    pieces, start = [], 0
    folded = in_place(text)
    for match in _BETWEEN.finditer(folded):
        if match["comma"] and not _BEGINS.match(folded, start):
            continue  # “The tenant, who lives here, …”
        if is_subject(text[start : match.start()]) and is_subject(text[match.end() :]):
            pieces.append(text[start : match.start()])
            start = match.end()
    pieces.append(text[start:])
    return [piece.strip(" ,;?") for piece in pieces]


def in_place(text: str) -> str:
    """Folded, each character at its place."""
    return "".join((fold(character) or character)[0] for character in text)


def things_of(part: str) -> list[str]:
    folded = in_place(part)
    match = _THINGS.match(folded)
    if match is None or not _HOLDS_TOGETHER.isdisjoint(match["things"].split()):
        return [part]
    found, start = [], 0
    for between in _NEXT_THING.finditer(folded, match.end("asks")):
        if between.start() >= match.end("things"):
            break
        found.append(part[start : between.start()])
        start = between.end()
    found.append(part[start:])
    return found if all(is_subject(thing) for thing in found) else [part]


def is_subject(text: str) -> bool:
    return any(carries_meaning(word) and word not in PRONOUNS for word in words(text))
