"""Billing as clients see it: money as decimal strings, ids public."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from backend.billing.models import OWN_DESCRIPTIONS, Transfer
from backend.billing.pricing import to_micro
from backend.billing.queries import UsageGrouping
from backend.http.fields import CharField
from backend.http.ids import PublicIdField
from backend.http.money import MICRO, MoneyField, format_money

USAGE_DAYS = 30  # Shown when no time is asked for.
MAX_USAGE_DAYS = 366


@extend_schema_field(
    {
        "anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}],
        "description": "A date, or a time as RFC 3339.",
        "examples": ["2026-01-31"],
    }
)
class MomentField(serializers.Field[datetime, str, str, Any]):
    """A time, or a date: that day's first moment, or with ``whole_day`` the one after its last. UTC where unsaid."""

    default_error_messages = {"invalid": _("This is neither a date nor a time as RFC 3339 writes it.")}

    def __init__(self, *, whole_day: bool = False, **kwargs: Any) -> None:
        self.whole_day = whole_day
        super().__init__(**kwargs)

    def to_internal_value(self, data: str) -> datetime:
        try:
            moment = self._read(data)
        except (ValueError, OverflowError):
            moment = None
        if moment is None:
            self.fail("invalid")
        return moment

    def _read(self, text: str) -> datetime | None:
        if day := parse_date(text):
            return datetime.combine(day + timedelta(days=1) if self.whole_day else day, time.min, UTC)
        # A plus that was not percent-encoded arrives as a space.
        moment = parse_datetime(text.replace(" ", "+") if "T" in text else text)
        return moment and (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)

    def to_representation(self, value: datetime) -> str:
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


class PeriodSerializer(serializers.Serializer[Any]):
    """``from`` (inclusive) and ``to`` (before it; a date is included whole)."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {
            **super().get_fields(),
            "from": MomentField(required=False),
            "to": MomentField(required=False, whole_day=True),
        }

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "from" in attrs and "to" in attrs and attrs["from"] > attrs["to"]:
            raise serializers.ValidationError({"to": [_("This is before the start.")]})
        return attrs


class TransactionFilterSerializer(PeriodSerializer):
    kind = serializers.ChoiceField(choices=Transfer.Kind.choices, required=False)
    reference = CharField(max_length=64, required=False)


class UsageFilterSerializer(PeriodSerializer):
    group_by = serializers.ChoiceField(choices=[grouping.value for grouping in UsageGrouping], default="day")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs = super().validate(attrs)
        attrs.setdefault("to", timezone.now())
        if "from" not in attrs:
            start: date = (attrs["to"] - timedelta(days=USAGE_DAYS)).date()
            attrs["from"] = datetime.combine(start, time.min, UTC)
        if attrs["from"] > attrs["to"]:
            raise serializers.ValidationError({"from": [_("This is in the future.")]})
        if attrs["to"] - attrs["from"] > timedelta(days=MAX_USAGE_DAYS):
            raise serializers.ValidationError({"from": [_("Usage is shown for at most 366 days at once.")]})
        return attrs


class DescriptionField(serializers.CharField):
    """A transfer's description: texts of operators and apps as stored, billing's own in the reader's language."""

    def to_representation(self, value: str) -> str:
        return gettext(value) if value in OWN_DESCRIPTIONS else value


class GrantSerializer(serializers.Serializer[Any]):
    """Credit in the wallet. Read-only."""

    transaction = PublicIdField("txn", source="pk")
    amount = MoneyField()
    remaining = MoneyField()
    expires_at = serializers.DateTimeField(allow_null=True)
    description = DescriptionField(source="transfer.description")


class BalanceSerializer(serializers.Serializer[Any]):
    """``posted`` is the sum of all transactions; ``held`` of it is set aside; ``available`` may be spent."""

    available = MoneyField()
    held = MoneyField()
    posted = MoneyField()
    currency = serializers.CharField()
    grants = GrantSerializer(many=True)


class TransactionSerializer(serializers.Serializer[Transfer]):
    """Money that was moved. ``amount`` is signed, from the wallet's side."""

    id = PublicIdField("txn")
    kind = serializers.ChoiceField(choices=Transfer.Kind.choices)
    amount = MoneyField(source="signed_amount")
    balance_after = MoneyField()
    currency = serializers.CharField(source="wallet.currency")
    reference = serializers.CharField()
    description = DescriptionField()
    created_at = serializers.DateTimeField()


@extend_schema_field({"type": "string", "format": "decimal", "examples": ["0.001875"]})
class CostField(serializers.Field[Decimal, Any, str, Any]):
    """An exact cost in currency units, shown as money, rounded up to six places."""

    def to_representation(self, value: Decimal) -> str:
        return format_money(to_micro(value))


@extend_schema_field({"type": "string", "format": "decimal", "examples": ["2.50"]})
class PriceField(serializers.Field[Decimal, Any, str, Any]):
    """A unit price, exact: as many places as it has, at least two."""

    def to_representation(self, value: Decimal) -> str:
        if value * MICRO == int(value * MICRO):
            return format_money(int(value * MICRO))
        return f"{value.normalize():f}"


class UsageGroupSerializer(serializers.Serializer[Any]):
    """Usage of one day, model, agent, meter, user or API key. ``input_tokens`` includes the cached ones."""

    group = serializers.CharField(allow_null=True)
    requests = serializers.IntegerField()
    input_tokens = serializers.IntegerField()
    cached_input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    cost = CostField()


class UsageSerializer(serializers.Serializer[Any]):
    """Usage of a time. What was charged for it, rounded up once per charge, is in the transactions."""

    group_by = serializers.ChoiceField(choices=[grouping.value for grouping in UsageGrouping])
    currency = serializers.CharField()
    cost = CostField()
    results = UsageGroupSerializer(many=True)

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {**super().get_fields(), "from": MomentField(), "to": MomentField()}


class PriceSerializer(serializers.Serializer[Any]):
    """What a model costs per million tokens. Null: it has no price and cannot be used for money."""

    model = serializers.CharField(source="id")
    provider = serializers.CharField()
    kind = serializers.ChoiceField(choices=["chat", "embedding"])
    input_price = PriceField(allow_null=True)
    cached_input_price = PriceField(allow_null=True)
    output_price = PriceField(allow_null=True)
    available = serializers.BooleanField()


class PricesSerializer(serializers.Serializer[Any]):
    currency = serializers.CharField()
    unit = serializers.CharField()
    results = PriceSerializer(many=True)
