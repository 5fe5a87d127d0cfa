"""Bars over days for the admin's overview: HTML and CSS alone, so that labels stay readable on a phone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.utils.formats import date_format, number_format

STEPS = (1, 2, 5, 10)  # A scale ends at one of these, times a power of ten.


@dataclass(frozen=True, slots=True)
class Part:
    """The value of one series on one day. ``share``: percent of the scale."""

    tone: str
    share: float


@dataclass(frozen=True, slots=True)
class Bar:
    """One day. ``label`` has its figures as text; ``tick`` its date where the axis shows one."""

    parts: Sequence[Part]
    label: str
    tick: str
    href: str | None


@dataclass(frozen=True, slots=True)
class Series:
    """One colour of the bars, with its sum and the URL of its list."""

    tone: str
    label: str
    total: str
    href: str | None


@dataclass(frozen=True, slots=True)
class Chart:
    """``scale``: the labels of the axis from its top to zero."""

    title: str
    scale: Sequence[str]
    bars: Sequence[Bar]
    series: Sequence[Series]


def plain(value: Decimal | int) -> str:
    """A number in the reader's format, with four decimal places below 1, two above, and none if it is whole."""
    places = 0 if value == int(value) else 2 if value >= 1 else 4
    return str(number_format(value, places, use_l10n=True, force_grouping=True))


def top_of(highest: Decimal | int) -> Decimal:
    """The end of a scale: the smallest of 1, 2 or 5 times a power of ten that is at least ``highest``."""
    highest = Decimal(highest)
    if highest <= 0:
        return Decimal(1)
    power = Decimal(10) ** highest.adjusted()
    return next(power * step for step in STEPS if power * step >= highest)


def chart(
    *,
    title: str,
    days: Sequence[date],
    keys: Mapping[str, tuple[str, str]],
    values: Mapping[tuple[date, str], Decimal | int],
    shown: Callable[[Any], str] = plain,
    day_href: Callable[[date], str | None] = lambda day: None,
    key_href: Callable[[str], str | None] = lambda key: None,
) -> Chart:
    """
    :param keys: by key of ``values``, its label and its colour; in the order in which bars are stacked.
    :param values: by day and key; a missing one is 0.
    """
    sums = [sum((values.get((day, key), 0) for key in keys), Decimal(0)) for day in days]
    top = top_of(max(sums, default=Decimal(0)))
    whole = all(value == int(value) for value in sums)
    middle = top / 2
    scale = [shown(top), shown(middle) if not whole or middle == int(middle) else "", shown(0)]
    every = 7 if len(days) > 14 else 3
    bars = []
    for number, (day, total) in enumerate(zip(days, sums, strict=True)):
        found = [(key, values[day, key]) for key in keys if values.get((day, key))]
        name = date_format(day, "SHORT_DATE_FORMAT")
        figures = ", ".join(f"{keys[key][0]} {shown(value)}" for key, value in found) or shown(0)
        bars.append(
            Bar(
                parts=[Part(keys[key][1], float(100 * Decimal(value) / top)) for key, value in found],
                label=f"{name}: {figures}",
                tick=date_format(day, "j M") if (len(days) - 1 - number) % every == 0 else "",
                href=day_href(day) if total else None,
            )
        )
    series = [
        Series(tone, label, shown(sum((values.get((day, key), 0) for day in days), Decimal(0))), key_href(key))
        for key, (label, tone) in keys.items()
    ]
    return Chart(title=title, scale=scale, bars=bars, series=series)


def last_days(count: int, *, until: date) -> list[date]:
    return [until - timedelta(days=back) for back in range(count - 1, -1, -1)]
