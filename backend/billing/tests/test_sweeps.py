"""A row that cannot be swept holds up no other, however often it comes first."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from backend.billing import ledger, operations
from backend.billing.models import Hold
from backend.billing.tests.conftest import assert_books_are_right, hold, wallet_of

pytestmark = pytest.mark.django_db
TRIES = 60  # In a random order of two, the other one comes first once in so many times.


def fails_for(monkeypatch: pytest.MonkeyPatch, function: str, argument: str, broken: Any) -> None:
    real = getattr(ledger, function)

    def raising(**given: Any) -> Any:
        if given[argument] == broken:
            raise ZeroDivisionError("a bug")
        return real(**given)

    monkeypatch.setattr(ledger, function, raising)


@pytest.mark.parametrize("batch", [1000, 1])
def test_a_hold_that_cannot_be_released_keeps_no_other(
    workspace_id: UUID, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    hold(workspace_id, 100, "run_bad", minutes=-10)
    hold(workspace_id, 200, "run_good", minutes=-5)
    fails_for(monkeypatch, "release", "reference", "run_bad")
    monkeypatch.setattr(operations, "BATCH", batch)

    released = sum(operations.expire_holds() for _ in range(TRIES if batch == 1 else 1))

    assert released == 1
    assert [one.reference for one in Hold.objects.open()] == ["run_bad"]
    assert wallet_of(workspace_id).held == 100
    assert_books_are_right()


@pytest.mark.parametrize("batch", [1000, 1])
def test_a_grant_that_cannot_be_taken_back_keeps_no_other(
    workspace_id: UUID, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    for key, minutes in (("bad", 10), ("good", 5)):
        operations.grant(
            workspace_id=workspace_id,
            amount=100,
            description="Gift",
            key=key,
            expires_at=timezone.now() - timedelta(minutes=minutes),
        )
    bad = wallet_of(workspace_id).transfers.get(key="bad")
    fails_for(monkeypatch, "expire_grant", "transfer_id", bad.pk)
    monkeypatch.setattr(operations, "BATCH", batch)

    assert sum(operations.expire_grants() for _ in range(TRIES if batch == 1 else 1)) == 100

    assert_books_are_right()
