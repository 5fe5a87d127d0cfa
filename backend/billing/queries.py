"""What billing may be asked. Amounts in micro-units of the wallet's currency; costs of usage in currency units."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, F, Sum
from django.db.models.functions import TruncDate

from backend.billing.errors import WalletNotFound
from backend.billing.models import CreditGrant, UsageRecord, Wallet
from backend.billing.pricing import MILLION
from backend.http.ids import encode


@dataclass(frozen=True, slots=True)
class Balance:
    """A wallet and the credit in it, in the order in which it is spent."""

    currency: str
    posted: int
    held: int
    grants: Sequence[CreditGrant]

    @property
    def available(self) -> int:
        return self.posted - self.held


class UsageGrouping(StrEnum):
    """What usage can be summed by."""

    DAY = "day"
    MODEL = "model"
    AGENT = "agent"
    METER = "meter"
    USER = "user"
    API_KEY = "api_key"


@dataclass(frozen=True, slots=True)
class UsageGroup:
    """Usage summed over one day, model, agent, meter, user or API key.

    :ivar group: ISO date in UTC, model, public id or meter; none for usage without one.
    :ivar requests: requests to providers.
    :ivar input_tokens: all of them, the cached ones too.
    :ivar cost: exact, in currency units.
    """

    group: str | None
    requests: int
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    cost: Decimal


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """One discrepancy in the books."""

    wallet_id: UUID
    workspace_id: UUID
    problem: str
    expected: Decimal
    found: Decimal
    reference: str


GROUP_COLUMNS: dict[UsageGrouping, Any] = {
    UsageGrouping.DAY: TruncDate("created_at"),
    UsageGrouping.MODEL: F("model"),
    UsageGrouping.AGENT: F("agent_id"),
    UsageGrouping.USER: F("user_id"),
    UsageGrouping.API_KEY: F("api_key_id"),
}
GROUP_PREFIXES = {UsageGrouping.AGENT: "agt", UsageGrouping.USER: "usr", UsageGrouping.API_KEY: "key"}


def balance(workspace_id: UUID) -> Balance:
    """:raises WalletNotFound: the workspace has no wallet."""
    wallet = _wallet(workspace_id)
    grants = CreditGrant.objects.filter(wallet=wallet).unspent().select_related("transfer")
    return Balance(currency=wallet.currency, posted=wallet.posted, held=wallet.held, grants=list(grants))


def currency(workspace_id: UUID) -> str:
    """:raises WalletNotFound: the workspace has no wallet."""
    return _wallet(workspace_id).currency


def usage(*, workspace_id: UUID, group_by: UsageGrouping, start: datetime, end: datetime) -> list[UsageGroup]:
    """Usage of a workspace from ``start`` until before ``end``; days in order, other groups by cost, highest first."""
    records = UsageRecord.objects.filter(wallet__workspace_id=workspace_id, created_at__gte=start, created_at__lt=end)
    sums = {
        "requests": Count("pk"),
        "inputs": Sum("input_tokens", default=0),
        "cached": Sum("cached_input_tokens", default=0),
        "outputs": Sum("output_tokens", default=0),
        "total": Sum("cost", default=Decimal(0)),
    }
    if group_by is UsageGrouping.METER:
        return _by_meter(
            records.aggregate(
                **sums,
                cached_total=Sum(F("cached_input_tokens") * F("cached_input_price"), default=Decimal(0)),
                output_total=Sum(F("output_tokens") * F("output_price"), default=Decimal(0)),
            )
        )
    # Typed loosely: the stubs do not follow annotations that come from a dictionary.
    rows: Any = records.values(group=GROUP_COLUMNS[group_by]).annotate(**sums)
    rows = rows.order_by(*(["group"] if group_by is UsageGrouping.DAY else ["-total", "group"]))
    prefix = GROUP_PREFIXES.get(group_by)
    return [
        UsageGroup(
            group=_name(row["group"], prefix),
            requests=row["requests"],
            input_tokens=row["inputs"],
            cached_input_tokens=row["cached"],
            output_tokens=row["outputs"],
            cost=row["total"],
        )
        for row in rows
    ]


def discrepancies() -> list[Discrepancy]:
    """All discrepancies in the books, from one snapshot."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT wallet_id, workspace_id, problem, expected, found, reference FROM ledger_discrepancies"
            " ORDER BY workspace_id, problem, reference"
        )
        return [Discrepancy(*row) for row in cursor.fetchall()]


def _wallet(workspace_id: UUID) -> Wallet:
    try:
        return Wallet.objects.get(workspace_id=workspace_id)
    except Wallet.DoesNotExist as error:
        raise WalletNotFound from error


def _name(value: object, prefix: str | None) -> str | None:
    if value is None:
        return None
    return encode(prefix, value) if prefix and isinstance(value, UUID) else str(value)


def _by_meter(sums: dict[str, Any]) -> list[UsageGroup]:
    """One group per meter; each shows its own tokens alone, so that ``input_tokens`` here are those not cached."""
    if not sums["requests"]:
        return []
    cached_cost, output_cost = sums["cached_total"] / MILLION, sums["output_total"] / MILLION
    uncached = sums["inputs"] - sums["cached"]
    return [
        UsageGroup("input_tokens", sums["requests"], uncached, 0, 0, sums["total"] - cached_cost - output_cost),
        UsageGroup("cached_input_tokens", sums["requests"], 0, sums["cached"], 0, cached_cost),
        UsageGroup("output_tokens", sums["requests"], 0, 0, sums["outputs"], output_cost),
    ]
