"""English and Portuguese prose: where a sentence ends or continues, and which words are function words."""

import re
import unicodedata
from collections.abc import Iterable
from typing import TypeAlias

Span: TypeAlias = tuple[int, int]

ACCENTS = dict.fromkeys(range(0x300, 0x370))  # Combining marks, to be left out.


def listed(text: str) -> frozenset[str]:
    return frozenset(text.split())


ABBREVIATIONS = listed(
    """mr mrs ms dr drs prof profa st no nos vs etc fig figs vol vols pp p ch sec secs art inc ltd co corp jr sr e.g
    i.e approx min max sra srta dra dras exmo exma exa n pag pág págs pags av r tel cap caps par al als arts inc
    ltda cia ed eds obs ex aprox nº n° nºs n°s nr núm num proc cód cod fl fls ss segs cf eng arq adv desemb rev
    tít tit dep dept jan fev feb abr apr jun jul aug ago sept oct nov dec ph.d ref refs univ ass tb mun"""
)
BULLET = re.compile(r"^\s*(?:[-*•–·▪◦●■]|\d{1,3}[.)]|[a-zA-Z][.)])\s+")
ORDINAL = re.compile(r"(?:\d{1,3}\.){0,4}\d{1,3}", re.ASCII)
MAX_ORDINAL_CHARACTERS = 20
CLOSING = "\"'”’»)]"
MIN_WRAPPED_CHARACTERS = 25  # Characters of a line that is no heading but goes on.
ENGLISH = listed(
    """a about above after again all also am an and any are as at be because been before being below between both but
    by can could did do does doing done down during each few for from further had has have having he her here hers
    him his how i if in into is it its just me more most my no nor not now of off on once only or other our out over
    own same shall she should so some such than that the their them then there these they this those through to too
    under until up us very was we were what when where which while who whom whose why will with would you your"""
)
PORTUGUESE = listed(
    """a ao aos aquela aquelas aquele aqueles aquilo as ate com como cuja cujo da das de dela delas dele deles depois
    do dos e ela elas ele eles em entre era eram essa essas esse esses esta estao estas estava este estes eu foi
    foram ha isso isto ja la lhe lhes mais mas me mesmo meu meus minha minhas muito muita muitos muitas na nao nas
    nem nessa nesse nesta neste no nos nossa nosso num numa o onde os ou para pela pelas pelo pelos pode podem por
    porque pra qual quais quando quanta quantas quanto quantos que quem sao se seja sem ser sera seu seus so sob
    sobre sua suas tal tambem te tem tenho ter teu tinha toda todas todo todos tu tua um uma umas uns vai voce voces
    vos devo deve posso fica ficam existe existem houve algum alguma alguns algumas seria"""
)


def fold(text: str) -> str:
    """Lower case without accents."""
    if text.isascii():
        return text.lower()
    # Accents go before, too: ordering many on one letter takes a time that grows with the square of their number.
    return unicodedata.normalize("NFKD", text.translate(ACCENTS).casefold()).translate(ACCENTS)


def is_small(word: str) -> bool:
    """Whether the word is a function word: an article, a preposition, a pronoun, an auxiliary verb."""
    return word in ENGLISH or word in PORTUGUESE or (len(word) == 1 and not word.isdigit())


def abbreviated(text: str) -> bool:
    """Whether a full stop after this text belongs to its last word and ends no sentence."""
    words = text[-20:].split()
    last = words[-1].strip("(\"'“‘").lower() if words else ""
    initials = last.split(".")  # S.A., p.ex, a single letter.
    if last in ABBREVIATIONS or all(len(part) == 1 and part.isalpha() for part in initials):
        return True
    # The number of a list's item, as in “2. Price”.
    return len(text) < MAX_ORDINAL_CHARACTERS and len(words) == 1 and bool(ORDINAL.fullmatch(last))


def goes_on(line: str, following: str) -> bool:
    """Whether a sentence goes on after the end of a paragraph or page: nothing ended it, what follows begins small."""
    line, following = line.rstrip(), following.lstrip()
    if not line or not following or "|" in line or BULLET.match(following) or following.startswith(("#", "|")):
        return False
    if line[-1] == ".":
        return abbreviated(line[:-1])
    if line[-1] in "!?…:;" or (line[-1] in CLOSING and len(line) > 1 and line[-2] in ".!?…"):
        return False
    last = line.split()[-1]
    if line[-1] in ",-–" or (last.islower() and is_small(fold(last))):
        return True
    return following[0].islower() and len(line) >= MIN_WRAPPED_CHARACTERS


def over_pages(text: str, breaks: Iterable[int]) -> str:
    """The text with a space for each line break at a page's end after which its last sentence goes on.

    :param breaks: the characters at which pages begin. Where no sentence goes on, an empty line stands before them.
    """
    for place in breaks:
        if text[place - 1 : place] == "\n" and text[place - 2 : place - 1] not in ("", "\n"):
            text = f"{text[: place - 1]} {text[place:]}"
    return text


def literally(words: str, passage: str) -> Span | None:
    """Where the passage reads so; line breaks and runs of spaces count as one space."""
    pattern = r"\s+".join(re.escape(word) for word in words.split())
    found = re.search(pattern, passage) if pattern else None
    return found.span() if found else None
