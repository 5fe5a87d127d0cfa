"""What billing does about news from accounts."""

from typing import Any
from uuid import UUID

from django.dispatch import receiver

from backend.accounts.signals import workspace_created
from backend.billing import operations


@receiver(workspace_created)
def open_wallet(sender: object, *, workspace_id: UUID, **_: Any) -> None:
    """In the transaction that makes the workspace: neither is without the other."""
    operations.open_wallet(workspace_id=workspace_id)
