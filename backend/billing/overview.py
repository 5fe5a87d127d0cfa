"""Figures of all wallets for the admin's overview."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from django.db.models import Count, Sum

from backend.accounts.operators import figures
from backend.billing.models import UsageRecord, Wallet


@dataclass(frozen=True, slots=True)
class Totals:
    """All wallets of one currency together."""

    currency: str
    wallets: int
    posted: int
    held: int


def totals() -> list[Totals]:
    """Over all workspaces, by currency."""
    sums = Wallet.objects.values("currency").annotate(
        wallets=Count("pk"), all_posted=Sum("posted"), all_held=Sum("held")
    )
    return [
        Totals(row["currency"], row["wallets"], posted=int(row["all_posted"]), held=int(row["all_held"]))
        for row in sums.order_by("currency")
    ]


def usage_by_day(*, since: datetime) -> dict[tuple[date, str], Decimal]:
    """The exact cost of usage since then, by day in UTC and currency, in units of that currency."""
    records = figures.created_since(UsageRecord.objects.all(), since)
    return figures.by_day(records, group="wallet__currency", value=Sum("cost"))
