"""What the database itself refuses to any caller: every constraint once, and every trigger."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models import Model
from django.utils import timezone

from backend.billing import operations
from backend.billing.models import CreditGrant, Hold, Transfer, UsageRecord, Wallet
from backend.billing.tests.conftest import assert_books_are_right, hold, open_wallet, use, wallet_of
from backend.http.ids import encode, new_id

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.owner_role,
]  # It tampers with the books in ways that only the owner can.

MODELS: list[type[Model]] = [Wallet, Transfer, Hold, CreditGrant, UsageRecord]


def a_wallet(**changes: Any) -> None:
    """With an update, because a workspace has one wallet."""
    Wallet.objects.update(**changes)


def a_transfer(**changes: Any) -> None:
    fields = {"sequence": 99, "kind": "grant", "direction": "credit", "amount": 1, "balance_after": 1, "key": "new"}
    Transfer.objects.create(wallet=Wallet.objects.get(), **{**fields, **changes})


def a_hold(**changes: Any) -> None:
    fields = {"reference": "new", "amount": 1, "expires_at": timezone.now()}
    Hold.objects.create(wallet=Wallet.objects.get(), **{**fields, **changes})


def a_grant(**changes: Any) -> None:
    wallet = Wallet.objects.get()
    CreditGrant.objects.create(
        wallet=wallet, transfer=wallet.transfers.get(key="start"), **{"amount": 5, "remaining": 5, **changes}
    )


def a_usage(**changes: Any) -> None:
    fields: dict[str, Any] = {
        "reference": "new",
        "attempt": 1,
        "step": 1,
        "model": "plain",
        "provider": "acme",
        "input_tokens": 10,
        "cached_input_tokens": 4,
        "output_tokens": 3,
        "input_price": Decimal(2),
        "cached_input_price": Decimal(1),
        "output_price": Decimal(8),
    }
    fields |= changes
    fields.setdefault(
        "cost",
        (
            (fields["input_tokens"] - fields["cached_input_tokens"]) * fields["input_price"]
            + fields["cached_input_tokens"] * fields["cached_input_price"]
            + fields["output_tokens"] * fields["output_price"]
        )
        / 1_000_000,
    )
    UsageRecord.objects.create(wallet=Wallet.objects.get(), **fields)


MAKERS: list[Callable[..., None]] = [a_wallet, a_transfer, a_hold, a_grant, a_usage]
PROVOKED: list[tuple[str, Callable[..., None], dict[str, Any]]] = [
    ("wallet_posted_not_negative", a_wallet, {"posted": -1, "held": -1, "last_sequence": 2}),
    ("wallet_held_not_negative", a_wallet, {"held": -1}),
    ("wallet_held_within_posted", a_wallet, {"held": 1_000_001}),
    ("wallet_sequence_not_negative", a_wallet, {}),
    ("wallet_currency_iso", a_wallet, {}),
    ("transfer_key_unique", a_transfer, {"key": "start"}),
    ("transfer_sequence_unique", a_transfer, {"sequence": 1}),
    ("transfer_amount_positive", a_transfer, {"amount": 0}),
    ("transfer_amount_positive", a_transfer, {"amount": -5}),
    ("transfer_sequence_positive", a_transfer, {"sequence": 0}),
    ("transfer_balance_not_negative", a_transfer, {"balance_after": -1}),
    ("transfer_key_given", a_transfer, {"key": ""}),
    ("transfer_direction_known", a_transfer, {"kind": "refund", "direction": "upward"[:6]}),
    ("transfer_kind_fits_direction", a_transfer, {"kind": "usage", "direction": "credit"}),
    ("transfer_kind_fits_direction", a_transfer, {"kind": "grant", "direction": "debit"}),
    ("transfer_kind_fits_direction", a_transfer, {"kind": "gift"}),
    ("hold_reference_unique", a_hold, {"reference": "known"}),
    ("hold_reference_given", a_hold, {"reference": ""}),
    ("hold_amount_positive", a_hold, {"amount": 0}),
    ("hold_charged_not_negative", a_hold, {"charged": -1, "state": "captured", "ended_at": timezone.now()}),
    ("hold_shortfall_not_negative", a_hold, {"shortfall": -1, "state": "captured", "ended_at": timezone.now()}),
    ("hold_state_known", a_hold, {"state": "lost", "ended_at": timezone.now()}),
    ("hold_charged_only_when_captured", a_hold, {"charged": 1}),
    ("hold_ended_unless_open", a_hold, {"ended_at": timezone.now()}),
    ("hold_ended_unless_open", a_hold, {"state": "released"}),
    ("grant_amount_positive", a_grant, {"amount": 0, "remaining": 0}),
    ("grant_remaining_not_negative", a_grant, {"remaining": -1}),
    ("grant_remaining_within_amount", a_grant, {"remaining": 6}),
    ("usage_step_unique", a_usage, {"reference": "known"}),
    ("usage_reference_given", a_usage, {"reference": ""}),
    ("usage_tokens_not_negative", a_usage, {"cached_input_tokens": 11}),
    ("usage_tokens_not_negative", a_usage, {"cached_input_tokens": -1}),
    ("usage_tokens_not_negative", a_usage, {"output_tokens": -1}),
    ("usage_prices_not_negative", a_usage, {"output_price": Decimal(-1)}),
    ("usage_prices_not_negative", a_usage, {"input_price": Decimal(-1)}),
    ("usage_prices_not_negative", a_usage, {"cached_input_price": Decimal(-1)}),
    ("usage_cost_is_tokens_by_prices", a_usage, {"cost": Decimal("0.000001")}),
]


@pytest.fixture
def books(db: None) -> UUID:
    """A wallet with one transfer (key ``start``), one hold and one usage record (reference ``known``)."""
    workspace_id = open_wallet(0)
    operations.adjust(workspace_id=workspace_id, amount=1_000_000, description="Start", key="start")
    hold(workspace_id, 100, "known")
    use(workspace_id, "known", 10)
    return workspace_id


@pytest.mark.parametrize(("name", "make", "changes"), PROVOKED)
def test_each_constraint_refuses_what_it_names(
    books: UUID, name: str, make: Callable[..., None], changes: dict[str, Any]
) -> None:
    if name == "wallet_posted_not_negative":  # The two on ``held`` imply it; alone it holds as well.
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("ALTER TABLE billing_wallet DROP CONSTRAINT wallet_held_not_negative")
    if name in ("wallet_sequence_not_negative", "wallet_currency_iso"):  # Only a new wallet gets as far as these.
        column, value = ("last_sequence", -1) if "sequence" in name else ("currency", "usd")
        fresh = Wallet.objects.get()
        workspace = fresh.workspace
        workspace.pk = new_id()
        workspace.save(force_insert=True)
        with pytest.raises(IntegrityError, match=name), transaction.atomic():
            Wallet.objects.create(workspace=workspace, **{"currency": "USD", column: value})
        return
    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        make(**changes)


def test_every_constraint_of_billing_is_provoked_here() -> None:
    named = {constraint.name for model in MODELS for constraint in model._meta.constraints}
    assert named == {name for name, _, _ in PROVOKED}


def test_rows_that_are_right_are_accepted(books: UUID) -> None:
    """So that what is refused above is refused for the reason named."""
    for make in MAKERS[1:]:
        make()
    a_transfer(sequence=100, key="other", kind="refund", direction="debit")
    a_hold(reference="other", state="captured", charged=5, shortfall=1, ended_at=timezone.now())


@pytest.mark.parametrize(
    "change",
    [
        lambda: Transfer.objects.update(description="Nothing happened"),
        lambda: Transfer.objects.get().save(),
        lambda: Transfer.objects.get().delete(),
        lambda: Transfer.objects.all().delete(),
        lambda: Transfer.objects.all()._raw_delete("default"),
        lambda: UsageRecord.objects.update(cost=0, input_price=0),
        lambda: UsageRecord.objects.update(reference="other"),
        lambda: UsageRecord.objects.all().delete(),
        lambda: Wallet.objects.update(posted=5_000_000),
        lambda: Wallet.objects.update(currency="EUR"),
        lambda: Wallet.objects.update(last_sequence=7),
    ],
)
def test_what_was_written_is_not_written_again(books: UUID, change: Callable[[], object]) -> None:
    before = list(Transfer.objects.values()), list(UsageRecord.objects.values()), list(Wallet.objects.values())

    with (
        pytest.raises(DatabaseError, match=r"rows never change|only together with a new transfer"),
        transaction.atomic(),
    ):
        change()

    assert before == (
        *(list(Transfer.objects.values()), list(UsageRecord.objects.values()), list(Wallet.objects.values())),
    )


def test_transfers_cannot_be_truncated(books: UUID) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE billing_transfer ENABLE TRIGGER transfer_never_truncated")
        with pytest.raises(DatabaseError, match="TRUNCATE on billing_transfer is refused"), transaction.atomic():
            cursor.execute("TRUNCATE billing_transfer CASCADE")

    assert Transfer.objects.count() == 1


def test_the_user_of_usage_may_be_erased(books: UUID) -> None:
    assert UsageRecord.objects.update(user=None) == 1


def test_every_transfer_balances_with_the_house(books: UUID) -> None:
    operations.grant(workspace_id=books, amount=7, description="", key="gift")
    operations.capture(reference="known", description="")

    with connection.cursor() as cursor:
        cursor.execute("SELECT sum(amount), count(*) FROM ledger_postings")
        assert cursor.fetchone() == (0, 6)
        cursor.execute("SELECT account, sum(amount) FROM ledger_postings GROUP BY 1 ORDER BY 1")
        assert cursor.fetchall() == [
            ("house:adjustments", -1_000_000),
            ("house:credits", -7),
            ("house:revenue", 10),
            (f"wallet:{Wallet.objects.get().pk}", 999_997),
        ]


def check() -> None:
    call_command("check_ledger")


def test_the_books_of_a_busy_wallet_are_right(books: UUID, capsys: pytest.CaptureFixture[str]) -> None:
    operations.grant(
        workspace_id=books, amount=7, description="", key="gift", expires_at=timezone.now() - timedelta(days=1)
    )
    operations.capture(reference="known", description="")
    operations.expire_grants()
    operations.adjust(workspace_id=books, amount=-3, description="", key="less")

    check()

    assert "The books are right." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("tamper", "problem"),
    [
        ("UPDATE billing_wallet SET held = held + 1", "held is not the sum of its open holds"),
        ("UPDATE billing_wallet SET posted = posted + 1", "posted is not the sum of its transfers"),
        ("UPDATE billing_wallet SET last_sequence = last_sequence + 1", "its transfers do not count 1, 2, 3"),
        ("UPDATE billing_transfer SET amount = amount - 1 WHERE key = 'start'", "balance_after is not the running sum"),
        ("UPDATE billing_creditgrant SET remaining = 9999999, amount = 9999999", "unspent grants exceed the balance"),
        ("UPDATE billing_creditgrant SET amount = amount + 1", "a grant and its transfer differ"),
        ("DELETE FROM billing_creditgrant", "a grant and its transfer differ"),
        (
            "UPDATE billing_hold SET charged = charged + 1 WHERE charged > 0",
            "a settled hold and its usage transfer differ",
        ),
        ("DELETE FROM billing_hold WHERE charged > 0", "a settled hold and its usage transfer differ"),
        ("DELETE FROM billing_usagerecord", "a settled reference was not charged what it used"),
        ("DELETE FROM billing_transfer WHERE kind = 'usage'", "a settled hold and its usage transfer differ"),
    ],
)
def test_check_ledger_finds_what_was_tampered_with(
    books: UUID, capsys: pytest.CaptureFixture[str], tamper: str, problem: str
) -> None:
    operations.capture(reference="known", description="")
    operations.grant(workspace_id=books, amount=7, description="", key="gift")
    hold(books, 50, "open")
    open_wallet()  # Another, which is right and stays unnamed.
    assert_books_are_right()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL session_replication_role = replica")  # As a careless superuser would.
        cursor.execute(tamper + (" AND" if "WHERE" in tamper else " WHERE") + " true")
        cursor.execute("SET LOCAL session_replication_role = origin")

    with pytest.raises(CommandError) as ended:
        check()

    assert ended.value.returncode == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if problem in line]
    assert lines
    if "billing_wallet" not in tamper:
        assert all(line.startswith(encode("wsp", books)) for line in lines)


def test_sums_are_of_the_wallet_in_question(books: UUID) -> None:
    other = open_wallet(50)
    use(other, "theirs", 20)
    operations.capture(reference="theirs", description="")

    assert wallet_of(other).posted == 30
    assert wallet_of(books).posted == 1_000_000
