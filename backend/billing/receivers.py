"""Receivers of the signals of accounts: wallets of new workspaces, and the sign-up credit."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.dispatch import receiver

from backend.accounts import queries
from backend.accounts.signals import primary_verified, workspace_created
from backend.billing import operations


@receiver(workspace_created)
def open_wallet(sender: object, *, workspace_id: UUID, owner_id: UUID, **_: Any) -> None:
    """In the transaction that makes the workspace: neither is without the other.

    The sign-up credit is given here where addresses are not verified, or where an operator made a verified account.
    """
    operations.open_wallet(workspace_id=workspace_id)
    if settings.EMAIL_VERIFICATION == "none" or queries.has_verified_primary(owner_id):
        operations.give_sign_up_credit(workspace_id=workspace_id, email=queries.email_of(owner_id))


@receiver(primary_verified)
def give_sign_up_credit(sender: object, *, user_id: UUID, email: str, **_: Any) -> None:
    """In the transaction that verifies the address."""
    operations.give_sign_up_credit(workspace_id=queries.personal_workspace_id(user_id), email=email)
