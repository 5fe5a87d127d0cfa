"""Writes of billing: holds, usage, charges, grants. Amounts in micro-units of the wallet's currency.

Each call is one atomic statement and may be repeated. Within a transaction of the caller it becomes part of that one.
"""

import hashlib
import logging
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from backend.billing import ledger, pricing
from backend.billing.errors import KeyReused
from backend.billing.models import CREDIT_EXPIRED, SIGN_UP_CREDIT, CreditGrant, Hold, Transfer
from backend.db import sweeps
from backend.http import mailboxes
from backend.http.ids import encode
from backend.http.money import parse_money
from backend.llm.catalog import Model

logger = logging.getLogger(__name__)

BATCH = 1000  # Rows of one sweep.

SIGN_UP_KEY = "sign-up:"  # Prefix of the keys of sign-up credits.


def open_wallet(*, workspace_id: UUID) -> None:
    """Give a new workspace its wallet."""
    ledger.open_wallet(workspace_id=workspace_id, currency=settings.CURRENCY)


@transaction.atomic
def give_sign_up_credit(*, workspace_id: UUID, email: str) -> None:
    """Give the sign-up credit, once per workspace and once per mailbox, whichever accounts have had the mailbox.

    Without EMAIL_VERIFICATION any text can be an address. With it, spellings that reach one mailbox, such as
    ``ana+1@…``, count as one: otherwise one person could verify any number of them.

    :param email: canonical.
    """
    credit = parse_money(settings.SIGNUP_CREDIT)
    given = Transfer.objects.filter(wallet__workspace_id=workspace_id, key__startswith=SIGN_UP_KEY)
    if credit <= 0 or given.exists():
        return
    mailbox = email if settings.EMAIL_VERIFICATION == "none" else mailboxes.without_tag(email)
    key = SIGN_UP_KEY + hashlib.sha256(mailbox.encode()).hexdigest()
    try:
        with transaction.atomic():
            grant(workspace_id=workspace_id, amount=credit, description=SIGN_UP_CREDIT, key=key)
    except KeyReused:  # By another workspace, or when the credit was another amount.
        logger.info("sign_up_credit_given_before", extra={"workspace": str(workspace_id)})


def reserve(*, workspace_id: UUID, amount: int, reference: str, expires_at: datetime) -> None:
    """Set money aside for work whose price is known when it ends. An amount of 0 sets nothing aside.

    :param expires_at: when the sweeper releases a hold that no worker ended; far beyond the time-out of the work.
    :raises InsufficientBalance: less than that is available.
    :raises KeyReused: the reference holds another amount, or in another wallet.
    :raises ReferenceClosed: the hold of this reference has ended.
    """
    if amount == 0:
        return
    ledger.reserve(workspace_id=workspace_id, amount=amount, reference=reference, expires_at=expires_at)


def record_usage(
    *,
    workspace_id: UUID,
    user_id: UUID | None,
    agent_id: UUID | None,
    reference: str,
    attempt: int,
    step: int,
    model: Model,
    input_tokens: int,
    cached_input_tokens: int,
    output_tokens: int,
    api_key_id: UUID | None = None,
) -> Decimal:
    """Record one request to a provider, at the prices of ``model``. Returns its exact cost in currency units.

    ``input_tokens`` includes the cached ones. Repeating a step returns the cost that was recorded first.

    :raises ModelUnpriced: the model has no price.
    :raises KeyReused: the step was recorded with another usage.
    :raises ReferenceClosed: the reference was captured without this step.
    """
    return ledger.record_usage(
        workspace_id=workspace_id,
        reference=reference,
        attempt=attempt,
        step=step,
        user_id=user_id,
        agent_id=agent_id,
        api_key_id=api_key_id,
        model=model.id,
        provider=model.provider,
        charge=pricing.charge(
            model,
            input_tokens=input_tokens,
            cached_input_tokens=cached_input_tokens,
            output_tokens=output_tokens,
        ),
    )


def capture(*, reference: str, description: str, max_charge: int | None = None) -> int:
    """Charge what the reference used, rounded up once, and release the rest of its hold.

    Usage is what is owed, so a hold that was released or has expired is charged as well. What the wallet cannot cover,
    and what exceeds ``max_charge``, is recorded as the hold's shortfall.

    :param max_charge: the limit, in micro-units, that the caller agreed to with the customer.
    :return: the micro-units charged. A repeated call charges nothing and returns the same amount.
    """
    return ledger.capture(reference=reference, description=description, max_charge=max_charge)


def release(*, reference: str) -> None:
    """Release the hold of work that will not be done. Without an open hold this does nothing."""
    ledger.release(reference=reference)


def grant(
    *,
    workspace_id: UUID,
    amount: int,
    description: str,
    key: str,
    expires_at: datetime | None = None,
    priority: int = 0,
) -> None:
    """Give credit, once per key. Credit is spent before paid money, the soonest-expiring first.

    :raises KeyReused: the key moved something else.
    """
    ledger.transfer(
        workspace_id=workspace_id,
        kind=Transfer.Kind.GRANT,
        direction=Transfer.Direction.CREDIT,
        amount=amount,
        key=key,
        description=description,
        expires_at=expires_at,
        priority=priority,
    )


def adjust(*, workspace_id: UUID, amount: int, description: str, key: str) -> None:
    """Correct a balance by a signed amount, once per key.

    :raises InsufficientBalance: it would take more than is available.
    :raises KeyReused: the key moved something else.
    """
    ledger.transfer(
        workspace_id=workspace_id,
        kind=Transfer.Kind.ADJUSTMENT,
        direction=Transfer.Direction.CREDIT if amount > 0 else Transfer.Direction.DEBIT,
        amount=abs(amount),
        key=key,
        description=description,
    )


def expire_holds() -> int:
    """Release every overdue open hold, each in its own short transaction; returns how many."""
    overdue = Hold.objects.expired(at=timezone.now()).order_by("?")
    return sum(sweeps.each(overdue.values_list("reference", flat=True)[:BATCH], _expire_hold, name="hold_expiry"))


def _expire_hold(reference: str) -> bool:
    released = ledger.release(reference=reference)
    if released:
        logger.warning("hold_expired", extra={"reference": reference})
    return released


def expire_grants() -> int:
    """Expire the rest of each overdue grant; returns the micro-units taken."""
    overdue = CreditGrant.objects.filter(unspent=True, expires_at__lte=timezone.now()).order_by("?")
    return sum(sweeps.each(overdue.values_list("pk", flat=True)[:BATCH], _expire_grant, name="grant_expiry"))


def _expire_grant(transfer_id: UUID) -> int:
    reference = encode(Transfer.id_prefix, transfer_id)
    return ledger.expire_grant(transfer_id=transfer_id, reference=reference, description=CREDIT_EXPIRED)
