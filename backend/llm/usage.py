"""Reads the usage that providers and gateways send, whatever they call its parts and wherever they count the cache."""

import math
from typing import Any, Literal

from backend.llm.chat import Usage

Kind = Literal["input", "output", "total", "cached", "stored", "reasoning"]

MAX_NUMBER_CHARACTERS = 32  # Of a number that is sent as text.
# Names in lower case without underscores: prompt_tokens, inputTokens, inputTokenCount …
WHOLE: dict[str, Kind] = {
    "prompttokens": "input",
    "prompttokencount": "input",
    "inputtokens": "input",
    "inputtokencount": "input",
    "completiontokens": "output",
    "candidatestokencount": "output",
    "outputtokens": "output",
    "outputtokencount": "output",
    "totaltokens": "total",
    "totaltokencount": "total",
}
NOT_TOKENS = ("miss", "cost", "price")  # DeepSeek counts the input that was not cached too; others send money.


class Counts:
    """The usage of one answer, from as many reports as its stream brings.

    Reports are cumulative: a later count replaces the earlier one, and what a later report leaves out or sends as zero
    stands as before. Nothing is summed over reports.
    """

    def __init__(self, *, beside: bool = False) -> None:
        """``beside``: this API counts the cached tokens beside the input (Anthropic), not within it (OpenAI)."""
        self._beside = beside
        self._apart = False  # The cache has the names of APIs that count it beside the input, which some gateways keep.
        self._own = False  # So has the input: input_tokens, not prompt_tokens.
        self._found: dict[Kind, int] = {}

    def __bool__(self) -> bool:
        """What the answer cost is known."""
        return self._of("output") > 0 or self._of("total") > self._of("input")

    def add(self, report: Any) -> None:
        """Take a report in; what is not an object with counts above zero is ignored."""
        if not isinstance(report, dict):
            return
        found: dict[Kind, int] = {}
        own = False
        for name, value in report.items():
            parts = value.items() if isinstance(value, dict) else ()
            for key, number in ((name, value), *parts):
                plain = key.lower().replace("_", "")
                kind = _kind(plain, part=number is not value)
                count = _count(number) if kind is not None else 0
                if kind is not None and count > found.get(kind, 0):
                    found[kind] = count
                    self._apart = self._apart or plain.startswith("cacheread")
                    own = plain.startswith("input") if kind == "input" else own
        if not found:
            return
        if "input" in found:
            self._own = own
        cache = self._of("cached") + self._of("stored")
        if (
            cache
            and not {"cached", "stored", "total"} & found.keys()
            and found.get("input", 0) >= cache + self._of("input")
        ):
            # The earlier report split the input from its cache, this one has both in one: not to be counted twice.
            found["total"] = found["input"] + found.get("output", self._of("output"))
        self._found.pop("total", None)
        self._found.update(found)

    def usage(self, *, limit: int) -> Usage | None:
        """What the answer used; None when its input is not known. An ``output_tokens`` of zero may mean not known.

        ``limit`` is how many tokens the answer may have: a total that would make it longer contradicts its parts.
        """
        given, written, total = self._of("input"), self._of("output"), self._of("total")
        if not given and written:
            given = max(0, total - written)
        if not given:
            return None
        beside, thought = self._outside(given, written, total, limit)
        given += beside
        return Usage(
            input_tokens=given,
            cached_input_tokens=min(self._of("cached"), given),
            output_tokens=written + thought,
        )

    def _outside(self, given: int, written: int, total: int, limit: int) -> tuple[int, int]:
        """The tokens of the cache that ``given`` leaves out, and those of reasoning that ``written`` leaves out.

        The total decides where it is the sum of some of the parts: cached tokens beside the input and reasoning beside
        the output both make it larger than input and output, and their prices differ by forty times. Without such a
        total the names decide, and what remains of the total is no output where there was a cache.
        """
        cached, stored, reasoning = self._of("cached"), self._of("stored"), self._of("reasoning")
        cache = cached + stored
        apart = self._beside or self._apart
        hidden = reasoning if reasoning > written else 0  # More than the output cannot be a part of it.
        for thought in (hidden, 0, reasoning):
            for beside in (0, cache, cached, stored):
                if given + beside + written + thought == total and (beside or not apart or cached <= given):
                    return beside, max(thought, hidden)
        left = max(0, total - given - written)
        beside = cache if self._beside or (self._apart and (self._own or cached > given or cache <= left)) else 0
        left = max(0, left - beside)
        if reasoning:
            return beside, hidden or min(reasoning, left)
        # Some leave reasoning out of the output, do not name it, and count it in the total alone.
        return beside, left if (not cache or not written) and written + left <= limit else 0

    def _of(self, kind: Kind) -> int:
        return self._found.get(kind, 0)


def _kind(plain: str, *, part: bool) -> Kind | None:
    """What a member counts; ``part`` when it stands within another, such as ``prompt_tokens_details``."""
    if "token" not in plain or any(word in plain for word in NOT_TOKENS):
        return None
    if "cache" in plain:
        return "stored" if "creat" in plain or "writ" in plain else "cached"
    if "reason" in plain or "thought" in plain or "think" in plain:
        return "reasoning"
    return None if part else WHOLE.get(plain)


def _count(value: Any) -> int:
    """A count above zero, whether it is sent as an integer, with a fraction or as text; else 0."""
    if isinstance(value, bool):
        return 0
    if isinstance(value, str) and len(value) <= MAX_NUMBER_CHARACTERS:
        try:
            value = float(value)
        except ValueError:
            return 0
    if isinstance(value, float):
        value = round(value) if math.isfinite(value) else 0
    return max(0, value) if isinstance(value, int) else 0
