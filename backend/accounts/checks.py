"""Settings of accounts that would make the product unsafe or unable to start."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured

from backend.accounts.hashers import Argon2id
from backend.accounts.keys import key_ring

VERIFICATIONS = ("none", "optional", "mandatory")
SECOND_FACTORS = ("optional", "required")


@register(Tags.security)
def check_keys(**kwargs: Any) -> list[CheckMessage]:
    """A configured key must be valid. ``check --deploy`` and the first log-in refuse a missing one."""
    if not settings.JWT_PRIVATE_KEY and not settings.JWT_PREVIOUS_PUBLIC_KEYS:
        return []
    try:
        key_ring()
    except ImproperlyConfigured as error:
        return [Error(str(error), id="accounts.E001")] if settings.JWT_PRIVATE_KEY else []
    return []


@register(Tags.security)
def check_verification(**kwargs: Any) -> list[CheckMessage]:
    if settings.EMAIL_VERIFICATION not in VERIFICATIONS:
        return [Error(f"EMAIL_VERIFICATION must be one of {', '.join(VERIFICATIONS)}.", id="accounts.E002")]
    return []


@register(Tags.security)
def check_second_factor(**kwargs: Any) -> list[CheckMessage]:
    if settings.OPERATOR_SECOND_FACTOR not in SECOND_FACTORS:
        return [Error(f"OPERATOR_SECOND_FACTOR must be one of {', '.join(SECOND_FACTORS)}.", id="accounts.E005")]
    return []


@register(Tags.security, deploy=True)
def check_production(**kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if not settings.JWT_PRIVATE_KEY:
        hint = "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 makes one."
        found.append(Error("JWT_PRIVATE_KEY is empty: no user can log in.", hint=hint, id="accounts.E003"))
    if settings.PASSWORD_HASHERS[0] != f"{Argon2id.__module__}.{Argon2id.__qualname__}":
        found.append(Error("PASSWORD_HASHERS must begin with our Argon2id.", id="accounts.E004"))
    if settings.EMAIL_BACKEND.rpartition(".")[0].endswith((".filebased", ".console", ".dummy", ".locmem")):
        found.append(Warning("EMAIL_URL names no mail server: e-mails are only written to files.", id="accounts.W001"))
    return found
