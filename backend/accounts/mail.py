"""The store of e-mails between the request that makes them and the worker that sends them.

A mail may carry a code that logs its reader in. So it is kept in Redis under a random name that expires, and the task
queue and the logs hold that name alone.
"""

import json
import logging
from email.utils import parseaddr
from typing import Any
from uuid import uuid4

from allauth.account.forms import default_token_generator
from allauth.account.utils import user_pk_to_url_str
from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.utils import translation

from backend.accounts import queries
from backend.accounts.models import User
from backend.db import redis

logger = logging.getLogger(__name__)

PASSWORD_RESET = "account/email/password_reset_key"  # noqa: S105 — a template.


def site() -> dict[str, str]:
    """Name and address of the product in mails: the sender's, never the host of a request, which a client chooses."""
    name, address = parseaddr(settings.DEFAULT_FROM_EMAIL)
    return {"name": name or address, "domain": settings.FRONTEND_URL}


def keep(job: dict[str, Any], *, seconds: int) -> str:
    """Store a mail for so many seconds; returns its name, for ``deliver``.

    :param job: ``kind`` is ``message`` (with ``template``, ``to``, ``subject`` and ``body``), ``password_reset`` (with
        ``to`` and ``language``: the worker looks the account up) or ``none``, which is not sent.
    """
    name = uuid4().hex
    redis.client().set(_key(name), json.dumps(job), ex=seconds)
    return name


def deliver(name: str) -> None:
    """Send the mail of this name and delete it. A missing one was sent already or has expired.

    :raises OSError: the mail server did not take it; ``smtplib.SMTPException`` is one.
    """
    kept = redis.client().get(_key(name))
    if kept is None:
        logger.warning("mail_not_found", extra={"mail": name})
        return
    message = _message(json.loads(kept))
    if message is not None:
        message.send()
    forget(name)


def forget(name: str) -> None:
    redis.client().delete(_key(name))


def _key(name: str) -> str:
    return f"mail:{name}"


def _message(job: dict[str, Any]) -> EmailMessage | None:
    if job["kind"] == "message":
        return EmailMessage(job["subject"], job["body"], settings.DEFAULT_FROM_EMAIL, [job["to"]])
    if job["kind"] == "password_reset":
        owner = queries.owner_of_email(job["to"])
        if owner is not None and owner.is_active:
            return _password_reset(owner, job["to"], job["language"])
    return None


def _password_reset(user: User, to: str, language: str) -> EmailMessage:
    key = f"{user_pk_to_url_str(user)}-{default_token_generator.make_token(user)}"
    url = settings.HEADLESS_FRONTEND_URLS["account_reset_password_from_key"].format(key=key)
    context = {"user": user, "email": to, "password_reset_url": url, "current_site": site()}
    with translation.override(language):
        subject = " ".join(render_to_string(f"{PASSWORD_RESET}_subject.txt", context).split())
        body = render_to_string(f"{PASSWORD_RESET}_message.txt", context).strip()
    return EmailMessage(subject, body, settings.DEFAULT_FROM_EMAIL, [to])
