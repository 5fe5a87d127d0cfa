"""Words as search sees them, the same in documents and in questions."""

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+")
_ACCENTS = re.compile("[\u0300-\u036f]+")  # The same ones that documents_words() folds.
_DIVIDED = re.compile(r"[^\w ]|\de\d")  # PostgreSQL makes two words of what has a mark within, or a number such as 1e5.
LONGEST = 64  # Characters; what is longer is no word but data, and would only swell the index.


def words_of(text: str) -> list[str]:
    """The words in order, lower case, accents as written (NFC)."""
    normal = text if text.isascii() else unicodedata.normalize("NFC", text)
    return [word[:LONGEST] for word in _WORD.findall(normal.lower())]


def folded(text: str) -> str:
    """Without accents."""
    return text if text.isascii() else _ACCENTS.sub("", unicodedata.normalize("NFD", text))


def folded_for_index(text: str, *, stemmed: bool) -> str:
    """The words, joined by spaces, without accents, for documents_words(); nothing if that would not change its result.

    Where words are stemmed, only another spelling can have another stem. Elsewhere the function itself folds what it
    makes of the words as written, which is the same unless it would divide them at other places.
    """
    plain = folded(text)
    return plain if (plain != text if stemmed else _DIVIDED.search(plain)) else ""
