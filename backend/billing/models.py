"""Tables of money: wallets, transfers, holds, credit grants, usage records.

Amounts are whole micro-units (millionths) of the wallet's currency. Prices and costs of usage are exact decimals of the
currency. Rows are written by the functions of ``ledger.sql`` alone; Python reads them.
"""

from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Case, F, Q, When
from django.db.models.lookups import Exact
from django.utils import timezone
from django.utils.translation import gettext_noop as _

from backend.accounts.actors import Actor
from backend.http.ids import PublicId, encode, new_id

# Descriptions that billing itself writes; stored in English, shown in the reader's language.
SIGN_UP_CREDIT = _("Sign-up credit")
CREDIT_EXPIRED = _("Credit expired")
OWN_DESCRIPTIONS = frozenset({SIGN_UP_CREDIT, CREDIT_EXPIRED})


class WalletQuerySet(models.QuerySet["Wallet"]):
    def visible_to(self, actor: Actor) -> Self:
        return self.filter(workspace_id=actor.workspace_id)


class Wallet(models.Model):
    """The prepaid balance of one workspace: ``posted`` is the sum of its transfers, ``held`` that of its open holds."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.OneToOneField("accounts.Workspace", on_delete=models.PROTECT, related_name="wallet")
    currency = models.CharField(max_length=3)  # ISO 4217; never changes.
    posted = models.BigIntegerField(default=0)
    held = models.BigIntegerField(default=0)
    last_sequence = models.BigIntegerField(default=0)  # Of its newest transfer; they count 1, 2, 3 without a gap.
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = WalletQuerySet.as_manager()

    class Meta:
        permissions = [("move_money", "Can grant credit and adjust balances")]
        constraints = [
            models.CheckConstraint(condition=Q(posted__gte=0), name="wallet_posted_not_negative"),
            models.CheckConstraint(condition=Q(held__gte=0), name="wallet_held_not_negative"),
            models.CheckConstraint(condition=Q(held__lte=F("posted")), name="wallet_held_within_posted"),
            models.CheckConstraint(condition=Q(last_sequence__gte=0), name="wallet_sequence_not_negative"),
            models.CheckConstraint(condition=Q(currency__regex=r"^[A-Z]{3}$"), name="wallet_currency_iso"),
        ]

    def __str__(self) -> str:
        return encode("wsp", self.workspace_id)

    @property
    def available(self) -> int:
        """What may still be spent or set aside."""
        return self.posted - self.held


class TransferQuerySet(models.QuerySet["Transfer"]):
    def visible_to(self, actor: Actor) -> Self:
        return self.filter(wallet__workspace_id=actor.workspace_id)


class Transfer(PublicId, models.Model):
    """Money moved once, for ever, between a wallet and the house account that its kind names.

    One row is both sides, so it balances by its shape; no house balance is stored and none becomes a hot row. Triggers
    refuse to update, delete or truncate.
    """

    id_prefix = "txn"

    class Kind(models.TextChoices):
        TOP_UP = "top_up"
        GRANT = "grant"
        USAGE = "usage"
        REFUND = "refund"
        ADJUSTMENT = "adjustment"
        EXPIRY = "expiry"

    class Direction(models.TextChoices):
        """From the wallet's side."""

        CREDIT = "credit"  # Into the wallet.
        DEBIT = "debit"  # Out of it.

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="transfers", db_index=False)
    sequence = models.BigIntegerField()
    kind = models.CharField(max_length=10, choices=Kind)
    direction = models.CharField(max_length=6, choices=Direction)
    amount = models.BigIntegerField()
    signed_amount = models.GeneratedField(
        expression=Case(When(direction="credit", then=F("amount")), default=-F("amount")),
        output_field=models.BigIntegerField(),
        db_persist=True,
    )
    balance_after = models.BigIntegerField()  # The wallet's ``posted`` once this was in it.
    key = models.CharField(max_length=128)  # Idempotency: the same key moves money once.
    reference = models.CharField(max_length=64, blank=True)  # What it was for, e.g. "run_01h…".
    description = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = TransferQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["key"], name="transfer_key_unique"),
            models.UniqueConstraint(fields=["wallet", "sequence"], name="transfer_sequence_unique"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="transfer_amount_positive"),
            models.CheckConstraint(condition=Q(sequence__gt=0), name="transfer_sequence_positive"),
            models.CheckConstraint(condition=Q(balance_after__gte=0), name="transfer_balance_not_negative"),
            models.CheckConstraint(condition=~Q(key=""), name="transfer_key_given"),
            models.CheckConstraint(condition=Q(direction__in=["credit", "debit"]), name="transfer_direction_known"),
            models.CheckConstraint(
                condition=Q(kind__in=["top_up", "grant"], direction="credit")
                | Q(kind__in=["usage", "expiry"], direction="debit")
                | Q(kind__in=["refund", "adjustment"]),
                name="transfer_kind_fits_direction",
            ),
        ]
        indexes = [
            models.Index(fields=["wallet", "created_at"], name="transfer_of_wallet_by_time"),
            models.Index(fields=["wallet", "reference"], name="transfer_of_wallet_by_ref"),
        ]

    def __str__(self) -> str:
        return self.public_id


class HoldQuerySet(models.QuerySet["Hold"]):
    def open(self) -> Self:
        return self.filter(state=Hold.State.OPEN)

    def expired(self, *, at: datetime) -> Self:
        return self.open().filter(expires_at__lte=at)


