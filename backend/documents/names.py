"""Cleans file names for display: no folders, no invisible characters, no change of the reading direction."""

import unicodedata

MAX_LENGTH = 255
FALLBACK = "document"


def display_name(claimed: str | None) -> str:
    """A client's file name, cleaned. It is for display only: storage keys never contain it."""
    normal = unicodedata.normalize("NFC", (claimed or "").encode("utf-8", "ignore").decode())
    last = normal.replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join(character for character in last if unicodedata.category(character)[0] != "C")
    name = " ".join(kept.split()).strip(". ") if set(kept) <= {".", " "} else " ".join(kept.split())
    return _shortened(name) or FALLBACK


def _shortened(name: str) -> str:
    """At most ``MAX_LENGTH`` characters, the extension kept."""
    if len(name) <= MAX_LENGTH:
        return name
    stem, dot, extension = name.rpartition(".")
    if dot and len(extension) <= 16:
        return stem[: MAX_LENGTH - len(extension) - 1] + dot + extension
    return name[:MAX_LENGTH]
