"""Words as search sees them, the same in documents and in questions."""

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+")
_ACCENTS = re.compile("[\u0300-\u036f]+")  # The same ones that documents_words() folds.
LONGEST = 64  # Characters; what is longer is no word but data, and would only swell the index.


def words_of(text: str) -> list[str]:
    """The words in order, lower case, accents as written (NFC)."""
    normal = text if text.isascii() else unicodedata.normalize("NFC", text)
    return [word[:LONGEST] for word in _WORD.findall(normal.lower())]


def folded(text: str) -> str:
    """Without accents."""
    return text if text.isascii() else _ACCENTS.sub("", unicodedata.normalize("NFD", text))