class Hold(PublicId, models.Model):
    """Money set aside for work whose price is known only when it ends. Amounts in micro-units."""

    id_prefix = "hld"

    class State(models.TextChoices):
        OPEN = "open"
        CAPTURED = "captured"
        RELEASED = "released"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="holds", db_index=False)
    reference = models.CharField(max_length=64)  # The work it is for, e.g. "run_01h…".
    amount = models.BigIntegerField()
    charged = models.BigIntegerField(default=0)  # May exceed ``amount`` when the work cost more than was set aside.
    shortfall = models.BigIntegerField(default=0)  # Cost that the wallet could not cover.
    state = models.CharField(max_length=8, choices=State, default=State.OPEN)
    expires_at = models.DateTimeField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    ended_at = models.DateTimeField(null=True)

    objects = HoldQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["reference"], name="hold_reference_unique"),
            models.CheckConstraint(condition=~Q(reference=""), name="hold_reference_given"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="hold_amount_positive"),
            models.CheckConstraint(condition=Q(charged__gte=0), name="hold_charged_not_negative"),
            models.CheckConstraint(condition=Q(shortfall__gte=0), name="hold_shortfall_not_negative"),
            models.CheckConstraint(condition=Q(state__in=["open", "captured", "released"]), name="hold_state_known"),
            models.CheckConstraint(
                condition=Q(state="captured") | Q(charged=0, shortfall=0), name="hold_charged_only_when_captured"
            ),
            models.CheckConstraint(
                condition=Q(state="open", ended_at=None) | (~Q(state="open") & Q(ended_at__isnull=False)),
                name="hold_ended_unless_open",
            ),
        ]
        indexes = [
            models.Index(fields=["wallet"], condition=Q(state="open"), name="hold_open_of_wallet"),
            models.Index(fields=["expires_at"], condition=Q(state="open"), name="hold_open_by_expiry"),
        ]

    def __str__(self) -> str:
        return self.reference


class CreditGrantQuerySet(models.QuerySet["CreditGrant"]):
    def unspent(self) -> Self:
        """What is left, in the order in which it is spent."""
        return self.filter(unspent=True).order_by(F("expires_at").asc(nulls_last=True), "priority", "pk")


class CreditGrant(models.Model):
    """Credit that was given: spent before paid money, soonest-expiring first, then by priority, lowest first."""

    transfer = models.OneToOneField(Transfer, primary_key=True, on_delete=models.PROTECT, related_name="credit_grant")
    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="grants", db_index=False)
    amount = models.BigIntegerField()
    remaining = models.BigIntegerField()
    # The condition of the indexes: spending a part of a grant then changes no index entry.
    unspent = models.GeneratedField(
        expression=Case(When(remaining__gt=0, then=True), default=False),
        output_field=models.BooleanField(),
        db_persist=True,
    )
    expires_at = models.DateTimeField(null=True)  # Never, when null.
    priority = models.SmallIntegerField(default=0)

    objects = CreditGrantQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="grant_amount_positive"),
            models.CheckConstraint(condition=Q(remaining__gte=0), name="grant_remaining_not_negative"),
            models.CheckConstraint(condition=Q(remaining__lte=F("amount")), name="grant_remaining_within_amount"),
        ]
        indexes = [
            models.Index(
                F("wallet"),
                F("expires_at").asc(nulls_last=True),
                F("priority"),
                condition=Q(unspent=True),
                name="grant_unspent_of_wallet",
            ),
            models.Index(fields=["expires_at"], condition=Q(unspent=True), name="grant_unspent_by_expiry"),
        ]

    def __str__(self) -> str:
        return encode("txn", self.pk)


class UsageRecordQuerySet(models.QuerySet["UsageRecord"]):
    def visible_to(self, actor: Actor) -> Self:
        return self.filter(wallet__workspace_id=actor.workspace_id)


class UsageRecord(PublicId, models.Model):
    """One request to a model provider, with the prices of that moment. Prices per million tokens, cost exact."""

    id_prefix = "use"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="usage", db_index=False)
    reference = models.CharField(max_length=64)  # The work it was part of, e.g. "run_01h…".
    attempt = models.PositiveIntegerField()
    step = models.PositiveIntegerField()
    user = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+", db_index=False)
    agent_id = models.UUIDField(null=True)
    api_key_id = models.UUIDField(null=True)
    model = models.CharField(max_length=200)
    provider = models.CharField(max_length=100)
    input_tokens = models.BigIntegerField()  # All of them, the cached ones too.
    cached_input_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    input_price = models.DecimalField(max_digits=20, decimal_places=10)
    cached_input_price = models.DecimalField(max_digits=20, decimal_places=10)
    output_price = models.DecimalField(max_digits=20, decimal_places=10)
    cost = models.DecimalField(max_digits=34, decimal_places=16)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = UsageRecordQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["reference", "attempt", "step"], name="usage_step_unique"),
            models.CheckConstraint(condition=~Q(reference=""), name="usage_reference_given"),
            models.CheckConstraint(
                condition=Q(
                    input_tokens__gte=F("cached_input_tokens"), cached_input_tokens__gte=0, output_tokens__gte=0
                ),
                name="usage_tokens_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(input_price__gte=0, cached_input_price__gte=0, output_price__gte=0),
                name="usage_prices_not_negative",
            ),
            models.CheckConstraint(
                condition=Exact(
                    F("cost") * 1_000_000,
                    (F("input_tokens") - F("cached_input_tokens")) * F("input_price")
                    + F("cached_input_tokens") * F("cached_input_price")
                    + F("output_tokens") * F("output_price"),
                ),
                name="usage_cost_is_tokens_by_prices",
            ),
        ]
        indexes = [models.Index(fields=["wallet", "created_at"], name="usage_of_wallet_by_time")]

    def __str__(self) -> str:
        return self.public_id
