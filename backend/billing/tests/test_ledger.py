"""What each function of the ledger does, alone."""

from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone

from backend.billing import operations, queries
from backend.billing.errors import InsufficientBalance, InvalidAmount, KeyReused, ReferenceClosed, WalletNotFound
from backend.billing.models import CreditGrant, Hold, Transfer, UsageRecord, Wallet
from backend.billing.tests.conftest import assert_books_are_right, hold, open_wallet, use, wallet_of
from backend.http.money import MAX_AMOUNT

pytestmark = pytest.mark.django_db


def balances(workspace_id: UUID) -> tuple[int, int]:
    wallet = wallet_of(workspace_id)
    return wallet.posted, wallet.held


def test_a_hold_is_set_aside_and_captured_for_what_was_used(workspace_id: UUID) -> None:
    hold(workspace_id, 300, "run_1")
    assert balances(workspace_id) == (1_000_000, 300)

    use(workspace_id, "run_1", 120)
    assert operations.capture(reference="run_1", description="A run") == 120

    assert balances(workspace_id) == (999_880, 0)
    ended = Hold.objects.get(reference="run_1")
    assert (ended.state, ended.charged, ended.shortfall) == ("captured", 120, 0)
    charge = Transfer.objects.get(reference="run_1")
    assert (charge.kind, charge.direction, charge.amount, charge.signed_amount, charge.balance_after) == (
        *("usage", "debit", 120, -120, 999_880),
    )
    assert (charge.sequence, charge.description) == (2, "A run")
    assert_books_are_right()


def test_settling_twice_charges_once(workspace_id: UUID) -> None:
    hold(workspace_id, 300, "run_1")
    use(workspace_id, "run_1", 120)

    assert [operations.capture(reference="run_1", description="A run") for _ in range(3)] == [120, 120, 120]

    assert Transfer.objects.filter(reference="run_1").count() == 1
    assert balances(workspace_id) == (999_880, 0)


def test_a_run_that_used_nothing_costs_nothing_and_posts_nothing(workspace_id: UUID) -> None:
    hold(workspace_id, 300, "run_1")

    assert operations.capture(reference="run_1", description="A run") == 0

    assert balances(workspace_id) == (1_000_000, 0)
    assert not Transfer.objects.filter(reference="run_1").exists()
    assert_books_are_right()


def test_exact_costs_are_summed_and_rounded_up_once(workspace_id: UUID) -> None:
    hold(workspace_id, 300, "run_1")
    for step in range(1, 4):
        use(workspace_id, "run_1", 10, step=step, model="fine")  # 0.375 micro-units each.

    assert sum(UsageRecord.objects.values_list("cost", flat=True)) == Decimal("0.000001125")
    assert operations.capture(reference="run_1", description="A run") == 2  # Three roundings would make it 3.
    assert_books_are_right()


def test_a_cost_above_the_hold_takes_what_is_available_and_notes_the_shortfall() -> None:
    workspace_id = open_wallet(1_000)
    hold(workspace_id, 600, "run_1")
    hold(workspace_id, 300, "run_2")
    use(workspace_id, "run_1", 800)

    assert operations.capture(reference="run_1", description="A run") == 700  # Its 600 and the 100 that no hold has.

    assert balances(workspace_id) == (300, 300)
    assert Hold.objects.get(reference="run_1").shortfall == 100
    assert_books_are_right()


def test_releasing_gives_all_back_and_does_so_once(workspace_id: UUID) -> None:
    hold(workspace_id, 300, "run_1")
    for _ in range(2):
        operations.release(reference="run_1")
    operations.release(reference="run_never_was")

    assert balances(workspace_id) == (1_000_000, 0)
    assert Hold.objects.get(reference="run_1").state == "released"
    assert_books_are_right()


@pytest.mark.parametrize("release_first", [True, False])
def test_release_and_capture_in_either_order_charge_what_was_used_once(workspace_id: UUID, release_first: bool) -> None:
    hold(workspace_id, 300, "run_1")
    use(workspace_id, "run_1", 120)

    if release_first:
        operations.release(reference="run_1")
    charged = operations.capture(reference="run_1", description="A run")
    operations.release(reference="run_1")

    assert charged == 120
    assert balances(workspace_id) == (999_880, 0)
    assert_books_are_right()


@pytest.mark.parametrize(
    ("max_charge", "charged", "shortfall"), [(300, 300, 420), (719, 719, 1), (720, 720, 0), (None, 720, 0)]
)
def test_no_more_is_charged_than_was_agreed_to(
    workspace_id: UUID, max_charge: int | None, charged: int, shortfall: int
) -> None:
    hold(workspace_id, 300, "run_1")
    use(workspace_id, "run_1", 720)

    for _ in range(2):
        assert operations.capture(reference="run_1", description="A run", max_charge=max_charge) == charged

    settled = Hold.objects.get(reference="run_1")
    assert (settled.state, settled.charged, settled.shortfall) == ("captured", charged, shortfall)
    assert balances(workspace_id) == (1_000_000 - charged, 0)
    assert_books_are_right()


