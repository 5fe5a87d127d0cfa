"""Splits text into the words that search indexes, the same way in documents and in queries.

1. Normalize: Unicode's compatibility forms (NFKC), case, letters with a stroke, and invisible marks.
2. Split into words. Scripts that are written without spaces are split into overlapping pairs of characters.
3. Add compounds: what is written with separators (12.345.678/0001-95, e-mail) is indexed without them, too.
4. Add pairs of short words, so that phrases of stop words alone can be found.
"""

import itertools
import re
import unicodedata
from collections.abc import Iterator

_WORD = re.compile(r"[^\W_]+")
_ACCENTS = re.compile("[\u0300-\u036f]+")  # The same ones that documents_words() folds.
_DIVIDED = re.compile(r"[^\w ]|\de\d")  # PostgreSQL makes two words of what has a mark within, or a number such as 1e5.
MAX_SHORT_LETTERS = 4  # Letters.
MAX_WORD_LENGTH = 64  # Characters; longer runs are encoded data, which would bloat the index.

# Letters that Unicode does not decompose, and the letters that users type instead.
_STROKES = {"ł": "l", "ø": "o", "đ": "d", "ħ": "h", "ŧ": "t", "ƶ": "z", "ɨ": "i", "ı": "i", "ŀ": "l"}
_STROKES |= {"æ": "ae", "œ": "oe", "þ": "th", "ð": "d", "ĸ": "k", "ŋ": "n", "ə": "e", "ƒ": "f"}
# Characters that do not change which word it is: soft hyphen, zero-width characters, directions, variation selectors,
# and the vowel points and stretched lines that Arabic and Hebrew usually omit.
_INVISIBLE = [0xAD, 0x34F, 0x61C, 0x180E, 0x640, 0x670, 0xFEFF, *range(0x200B, 0x2010), *range(0x202A, 0x202F)]
_INVISIBLE += [*range(0x2060, 0x2065), *range(0x2066, 0x206A), *range(0xFE00, 0xFE10)]
_INVISIBLE += [*range(0x591, 0x5BE), 0x5BF, 0x5C1, 0x5C2, 0x5C4, 0x5C5, 0x5C7, *range(0x64B, 0x660)]
# Ordinal marks: 5º is found by 5. NFKC would join the letter to the number.
_CHARACTERS = str.maketrans(_STROKES | dict.fromkeys(_INVISIBLE, "") | {"İ": "i", "º": " ", "ª": " ", "°": " "})
_MAPPED = re.compile(f"[{''.join(map(chr, _CHARACTERS))}]")
_SUPERSCRIPTS = re.compile(r"(?<=\d)[⁰¹²³⁴-⁹₀-₉]+")  # A note's mark after a number is not one of its digits.

# Scripts that are written without spaces (Thai, Lao, Myanmar, Khmer, kana, Han), and Hangul, whose particles are joined
# to the words.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3130-\u318f\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]+"
)
_SEPARATED = re.compile(r"(?<![^\W_])[^\W_]+(?:(?:[-‐‑–./\\:_'’@&+·]|(?<=\d),(?=\d))[^\W_]+)+")
# Digits in groups with spaces: IBANs; telephone numbers and cards.
_GROUPED = re.compile(
    r"(?<![^\W_])[a-z]{2}\d\d(?: [a-z\d]{4}(?![^\W_]))+(?: [a-z\d]{1,3}(?![^\W_]))?"
    r"|(?<![^\W_])\d{1,5}(?:[ .\-/()]{1,2}\d{1,5}(?![^\W_]))+"
)
_DIGITS = re.compile(r"\d[ .\-/()]{1,2}\d")
_MIN_GROUPED, _MAX_GROUPED = 9, 34  # Characters without separators; the longest is an IBAN.
_HYPHENS = frozenset("-‐‑'’")  # Separators that join words without digits, too.


def words_of(text: str) -> list[str]:
    """The words in order, lower case, accents as written (NFC)."""
    return [word[:MAX_WORD_LENGTH] for word in _WORD.findall(_normalize(text))]


