import django.db.models.deletion
import django.db.models.expressions
import django.db.models.lookups
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

import backend.http.ids


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("accounts", "0001_initial"),
        ("accounts", "__first__"),
    ]

    operations = [
        migrations.CreateModel(
            name="Wallet",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=backend.http.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("currency", models.CharField(max_length=3)),
                ("posted", models.BigIntegerField(default=0)),
                ("held", models.BigIntegerField(default=0)),
                ("last_sequence", models.BigIntegerField(default=0)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "workspace",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT, related_name="wallet", to="accounts.workspace"
                    ),
                ),
            ],
            options={
                "permissions": [("move_money", "Can grant credit and adjust balances")],
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("posted__gte", 0)), name="wallet_posted_not_negative"),
                    models.CheckConstraint(condition=models.Q(("held__gte", 0)), name="wallet_held_not_negative"),
                    models.CheckConstraint(
                        condition=models.Q(("held__lte", models.F("posted"))), name="wallet_held_within_posted"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("last_sequence__gte", 0)), name="wallet_sequence_not_negative"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("currency__regex", "^[A-Z]{3}$")), name="wallet_currency_iso"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="UsageRecord",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=backend.http.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("reference", models.CharField(max_length=64)),
                ("attempt", models.PositiveIntegerField()),
                ("step", models.PositiveIntegerField()),
                ("agent_id", models.UUIDField(null=True)),
                ("api_key_id", models.UUIDField(null=True)),
                ("model", models.CharField(max_length=200)),
                ("provider", models.CharField(max_length=100)),
                ("input_tokens", models.BigIntegerField()),
                ("cached_input_tokens", models.BigIntegerField()),
                ("output_tokens", models.BigIntegerField()),
                ("input_price", models.DecimalField(decimal_places=10, max_digits=20)),
                ("cached_input_price", models.DecimalField(decimal_places=10, max_digits=20)),
                ("output_price", models.DecimalField(decimal_places=10, max_digits=20)),
                ("cost", models.DecimalField(decimal_places=16, max_digits=34)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "wallet",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="usage",
                        to="billing.wallet",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["wallet", "created_at"], name="usage_of_wallet_by_time")],
                "constraints": [
                    models.UniqueConstraint(fields=("reference", "attempt", "step"), name="usage_step_unique"),
                    models.CheckConstraint(
                        condition=models.Q(("reference", ""), _negated=True), name="usage_reference_given"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("cached_input_tokens__gte", 0),
                            ("input_tokens__gte", models.F("cached_input_tokens")),
                            ("output_tokens__gte", 0),
                        ),
                        name="usage_tokens_not_negative",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("cached_input_price__gte", 0), ("input_price__gte", 0), ("output_price__gte", 0)
                        ),
                        name="usage_prices_not_negative",
                    ),
                    models.CheckConstraint(
                        condition=django.db.models.lookups.Exact(
                            django.db.models.expressions.CombinedExpression(
                                models.F("cost"), "*", models.Value(1000000)
                            ),
                            django.db.models.expressions.CombinedExpression(
                                django.db.models.expressions.CombinedExpression(
                                    django.db.models.expressions.CombinedExpression(
                                        django.db.models.expressions.CombinedExpression(
                                            models.F("input_tokens"), "-", models.F("cached_input_tokens")
                                        ),
                                        "*",
                                        models.F("input_price"),
                                    ),
                                    "+",
                                    django.db.models.expressions.CombinedExpression(
                                        models.F("cached_input_tokens"), "*", models.F("cached_input_price")
                                    ),
                                ),
                                "+",
                                django.db.models.expressions.CombinedExpression(
                                    models.F("output_tokens"), "*", models.F("output_price")
                                ),
                            ),
                        ),
                        name="usage_cost_is_tokens_by_prices",
                    ),
                ],
            },
            bases=(backend.http.ids.PublicId, models.Model),
        ),
        migrations.CreateModel(
            name="Transfer",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=backend.http.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("sequence", models.BigIntegerField()),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("top_up", "Top Up"),
                            ("grant", "Grant"),
                            ("usage", "Usage"),
                            ("refund", "Refund"),
                            ("adjustment", "Adjustment"),
                            ("expiry", "Expiry"),
                        ],
                        max_length=10,
                    ),
                ),
                ("direction", models.CharField(choices=[("credit", "Credit"), ("debit", "Debit")], max_length=6)),
                ("amount", models.BigIntegerField()),
                (
                    "signed_amount",
                    models.GeneratedField(
                        db_persist=True,
                        expression=models.Case(
                            models.When(direction="credit", then=models.F("amount")),
                            default=django.db.models.expressions.CombinedExpression(
                                models.F("amount"), "*", models.Value(-1)
                            ),
                        ),
                        output_field=models.BigIntegerField(),
                    ),
                ),
                ("balance_after", models.BigIntegerField()),
                ("key", models.CharField(max_length=128)),
                ("reference", models.CharField(blank=True, max_length=64)),
                ("description", models.CharField(blank=True, max_length=200)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "wallet",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="transfers",
                        to="billing.wallet",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["wallet", "created_at"], name="transfer_of_wallet_by_time"),
                    models.Index(fields=["wallet", "reference"], name="transfer_of_wallet_by_ref"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("key",), name="transfer_key_unique"),
                    models.UniqueConstraint(fields=("wallet", "sequence"), name="transfer_sequence_unique"),
                    models.CheckConstraint(condition=models.Q(("amount__gt", 0)), name="transfer_amount_positive"),
                    models.CheckConstraint(condition=models.Q(("sequence__gt", 0)), name="transfer_sequence_positive"),
                    models.CheckConstraint(
                        condition=models.Q(("balance_after__gte", 0)), name="transfer_balance_not_negative"
                    ),
                    models.CheckConstraint(condition=models.Q(("key", ""), _negated=True), name="transfer_key_given"),
                    models.CheckConstraint(
                        condition=models.Q(("direction__in", ["credit", "debit"])), name="transfer_direction_known"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("direction", "credit"), ("kind__in", ["top_up", "grant"])),
                            models.Q(("direction", "debit"), ("kind__in", ["usage", "expiry"])),
                            ("kind__in", ["refund", "adjustment"]),
                            _connector="OR",
                        ),
                        name="transfer_kind_fits_direction",
                    ),
                ],
            },
            bases=(backend.http.ids.PublicId, models.Model),
        ),
        migrations.CreateModel(
            name="Hold",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=backend.http.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("reference", models.CharField(max_length=64)),
                ("amount", models.BigIntegerField()),
                ("charged", models.BigIntegerField(default=0)),
                ("shortfall", models.BigIntegerField(default=0)),
                (
                    "state",
                    models.CharField(
                        choices=[("open", "Open"), ("captured", "Captured"), ("released", "Released")],
                        default="open",
                        max_length=8,
                    ),
                ),
                ("expires_at", models.DateTimeField()),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "wallet",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="holds",
                        to="billing.wallet",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(condition=models.Q(("state", "open")), fields=["wallet"], name="hold_open_of_wallet"),
                    models.Index(
                        condition=models.Q(("state", "open")), fields=["expires_at"], name="hold_open_by_expiry"
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("reference",), name="hold_reference_unique"),
                    models.CheckConstraint(
                        condition=models.Q(("reference", ""), _negated=True), name="hold_reference_given"
                    ),
                    models.CheckConstraint(condition=models.Q(("amount__gt", 0)), name="hold_amount_positive"),
                    models.CheckConstraint(condition=models.Q(("charged__gte", 0)), name="hold_charged_not_negative"),
                    models.CheckConstraint(
                        condition=models.Q(("shortfall__gte", 0)), name="hold_shortfall_not_negative"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("state__in", ["open", "captured", "released"])), name="hold_state_known"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("state", "captured"), models.Q(("charged", 0), ("shortfall", 0)), _connector="OR"
                        ),
                        name="hold_charged_only_when_captured",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("ended_at", None), ("state", "open")),
                            models.Q(models.Q(("state", "open"), _negated=True), ("ended_at__isnull", False)),
                            _connector="OR",
                        ),
                        name="hold_ended_unless_open",
                    ),
                ],
            },
            bases=(backend.http.ids.PublicId, models.Model),
        ),
        migrations.CreateModel(
            name="CreditGrant",
            fields=[
                (
                    "transfer",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="credit_grant",
                        serialize=False,
                        to="billing.transfer",
                    ),
                ),
                ("amount", models.BigIntegerField()),
                ("remaining", models.BigIntegerField()),
                (
                    "unspent",
                    models.GeneratedField(
                        db_persist=True,
                        expression=models.Case(models.When(remaining__gt=0, then=True), default=False),
                        output_field=models.BooleanField(),
                    ),
                ),
                ("expires_at", models.DateTimeField(null=True)),
                ("priority", models.SmallIntegerField(default=0)),
                (
                    "wallet",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="grants",
                        to="billing.wallet",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        models.F("wallet"),
                        models.OrderBy(models.F("expires_at"), nulls_last=True),
                        models.F("priority"),
                        condition=models.Q(("unspent", True)),
                        name="grant_unspent_of_wallet",
                    ),
                    models.Index(
                        condition=models.Q(("unspent", True)), fields=["expires_at"], name="grant_unspent_by_expiry"
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("amount__gt", 0)), name="grant_amount_positive"),
                    models.CheckConstraint(
                        condition=models.Q(("remaining__gte", 0)), name="grant_remaining_not_negative"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("remaining__lte", models.F("amount"))), name="grant_remaining_within_amount"
                    ),
                ],
            },
        ),
    ]
