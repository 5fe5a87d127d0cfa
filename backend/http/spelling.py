"""Words as people look for them: upper case and accents make no difference.

The accents are put into the pattern instead of being taken from the text: PostgreSQL normalizes a text ten times as
slowly as it matches it.
"""

import re
import unicodedata
from collections import defaultdict
from functools import cache

_LETTERS = (*range(0xC0, 0x250), *range(0x1E00, 0x1F00))  # Latin with accents, each in one character.
_MARKS = "[\u0300-\u036f]*"  # Accents written behind their letter.


def pattern_of(words: str) -> str:
    """A regular expression of PostgreSQL for ``~*`` that finds the words as they stand, in any spelling."""
    return "".join(_spelled(letter) for letter in unicodedata.normalize("NFD", words) if not _is_mark(letter))


def _spelled(letter: str) -> str:
    accented = _accented().get(letter.lower())
    return f"[{letter}{accented}]{_MARKS}" if accented else re.escape(letter)


def _is_mark(character: str) -> bool:
    return "\u0300" <= character <= "\u036f"


@cache
def _accented() -> dict[str, str]:
    found: defaultdict[str, str] = defaultdict(str)
    for code in _LETTERS:
        plain = unicodedata.normalize("NFD", chr(code))[0]
        if plain != chr(code):
            found[plain.lower()] += chr(code)
    return dict(found)
