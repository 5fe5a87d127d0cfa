"""What accounts do when nobody asks."""

from celery import shared_task

from backend.accounts import idempotency, operations
from backend.http import sweeps


@shared_task(ignore_result=True)
def purge() -> None:
    """Forget answers that are no longer replayed and log-ins that ended long ago."""
    sweeps.each([idempotency.purge, operations.purge_sessions], lambda purge: purge(), name="accounts_purge")


@shared_task(ignore_result=True)
def repeat_revocations() -> None:
    """Tell Redis again who was logged out lately: it may have been away, or have lost its memory."""
    operations.repeat_revocations()
