"""Tasks of accounts: purges, repeated revocations, sending mails."""

import logging
from typing import Any

from celery import shared_task

from backend.accounts import idempotency, mail, operations
from backend.db import sweeps

logger = logging.getLogger(__name__)

MAIL_RETRIES = 10  # About an hour and a half in all; the stored mail expires by itself.


@shared_task(ignore_result=True)
def purge() -> None:
    """Delete responses that are no longer replayed and log-ins that ended long ago."""
    sweeps.each([idempotency.purge, operations.purge_sessions], lambda purge: purge(), name="accounts_purge")


@shared_task(ignore_result=True)
def repeat_revocations() -> None:
    """Publish recent revocations again: Redis may have been down, or have lost its data."""
    operations.repeat_revocations()


@shared_task(bind=True, ignore_result=True, max_retries=MAIL_RETRIES)
def send_mail(self: Any, *, mail_id: str) -> None:
    """Send one mail, with retries while the server refuses it. Error texts name the receiver: they are not logged."""
    try:
        mail.deliver(mail_id)
        return
    except OSError as error:  # smtplib's errors are of this kind too.
        attempt, kind = self.request.retries, type(error).__name__
    if attempt >= MAIL_RETRIES:
        logger.error("mail_failed", extra={"mail": mail_id, "error": kind})
        mail.forget(mail_id)
        return
    logger.warning("mail_delayed", extra={"mail": mail_id, "error": kind, "attempt": attempt})
    raise self.retry(countdown=min(900, 3 * 2**attempt))
