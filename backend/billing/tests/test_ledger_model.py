"""The ledger against a model of it in thirty lines of Python, driven by hypothesis."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.billing import operations
from backend.billing.errors import InsufficientBalance, KeyReused, ReferenceClosed
from backend.billing.models import CreditGrant, Hold
from backend.billing.tests.conftest import assert_books_are_right, hold, open_wallet, use, wallet_of
from backend.errors import DomainError

REFERENCES = st.sampled_from(["run_a", "run_b", "run_c"])
AMOUNTS = st.integers(1, 120)
STEPS = st.integers(1, 3)
ACTIONS = st.one_of(
    st.tuples(st.just("reserve"), REFERENCES, AMOUNTS),
    st.tuples(st.just("use"), REFERENCES, STEPS, AMOUNTS),
    st.tuples(st.just("capture"), REFERENCES),
    st.tuples(st.just("release"), REFERENCES),
    st.tuples(st.just("grant"), st.sampled_from(["k1", "k2"]), AMOUNTS),
    st.tuples(st.just("adjust"), st.sampled_from(["k2", "k3"]), AMOUNTS.map(lambda amount: amount - 60 or 1)),
)


class Books:
    """What the ledger should say, kept the plain way."""

    def __init__(self) -> None:
        self.posted = 0
        self.grants = 0
        self.holds: dict[str, list[Any]] = {}  # reference → [amount, state, charged]
        self.usage: dict[tuple[str, int], int] = {}
        self.keys: dict[str, tuple[str, int]] = {}

    @property
    def held(self) -> int:
        return sum(amount for amount, state, _ in self.holds.values() if state == "open")

    @property
    def available(self) -> int:
        return self.posted - self.held

    def reserve(self, reference: str, amount: int) -> Any:
        if reference in self.holds:
            reserved, state, _ = self.holds[reference]
            return KeyReused if reserved != amount else None if state == "open" else ReferenceClosed
        if amount > self.available:
            return InsufficientBalance
        self.holds[reference] = [amount, "open", 0]
        return None

    def use(self, reference: str, step: int, tokens: int) -> Any:
        if (earlier := self.usage.get((reference, step))) is not None:
            return None if earlier == tokens else KeyReused
        if self.holds.get(reference, [0, ""])[1] == "captured":
            return ReferenceClosed
        self.usage[reference, step] = tokens
        return None

    def capture(self, reference: str) -> Any:
        cost = sum(tokens for (used_by, _), tokens in self.usage.items() if used_by == reference)
        if reference not in self.holds:
            if not cost:
                return 0
            self.holds[reference] = [cost, "released", 0]
        kept = self.holds[reference]
        if kept[1] != "captured":
            charge = min(cost, self.available + (kept[0] if kept[1] == "open" else 0))
            kept[1:] = ["captured", charge]
            self._take(charge)
        return kept[2]

    def release(self, reference: str) -> Any:
        if self.holds.get(reference, [0, ""])[1] == "open":
            self.holds[reference][1] = "released"

    def grant(self, key: str, amount: int) -> Any:
        if key in self.keys:
            return None if self.keys[key] == ("grant", amount) else KeyReused
        self.keys[key] = ("grant", amount)
        self.posted += amount
        self.grants += amount
        return None

    def adjust(self, key: str, amount: int) -> Any:
        if key in self.keys:
            return None if self.keys[key] == ("adjust", amount) else KeyReused
        if amount < 0 and -amount > self.available:
            return InsufficientBalance
        self.keys[key] = ("adjust", amount)
        if amount < 0:
            self._take(-amount)
        else:
            self.posted += amount
        return None

    def _take(self, amount: int) -> None:
        self.posted -= amount
        self.grants = max(0, self.grants - amount)


class Ledger:
    """The same actions on the real one."""

    def __init__(self, workspace_id: UUID) -> None:
        self.workspace_id = workspace_id
        self.expires_at = timezone.now() + timedelta(hours=1)

    def reserve(self, reference: str, amount: int) -> Any:
        return hold(self.workspace_id, amount, reference)

    def use(self, reference: str, step: int, tokens: int) -> Any:
        return use(self.workspace_id, reference, tokens, step=step)

    def capture(self, reference: str) -> Any:
        return operations.capture(reference=reference, description="")

    def release(self, reference: str) -> Any:
        return operations.release(reference=reference)

    def grant(self, key: str, amount: int) -> Any:
        return operations.grant(workspace_id=self.workspace_id, amount=amount, description="", key=key)

    def adjust(self, key: str, amount: int) -> Any:
        return operations.adjust(workspace_id=self.workspace_id, amount=amount, description="", key=key)


@pytest.mark.django_db
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=st.lists(ACTIONS, min_size=1, max_size=25))
def test_after_any_actions_the_ledger_equals_the_model(actions: list[tuple[Any, ...]]) -> None:
    with transaction.atomic():
        books, ledger = Books(), Ledger(open_wallet(0))
        for name, *arguments in [("grant", "start", 100), *actions]:
            expected = getattr(books, name)(*arguments)
            try:
                with transaction.atomic():
                    answered = getattr(ledger, name)(*arguments)
            except DomainError as refusal:
                answered = type(refusal)

            assert answered == expected, (name, arguments)
            wallet = wallet_of(ledger.workspace_id)
            assert (wallet.posted, wallet.held) == (books.posted, books.held), (name, arguments)

        grants = CreditGrant.objects.filter(wallet=wallet)
        assert sum(grant.remaining for grant in grants) == books.grants
        assert {hold.reference: [hold.amount, hold.state, hold.charged] for hold in Hold.objects.all()} == books.holds
        assert_books_are_right()
        transaction.set_rollback(True)
