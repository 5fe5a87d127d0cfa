"""The functions of ``ledger.sql`` as Python calls: one round trip each, refusals as domain errors.

A refusal aborts the transaction around it, as any database error does. A caller that continues after one wraps the call
in ``transaction.atomic()``.
"""

import json
from datetime import datetime
from decimal import Decimal
from typing import Any, NoReturn
from uuid import UUID

from django.db import DatabaseError, connection

from backend.billing.errors import InsufficientBalance, InvalidAmount, KeyReused, ReferenceClosed, WalletNotFound
from backend.billing.pricing import Charge
from backend.errors import DomainError
from backend.http.ids import new_id
from backend.http.money import MAX_AMOUNT, format_money

REFUSALS: dict[str, type[DomainError]] = {
    "OQ404": WalletNotFound,
    "OQ409": KeyReused,
    "OQ410": ReferenceClosed,
    "OQ422": InvalidAmount,
}


def open_wallet(*, workspace_id: UUID, currency: str) -> None:
    _call("ledger_open_wallet", workspace_id, new_id(), currency)


def reserve(*, workspace_id: UUID, amount: int, reference: str, expires_at: datetime) -> None:
    _call("ledger_reserve", workspace_id, new_id(), reference, _positive(amount), expires_at)


def record_usage(
    *,
    workspace_id: UUID,
    reference: str,
    attempt: int,
    step: int,
    user_id: UUID | None,
    agent_id: UUID | None,
    api_key_id: UUID | None,
    model: str,
    provider: str,
    charge: Charge,
) -> Decimal:
    """The exact cost in currency units: that of the first call, if the step was recorded before."""
    cost: Decimal = _call(
        "ledger_record_usage",
        *(workspace_id, new_id(), reference, attempt, step, user_id, agent_id, api_key_id, model, provider),
        *(charge.input_tokens, charge.cached_input_tokens, charge.output_tokens),
        *(charge.input_price, charge.cached_input_price, charge.output_price, charge.cost),
    )
    return cost


def capture(*, reference: str, description: str, max_charge: int | None) -> int:
    """Micro-units charged, by this call or an earlier one."""
    charged: int = _call("ledger_capture", reference, new_id(), new_id(), description[:200], max_charge)
    return charged


def release(*, reference: str) -> bool:
    """Whether this call released the hold."""
    released: bool = _call("ledger_release", reference)
    return released


def transfer(
    *,
    workspace_id: UUID,
    kind: str,
    direction: str,
    amount: int,
    key: str,
    reference: str = "",
    description: str = "",
    expires_at: datetime | None = None,
    priority: int = 0,
) -> UUID:
    """The id of the transfer, made by this call or an earlier one with the same key."""
    transfer_id: UUID = _call(
        "ledger_transfer",
        *(workspace_id, new_id(), kind, direction, _positive(amount), key, reference, description[:200]),
        *(expires_at, priority),
    )
    return transfer_id


def expire_grant(*, transfer_id: UUID, reference: str, description: str) -> int:
    """Micro-units taken back."""
    expired: int = _call("ledger_expire_grant", transfer_id, new_id(), reference, description[:200])
    return expired


def _positive(amount: int) -> int:
    if not 0 < amount <= MAX_AMOUNT:
        raise InvalidAmount
    return amount


def _call(function: str, *arguments: UUID | Decimal | datetime | int | str | None) -> Any:
    places = ", ".join(["%s"] * len(arguments))
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {function}({places})", arguments)
            return cursor.fetchone()[0]
    except DatabaseError as error:
        _refuse(error)


def _refuse(error: DatabaseError) -> NoReturn:
    """Raise the domain error of a refusal by the ledger; any other error is a bug and is raised unchanged."""
    diagnosis = getattr(error.__cause__, "diag", None)
    state = getattr(diagnosis, "sqlstate", None) or ""
    if state == "OQ402":
        facts = json.loads(diagnosis.message_detail)  # type: ignore[union-attr]  # Its state was read from it.
        raise InsufficientBalance(
            available=format_money(facts["available"]),
            required=format_money(facts["required"]),
            currency=facts["currency"],
        ) from error
    if refusal := REFUSALS.get(state):
        raise refusal from error
    if getattr(diagnosis, "constraint_name", None) == "transfer_key_unique":
        raise KeyReused from error  # By another wallet; in one wallet, the function finds the earlier transfer.
    raise error
