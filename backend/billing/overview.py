"""What operators are shown of all wallets together."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from django.db.models import Count, Sum
from django.db.models.functions import TruncDate

from backend.billing.models import UsageRecord, Wallet
from backend.http.ids import first_id_of

SLACK = timedelta(minutes=1)  # Ids are made before their rows.


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
    records = UsageRecord.objects.filter(pk__gte=first_id_of(since - SLACK), created_at__gte=since)
    days = records.annotate(day=TruncDate("created_at")).values_list("day", "wallet__currency")
    return {(day, currency): cost for day, currency, cost in days.annotate(sum=Sum("cost")).order_by()}