def test_usage_without_a_hold_is_charged_once_too(workspace_id: UUID) -> None:
    use(workspace_id, "doc_1", 50)

    assert [operations.capture(reference="doc_1", description="A document") for _ in range(2)] == [50, 50]

    assert balances(workspace_id) == (999_950, 0)
    assert operations.capture(reference="doc_2", description="Nothing known of it") == 0
    assert_books_are_right()


def test_the_same_reservation_again_changes_nothing(workspace_id: UUID) -> None:
    for _ in range(3):
        hold(workspace_id, 300, "run_1")

    assert balances(workspace_id) == (1_000_000, 300)


def test_a_reference_reserved_for_something_else_is_a_conflict(workspace_id: UUID) -> None:
    other = open_wallet()
    hold(workspace_id, 300, "run_1")

    for wallet, amount in ((workspace_id, 301), (other, 300)):
        with pytest.raises(KeyReused), transaction.atomic():
            hold(wallet, amount, "run_1")

    assert balances(workspace_id) == (1_000_000, 300)
    assert balances(other) == (1_000_000, 0)


def test_an_ended_hold_is_not_opened_again(workspace_id: UUID) -> None:
    hold(workspace_id, 300, "run_1")
    operations.release(reference="run_1")

    with pytest.raises(ReferenceClosed), transaction.atomic():
        hold(workspace_id, 300, "run_1")

    assert balances(workspace_id) == (1_000_000, 0)


def test_held_money_cannot_be_held_again_and_the_refusal_has_the_amounts() -> None:
    workspace_id = open_wallet(1_000)
    hold(workspace_id, 700, "run_1")

    with pytest.raises(InsufficientBalance) as refusal, transaction.atomic():
        hold(workspace_id, 301, "run_2")

    assert refusal.value.extra == {"available": "0.0003", "required": "0.000301", "currency": "USD"}
    assert not Hold.objects.filter(reference="run_2").exists()
    hold(workspace_id, 300, "run_2")
    assert balances(workspace_id) == (1_000, 1_000)


def test_reserving_nothing_makes_no_hold(workspace_id: UUID) -> None:
    hold(workspace_id, 0, "run_1")

    assert not Hold.objects.exists()


@pytest.mark.parametrize("amount", [-1, MAX_AMOUNT + 1])
def test_amounts_out_of_range_are_refused(workspace_id: UUID, amount: int) -> None:
    with pytest.raises(InvalidAmount):
        hold(workspace_id, amount, "run_1")
    with pytest.raises(InvalidAmount):
        operations.grant(workspace_id=workspace_id, amount=amount, description="", key="k")

    assert balances(workspace_id) == (1_000_000, 0)


def test_a_workspace_without_a_wallet_is_refused() -> None:
    nowhere = uuid4()

    for call in (
        lambda: hold(nowhere, 1, "run_1"),
        lambda: use(nowhere, "run_1", 1),
        lambda: operations.grant(workspace_id=nowhere, amount=1, description="", key="k"),
        lambda: queries.balance(nowhere),
    ):
        with pytest.raises(WalletNotFound), transaction.atomic():
            call()


def test_the_same_key_moves_money_once_and_another_payload_is_a_conflict(workspace_id: UUID) -> None:
    other = open_wallet()
    for _ in range(2):
        operations.grant(workspace_id=workspace_id, amount=500, description="Welcome", key="welcome")

    for wallet, amount in ((workspace_id, 501), (other, 500)):
        with pytest.raises(KeyReused), transaction.atomic():
            operations.grant(workspace_id=wallet, amount=amount, description="Welcome", key="welcome")
    with pytest.raises(KeyReused), transaction.atomic():
        operations.adjust(workspace_id=workspace_id, amount=500, description="Welcome", key="welcome")

    assert balances(workspace_id) == (1_000_500, 0)
    assert CreditGrant.objects.count() == 1
    assert_books_are_right()


def test_an_adjustment_cannot_take_what_is_held() -> None:
    workspace_id = open_wallet(1_000)
    hold(workspace_id, 700, "run_1")

    with pytest.raises(InsufficientBalance), transaction.atomic():
        operations.adjust(workspace_id=workspace_id, amount=-301, description="Correction", key="c")
    operations.adjust(workspace_id=workspace_id, amount=-300, description="Correction", key="c")

    assert balances(workspace_id) == (700, 700)


