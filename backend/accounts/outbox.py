"""Queues e-mails for the worker. No response waits for a mail server, or reveals by its time whether one is sent."""

from functools import partial
from typing import Any

from allauth.account import app_settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.utils import translation

from backend.accounts import mail, tasks

KEPT = 6 * 3600  # Seconds that a mail waits for its server; one with a code, no longer than its code is valid.


def post(*, template: str, message: EmailMessage, is_wanted: bool = True) -> None:
    """Queue the message after the commit. An unwanted one takes the same work and is not sent."""
    job = {
        "kind": "message" if is_wanted else "none",
        "template": template,
        "to": message.to[0],
        "subject": message.subject,
        "body": message.body,
    }
    _enqueue(job, seconds=app_settings.LOGIN_BY_CODE_TIMEOUT if template.endswith("_code") else KEPT)


def post_password_reset(*, email: str) -> None:
    """Queue a mail with a link to set a new password. The worker looks the account of the address up."""
    _enqueue({"kind": "password_reset", "to": email, "language": translation.get_language()}, seconds=KEPT)


def _enqueue(job: dict[str, Any], *, seconds: int) -> None:
    transaction.on_commit(partial(_hand_over, job, seconds=seconds))


def _hand_over(job: dict[str, Any], *, seconds: int) -> None:
    tasks.send_mail.delay(mail_id=mail.keep(job, seconds=seconds))
