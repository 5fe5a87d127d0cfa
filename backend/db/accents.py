"""Search patterns for PostgreSQL that ignore case and accents.

The accents are put into the pattern instead of being removed from the text: PostgreSQL takes ten times as long to
normalize a text as to match it.
"""

import re
import unicodedata
from collections import defaultdict
from functools import cache

_LETTERS = (*range(0xC0, 0x250), *range(0x1E00, 0x1F00))  # Latin letters with accents, each as one character.
_MARKS = "[\u0300-\u036f]*"  # Accents written as characters of their own after the letter.


def accent_insensitive_pattern(text: str) -> str:
    """A regular expression for PostgreSQL's ``~*`` that finds the text, with or without accents."""
    return "".join(_letter_pattern(letter) for letter in unicodedata.normalize("NFD", text) if not _is_mark(letter))


def _letter_pattern(letter: str) -> str:
    accented = _accented_letters().get(letter.lower())
    return f"[{letter}{accented}]{_MARKS}" if accented else re.escape(letter)


def _is_mark(character: str) -> bool:
    return "\u0300" <= character <= "\u036f"


@cache
def _accented_letters() -> dict[str, str]:
    found: defaultdict[str, str] = defaultdict(str)
    for code in _LETTERS:
        plain = unicodedata.normalize("NFD", chr(code))[0]
        if plain != chr(code):
            found[plain.lower()] += chr(code)
    return dict(found)