def give(workspace_id: UUID, amount: int, key: str, *, days: int | None = None, priority: int = 0) -> None:
    operations.grant(
        workspace_id=workspace_id,
        amount=amount,
        description=key,
        key=key,
        expires_at=None if days is None else timezone.now() + timedelta(days=days),
        priority=priority,
    )


def remaining() -> dict[str, int]:
    return dict(CreditGrant.objects.values_list("transfer__key", "remaining"))


def test_grants_are_spent_before_money_soonest_expiring_first_then_by_priority(workspace_id: UUID) -> None:
    give(workspace_id, 100, "for ever, later", priority=2)
    give(workspace_id, 100, "for ever, sooner", priority=1)
    give(workspace_id, 100, "in a month", days=30, priority=9)
    give(workspace_id, 100, "in a week", days=7)
    assert [grant.transfer.key for grant in queries.balance(workspace_id).grants] == [
        *("in a week", "in a month", "for ever, sooner", "for ever, later"),
    ]

    use(workspace_id, "run_1", 250)
    operations.capture(reference="run_1", description="A run")
    assert remaining() == {"in a week": 0, "in a month": 0, "for ever, sooner": 50, "for ever, later": 100}

    use(workspace_id, "run_2", 250)
    operations.capture(reference="run_2", description="A run")
    assert set(remaining().values()) == {0}
    assert wallet_of(workspace_id).posted == 1_000_400 - 500
    assert_books_are_right()


def test_expired_credit_is_taken_back_but_not_what_an_open_hold_counts_on() -> None:
    workspace_id = open_wallet(0)
    give(workspace_id, 1_000, "lapsed", days=-1)
    give(workspace_id, 10, "lasting", days=1)
    hold(workspace_id, 400, "run_1")

    assert operations.expire_grants() == 610
    assert balances(workspace_id) == (400, 400)
    assert operations.expire_grants() == 0

    use(workspace_id, "run_1", 100)
    operations.capture(reference="run_1", description="A run")
    assert operations.expire_grants() == 290

    assert balances(workspace_id) == (10, 0)
    assert remaining() == {"lapsed": 0, "lasting": 10}
    assert [transfer.signed_amount for transfer in Transfer.objects.filter(kind="expiry")] == [-610, -290]
    assert_books_are_right()


def test_the_sweeper_releases_holds_past_their_time_and_a_late_capture_still_charges(workspace_id: UUID) -> None:
    hold(workspace_id, 300, "run_late", minutes=-1)
    hold(workspace_id, 300, "run_alive")
    use(workspace_id, "run_late", 120)

    assert operations.expire_holds() == 1
    assert operations.expire_holds() == 0
    assert balances(workspace_id) == (1_000_000, 300)

    assert operations.capture(reference="run_late", description="A run") == 120
    assert balances(workspace_id) == (999_880, 300)
    assert_books_are_right()


def test_a_step_is_recorded_once_and_with_one_usage(workspace_id: UUID) -> None:
    use(workspace_id, "run_1", 120)
    use(workspace_id, "run_1", 120)
    with pytest.raises(KeyReused), transaction.atomic():
        use(workspace_id, "run_1", 121)

    assert UsageRecord.objects.count() == 1
    assert sum(UsageRecord.objects.values_list("cost", flat=True)) == Decimal("0.00012")


def test_after_capture_a_known_step_is_repeated_and_a_new_one_refused(workspace_id: UUID) -> None:
    use(workspace_id, "run_1", 120)
    operations.capture(reference="run_1", description="A run")

    use(workspace_id, "run_1", 120)
    with pytest.raises(ReferenceClosed), transaction.atomic():
        use(workspace_id, "run_1", 120, step=2)

    assert UsageRecord.objects.count() == 1
    assert_books_are_right()


def test_everything_is_part_of_the_callers_transaction(workspace_id: UUID) -> None:
    @transaction.atomic
    def run_that_breaks() -> None:
        hold(workspace_id, 300, "run_1")
        use(workspace_id, "run_1", 120)
        operations.capture(reference="run_1", description="A run")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_that_breaks()

    assert balances(workspace_id) == (1_000_000, 0)
    assert not Hold.objects.exists()
    assert not UsageRecord.objects.exists()


@pytest.mark.owner_role
def test_a_wallet_written_back_with_old_sums_is_refused(workspace_id: UUID) -> None:
    stale = Wallet.objects.get(workspace_id=workspace_id)
    operations.adjust(workspace_id=workspace_id, amount=5, description="", key="a")

    with pytest.raises(DatabaseError, match="only together with a new transfer"), transaction.atomic():
        stale.save()

    assert wallet_of(workspace_id).posted == 1_000_005
