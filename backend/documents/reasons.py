"""Translates stored errors and warnings of documents into the language of the request.

Workers and the parser process store them in English with their numbers, since they know no request.
"""

import re

from django.utils.translation import gettext, gettext_noop

# Numbers, ranges of pages and the name of an encoding.
_VALUE = re.compile(r"(?<= )\d[\d.]*(?:–\d+)?(?:, \d+(?:–\d+)?)*(?=[ ;,.])|(?<= read as )[\w-]{1,40}(?=\.$)")
_MAX_LENGTH = 1_000  # Characters of a stored text.

REASONS = [
    gettext_noop("No text was found in this document."),
    gettext_noop("Most of the text is no words: its fonts or its encoding do not say which letters they are."),
    gettext_noop(
        "Most of the text of page {} is no words: its fonts or its encoding do not say which letters they are."
    ),
    gettext_noop(
        "Most of the text of pages {} is no words: its fonts or its encoding do not say which letters they are."
    ),
    gettext_noop(
        "Most of the text of pages {} and more is no words: "
        "its fonts or its encoding do not say which letters they are."
    ),
    gettext_noop("Some bytes are no text in the encoding of the file; they are shown as \ufffd."),
    gettext_noop("The file does not state its encoding; it was read as {}."),
    gettext_noop("The file does not state its encoding, and it is in none that could be recognized."),
    gettext_noop("A part of the document is in a format that cannot be read, and was left out."),
    gettext_noop("Page {} is damaged and was left out."),
    gettext_noop("Page {} takes too long to read and was left out."),
    gettext_noop("Page {} has too many form fields and notes; they were left out."),
    gettext_noop("The formatting takes too long to read and was ignored."),
    gettext_noop("Some rules of the style sheet were not understood; text that they hide may have been read."),
    gettext_noop("The file is protected by a password."),
    gettext_noop("The file is empty."),
    gettext_noop("The file has no pages."),
    gettext_noop("The file is damaged and cannot be opened."),
    gettext_noop("The file is damaged: its parts cannot be unpacked."),
    gettext_noop("The file is damaged: its parser ended on it."),
    gettext_noop("The file holds declarations that a document must not hold."),
    gettext_noop("The file has {} pages; at most {} can be read."),
    gettext_noop("The text is longer than {} characters."),
    gettext_noop("Unpacked, the file is larger than {} bytes."),
    gettext_noop("The archive holds too many files."),
    gettext_noop("The file nests its elements too deeply to be read whole."),
    gettext_noop("Reading the file takes too much memory."),
    gettext_noop("Reading the file takes more time or memory than allowed."),
    gettext_noop("Reading the file takes more than {} seconds."),
    gettext_noop("Reading the file takes more than {} seconds of processor time."),
    gettext_noop("The file is not in storage any more."),
    gettext_noop("The document was begun several times, and each time the worker that read it was lost."),
]


def translated(detail: str) -> str:
    """A stored text in the active language; unchanged if it is not one of ``REASONS``."""
    detail = detail[:_MAX_LENGTH]
    reason = _VALUE.sub("{}", detail)
    return gettext(reason).format(*_VALUE.findall(detail)) if reason in REASONS else detail
