"""Refusals of accounts."""

from http import HTTPStatus
from typing import ClassVar

from django.utils.translation import gettext

from backend.errors import DomainError, FieldError


class NotAuthenticated(DomainError):
    """Log in, or send a valid access token."""

    code = "not_authenticated"
    status = HTTPStatus.UNAUTHORIZED
    challenge: ClassVar[str] = 'Bearer realm="orquestra", error="invalid_token"'  # RFC 6750 section 3.

    def __init__(self) -> None:
        super().__init__(headers={"WWW-Authenticate": self.challenge})


class NoToken(NotAuthenticated):
    """Log in, or send a valid access token."""

    challenge = 'Bearer realm="orquestra"'


class TokenExpired(NotAuthenticated):
    """The token has expired: refresh it."""

    code = "token_expired"


class SessionRevoked(NotAuthenticated):
    """This log-in has ended: log in again."""

    code = "session_revoked"


class EmailTaken(FieldError):
    """A user is already registered with this email address."""

    def __init__(self) -> None:
        super().__init__("/email", gettext("A user is already registered with this email address."), code="email_taken")


class IdempotencyKeyReused(DomainError):
    """This Idempotency-Key was used for another request."""

    code = "idempotency_key_reused"
    status = HTTPStatus.UNPROCESSABLE_ENTITY


class IdempotencyInProgress(DomainError):
    """The first request with this Idempotency-Key is still running."""

    code = "idempotency_in_progress"
    status = HTTPStatus.CONFLICT
