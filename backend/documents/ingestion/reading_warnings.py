"""The warnings of an ingestion: parts of the document that could not be read correctly."""

from collections.abc import Sequence
from typing import Any

Warnings = list[dict[str, Any]]

MAX = 100  # Of one document.
MAX_RANGES = 20  # Of pages that one warning names.


def add_unreadable_pages(warnings: Warnings, numbers: Sequence[int], *, paged: bool) -> Warnings:
    """The warnings, with one for all pages so far whose text is mostly not words.

    :param numbers: such pages of this batch, ascending. The warning itself holds the pages of earlier batches as ranges
        under ``pages``, which the API does not return.
    """
    if not numbers:
        return warnings[:MAX]
    known = next((each for each in warnings if each["code"] == "text_unreadable"), None)
    ranges: list[list[int]] = [list(each) for each in known["pages"]] if known else []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    others = [each for each in warnings if each is not known]
    warning = {"code": "text_unreadable", "detail": _detail(ranges, paged=paged), "pages": ranges}
    return [warning, *others][:MAX]


def _detail(ranges: list[list[int]], *, paged: bool) -> str:
    reason = "its fonts or its encoding do not say which letters they are."
    if not paged:
        return f"Most of the text is no words: {reason}"
    named = ", ".join(f"{first}–{last}" if last > first else f"{first}" for first, last in ranges[:MAX_RANGES])
    more = " and more" if len(ranges) > MAX_RANGES else ""
    single = len(ranges) == 1 and ranges[0][0] == ranges[0][1]
    return f"Most of the text of page{'' if single else 's'} {named}{more} is no words: {reason}"
