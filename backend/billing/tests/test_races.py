"""Many clients on one hot wallet, each with a connection of its own, against real locks."""

import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from django.db import OperationalError, connection, connections

from backend.billing import operations
from backend.billing.errors import InsufficientBalance, KeyReused, ReferenceClosed
from backend.billing.models import CreditGrant, Hold, Transfer, UsageRecord
from backend.billing.tests.conftest import assert_books_are_right, hold, open_wallet, use, wallet_of
from backend.errors import DomainError

CLIENTS = 12

pytestmark = pytest.mark.django_db(transaction=True)


Together = Callable[[Sequence[Callable[[], Any]]], list[Any]]


@pytest.fixture
def together() -> Together:
    """Run calls at the same moment, each in its thread; returns their results, a refusal as its class."""

    def run(calls: Sequence[Callable[[], Any]]) -> list[Any]:
        barrier = threading.Barrier(len(calls), timeout=20)

        def call(function: Callable[[], Any]) -> Any:
            try:
                connection.ensure_connection()
                barrier.wait()
                return function()
            except DomainError as refusal:
                return type(refusal)
            finally:
                connections.close_all()

        with ThreadPoolExecutor(len(calls)) as pool:
            return list(pool.map(call, calls))

    return run


def test_a_hot_wallet_never_goes_below_zero_and_every_sum_is_right(together: Together) -> None:
    workspace_id = open_wallet(3_000)  # Enough for a few of the holds at a time, so that many are refused.
    for number in range(5):
        operations.grant(workspace_id=workspace_id, amount=400, description="", key=f"grant-{number}")
    lowest: list[int] = []

    def client(number: int) -> dict[str, int]:
        chance = random.Random(number)
        outcomes = {"refused": 0, "charged": 0}
        for turn in range(15):
            reference = f"run_{number}_{turn}"
            try:
                hold(workspace_id, chance.randint(300, 900), reference)
            except InsufficientBalance:
                outcomes["refused"] += 1
                operations.grant(workspace_id=workspace_id, amount=50, description="", key=f"top-{reference}")
                continue
            use(workspace_id, reference, chance.randint(1, 1_200))
            wallet = wallet_of(workspace_id)
            lowest.append(wallet.posted - wallet.held)
            if chance.random() < 0.3:
                operations.release(reference=reference)
            outcomes["charged"] += operations.capture(reference=reference, description="A run")
        return outcomes

    outcomes = together([partial(client, number) for number in range(CLIENTS)])

    assert sum(outcome["refused"] for outcome in outcomes) > 0
    assert min(lowest) >= 0
    wallet = wallet_of(workspace_id)
    moved = sum(Transfer.objects.filter(kind="usage").values_list("amount", flat=True))
    assert sum(outcome["charged"] for outcome in outcomes) == moved > 0
    assert wallet.held == 0
    assert wallet.posted == 5_000 + 50 * sum(outcome["refused"] for outcome in outcomes) - moved
    assert list(Transfer.objects.order_by("sequence").values_list("sequence", flat=True)) == list(
        range(1, wallet.last_sequence + 1)
    )
    assert_books_are_right()


def test_check_then_spend_is_one_step(together: Together) -> None:
    workspace_id = open_wallet(1_000)

    results = together([partial(hold, workspace_id, 300, f"run_{n}") for n in range(CLIENTS)])

    assert results.count(None) == 3
    assert results.count(InsufficientBalance) == CLIENTS - 3
    assert wallet_of(workspace_id).held == 900


def test_one_reference_reserved_by_all_at_once_is_one_hold(together: Together) -> None:
    workspace_id = open_wallet(1_000)

    assert together([lambda: hold(workspace_id, 300, "run_1")] * CLIENTS) == [None] * CLIENTS

    assert Hold.objects.count() == 1
    assert wallet_of(workspace_id).held == 300


