"""Amounts of money in the API: decimal strings. The code uses integers of micro-units (millionths) of one currency."""

import re
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

MICRO = 1_000_000
MAX_AMOUNT = 10**12 * MICRO  # Far below the 64-bit limit of a column, so that sums fit too.
MAX_WHOLE_DIGITS = 12
AMOUNT = re.compile(rf"(-?)([0-9]{{1,{MAX_WHOLE_DIGITS}}})(?:\.([0-9]{{1,6}}))?", re.ASCII)


def format_money(micro: int | Decimal) -> str:
    """At least two and at most six places: ``5000000`` → ``"5.00"``, ``-1875`` → ``"-0.001875"``."""
    rounded = int(Decimal(micro).quantize(Decimal(1), ROUND_HALF_UP)) if isinstance(micro, Decimal) else micro
    whole, fraction = divmod(abs(rounded), MICRO)
    places = f"{fraction:06d}".rstrip("0").ljust(2, "0")
    return f"{'-' if rounded < 0 else ''}{whole}.{places}"


def parse_money(text: str) -> int:
    """Micro-units of a decimal string.

    :raises ValueError: not a plain decimal of at most twelve digits before and six after the point.
    """
    match = AMOUNT.fullmatch(text)
    if match is None:
        raise ValueError("not an amount of money")
    sign, whole, fraction = match.groups()
    micro = int(whole) * MICRO + int((fraction or "").ljust(6, "0"))
    return -micro if sign else micro


class MoneyField(serializers.Field[int, Any, str, Any]):
    """An integer of micro-units that clients see and send as a decimal string (they may send a JSON integer too)."""

    default_error_messages = {
        "invalid": _('An amount is a decimal string with at most 6 places, such as "5.00".'),
        "min_value": _("The amount must be at least {min_value}."),
        "max_value": _("The amount must be at most {max_value}."),
    }

    def __init__(self, *, min_value: int | None = None, max_value: int | None = MAX_AMOUNT, **kwargs: Any) -> None:
        self.min_value, self.max_value = min_value, max_value
        super().__init__(**kwargs)

    def to_representation(self, value: int | Decimal) -> str:
        return format_money(value)

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, str | int):
            self.fail("invalid")
        try:
            micro = parse_money(str(data))
        except ValueError:
            self.fail("invalid")
        if self.min_value is not None and micro < self.min_value:
            self.fail("min_value", min_value=format_money(self.min_value))
        if self.max_value is not None and micro > self.max_value:
            self.fail("max_value", max_value=format_money(self.max_value))
        return micro