def index_words(text: str) -> tuple[list[str], int]:
    """The words that a passage is indexed by, and its length in words, by which BM25 normalizes its score."""
    normal = _normalize(text)
    words = _WORD.findall(normal)
    pairs = list(_pairs(words))
    if not normal.isascii() and _UNSPACED.search(normal):
        split = [list(_split(word)) for word in words]
        length = sum(len(pieces) if len(pieces) < 2 else (len(pieces) + 1) // 2 for pieces in split)
        words = [piece for pieces in split for piece in pieces]
    else:
        length = len(words)
    return [
        word[:MAX_WORD_LENGTH] for word in (*words, *pairs, *(compound for compound, _ in _compounds(normal)))
    ], length


def short_word_pairs(text: str) -> list[str]:
    """Pairs of adjacent short words, joined and prefixed with a zero, each once.

    Nearly every stop word is short, and stop words are not indexed alone: their pairs are how a phrase of stop words is
    found. The zero distinguishes pairs from words and keeps the stemmer from changing them.
    """
    return list(dict.fromkeys(_pairs(_WORD.findall(_normalize(text)))))


def _pairs(words: list[str]) -> Iterator[str]:
    short = [len(word) <= MAX_SHORT_LETTERS and word.isalpha() and not _UNSPACED.match(word) for word in words]
    for number, (first, second) in enumerate(itertools.pairwise(short)):
        if first and second:
            yield f"0{words[number]}{words[number + 1]}"


def query_words(text: str) -> dict[str, float]:
    """The words of a query in order, with their weights: as ``index_words``, without the single characters of pairs.

    An identifier weighs more than all of its parts together, which may occur apart in other documents.
    """
    normal = _normalize(text)
    words = [piece for word in _WORD.findall(normal) for piece in _split(word, singles=False)]
    weights = dict.fromkeys((word[:MAX_WORD_LENGTH] for word in words), 1.0)
    for compound, parts in _compounds(normal):
        weights[compound] = max(weights.get(compound, 1.0), 2.0 * parts if any(map(str.isdigit, compound)) else 1.0)
    return weights


def _normalize(text: str) -> str:
    if text.isascii():
        return text.lower()
    text = _SUPERSCRIPTS.sub(lambda raised: " " + raised[0], text)
    return _mapped(_compatible(_compatible(_mapped(text)).casefold()))


def _mapped(text: str) -> str:
    return text.translate(_CHARACTERS) if _MAPPED.search(text) else text  # Translating costs more than searching.


def _compatible(text: str) -> str:
    return text if unicodedata.is_normalized("NFKC", text) else unicodedata.normalize("NFKC", text)


def _split(word: str, *, singles: bool = True) -> Iterator[str]:
    """The word itself; of an unspaced script its pairs of characters, and with ``singles`` its characters."""
    if word.isascii():
        yield word
        return
    start = 0
    for run in _UNSPACED.finditer(word):
        if run.start() > start:
            yield word[start : run.start()]
        start = run.end()
        characters = run[0]
        if singles or len(characters) == 1:
            yield from characters
        yield from map("".join, itertools.pairwise(characters))
    if start < len(word):
        yield word[start:]


def _compounds(normal: str) -> Iterator[tuple[str, int]]:
    """Each compound (identifier, amount, telephone number, address, hyphenated word) without separators, and its
    parts.
    """
    separated = set()
    for found in _SEPARATED.finditer(normal):
        written = found[0]
        parts = _WORD.findall(written)
        joined = "".join(parts)
        identifies = any(map(str.isdigit, joined)) or "@" in written
        if len(joined) <= MAX_WORD_LENGTH and (identifies or _joined_by_hyphens(written)):
            separated.add(joined)
            yield joined, len(parts)
    for found in _GROUPED.finditer(normal) if _DIGITS.search(normal) else ():
        parts = _WORD.findall(found[0])
        joined = "".join(parts)
        if joined not in separated and _MIN_GROUPED <= len(joined) <= _MAX_GROUPED:
            yield joined, len(parts)


def _joined_by_hyphens(written: str) -> bool:
    """Whether it is a word such as e-mail, guarda-chuva, d'água or U.S.A."""
    separators = {character for character in written if not character.isalnum()}
    return separators <= _HYPHENS or (separators == {"."} and all(len(part) == 1 for part in written.split(".")))


def folded(text: str) -> str:
    """Without accents."""
    return text if text.isascii() else _ACCENTS.sub("", unicodedata.normalize("NFD", text))


def folded_for_index(text: str, *, stemmed: bool) -> str:
    """The words joined by spaces, without accents, for documents_words(); empty if that would not change its result.

    Where words are stemmed, only another spelling can have another stem. Elsewhere the function itself folds what it
    makes of the words as written, which is the same unless it would divide them at other places.
    """
    plain = folded(text)
    return plain if (plain != text if stemmed else _DIVIDED.search(plain)) else ""
