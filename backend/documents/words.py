"""Words as search sees them, the same in documents and in questions."""

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+")
LONGEST = 64  # Characters; what is longer is no word but data, and would only swell the index.


def words_of(text: str) -> list[str]:
    """The words in order, lower case, accents as written (NFC)."""
    normal = text if text.isascii() else unicodedata.normalize("NFC", text)
    return [word[:LONGEST] for word in _WORD.findall(normal.lower())]


def folded(text: str) -> str:
    """Without accents."""
    if text.isascii():
        return text
    return "".join(
        character for character in unicodedata.normalize("NFD", text) if not unicodedata.combining(character)
    )