def test_one_reference_with_two_amounts_is_one_hold_and_conflicts(together: Together) -> None:
    workspace_id = open_wallet(1_000)

    results = together([partial(hold, workspace_id, 300 + n % 2, "run_1") for n in range(CLIENTS)])

    assert results.count(None) == results.count(KeyReused) == CLIENTS // 2
    assert wallet_of(workspace_id).held == Hold.objects.get().amount


def test_one_key_used_by_all_at_once_moves_money_once(together: Together) -> None:
    workspace_id = open_wallet(0)

    def give() -> None:
        operations.grant(workspace_id=workspace_id, amount=300, description="", key="once")

    assert together([give] * CLIENTS) == [None] * CLIENTS
    assert wallet_of(workspace_id).posted == 300
    assert CreditGrant.objects.count() == 1


def test_one_key_used_on_two_wallets_at_once_moves_money_in_one(together: Together) -> None:
    wallets = [open_wallet(0), open_wallet(0)]

    def give(workspace_id: UUID) -> None:
        operations.grant(workspace_id=workspace_id, amount=300, description="", key="once")

    results = together([partial(give, wallets[n % 2]) for n in range(CLIENTS)])

    assert results.count(KeyReused) == CLIENTS // 2
    assert sorted(wallet_of(workspace_id).posted for workspace_id in wallets) == [0, 300]


def test_an_abort_and_an_end_at_once_charge_once(together: Together) -> None:
    workspace_id = open_wallet(10_000)
    for turn in range(10):
        reference = f"run_{turn}"
        hold(workspace_id, 300, reference)
        use(workspace_id, reference, 120)
        ends = [partial(operations.capture, reference=reference, description="A run")] * 4
        aborts = [partial(operations.release, reference=reference)] * 4

        results = together([*aborts, *ends])

        assert sorted(results, key=str) == [120] * 4 + [None] * 4
    assert wallet_of(workspace_id).posted == 10_000 - 10 * 120
    assert Transfer.objects.filter(kind="usage").count() == 10
    assert_books_are_right()


def test_a_step_that_races_the_capture_is_charged_or_refused(together: Together) -> None:
    workspace_id = open_wallet(10_000)
    for turn in range(10):
        reference = f"run_{turn}"
        hold(workspace_id, 300, reference)
        use(workspace_id, reference, 50)
        steps = [partial(use, workspace_id, reference, 10, step=step) for step in (2, 3, 4)]

        *recorded, charged = together([*steps, partial(operations.capture, reference=reference, description="A run")])

        assert set(recorded) <= {None, ReferenceClosed}
        assert charged == 50 + 10 * recorded.count(None)
        assert UsageRecord.objects.filter(reference=reference).count() == 1 + recorded.count(None)
    assert_books_are_right()


def test_a_connection_killed_in_the_middle_leaves_nothing_half_done(together: Together) -> None:
    workspace_id = open_wallet(1_000)
    hold(workspace_id, 300, "run_1")
    use(workspace_id, "run_1", 120)
    backend: list[int] = []
    locked = threading.Event()

    def capture_behind_a_lock() -> str:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            backend.append(cursor.fetchone()[0])
        assert locked.wait(20)
        try:
            operations.capture(reference="run_1", description="A run")
        except OperationalError:
            return "killed"
        return "captured"

    def kill_it_while_it_waits() -> bool:
        with connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT 1 FROM billing_wallet FOR UPDATE")
            locked.set()
            while True:  # Until it has its hold locked and waits for this wallet; the test's time-out is the end of it.
                cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = ANY(%s)", [backend])
                if cursor.fetchone() == (1,):
                    break
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", backend)
            killed = bool(cursor.fetchone()[0])
            cursor.execute("COMMIT")
            return killed

    assert together([capture_behind_a_lock, kill_it_while_it_waits]) == ["killed", True]

    wallet = wallet_of(workspace_id)
    assert (wallet.posted, wallet.held) == (1_000, 300)
    assert Hold.objects.get().state == "open"
    assert_books_are_right()
    assert operations.capture(reference="run_1", description="A run") == 120
    assert_books_are_right()
