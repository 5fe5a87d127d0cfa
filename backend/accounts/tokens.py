"""Access and refresh tokens: simplejwt's tokens, signed by our keys. The header's ``typ`` names the kind."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, lru_cache
from time import time
from typing import Any, ClassVar, Self
from uuid import UUID

import jwt
from django.conf import settings
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import (
    ExpiredTokenError,
    TokenBackendError,
    TokenBackendExpiredToken,
    TokenError,
)
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import Token

from backend.accounts.errors import NotAuthenticated, TokenExpired
from backend.accounts.keys import KeyRing, key_ring
from backend.accounts.models import Session, User
from backend.errors import NotFound
from backend.http import ids

MAX_TOKEN_LENGTH = 4096  # Characters; ours have about 900.


class SigningBackend(TokenBackend):
    """simplejwt's backend with ``kid`` and ``typ`` in the header, and key rotation."""

    def __init__(self, typ: str, services: Collection[str]) -> None:
        """
        :param services: those that tokens of this kind are for.
        """
        super().__init__("RS256", audience=[settings.JWT_AUDIENCE, *services], issuer=settings.JWT_ISSUER)
        self.typ = typ
        self.known = frozenset({settings.JWT_AUDIENCE, *services})
        self.needed = {settings.JWT_AUDIENCE, *(set(services) & set(settings.SERVICES))}

    def encode(self, payload: dict[str, Any]) -> str:
        keys = key_ring()
        claims = {**payload, "aud": self.audience, "iss": self.issuer}
        return jwt.encode(claims, keys.private, algorithm="RS256", headers={"typ": self.typ, "kid": keys.kid})

    def decode(self, token: Any, verify: bool = True) -> dict[str, Any]:
        if len(token) > MAX_TOKEN_LENGTH:
            raise TokenBackendError("Token is invalid")
        payload = _verified(token, self.typ, self.known, str(self.issuer), key_ring())
        if int(payload["exp"]) <= time():
            raise TokenBackendExpiredToken("Token is expired")
        named = payload["aud"]
        if not isinstance(named, list) or not self.needed <= set(named) <= self.known:
            raise TokenBackendError("Token is invalid")
        return dict(payload)


@lru_cache(maxsize=1024)
def _verified(token: Any, typ: str, audience: frozenset[str], issuer: str, keys: KeyRing) -> dict[str, Any]:
    """The claims of a token whose header, signature and required claims are good.

    Cached for the most recent tokens, since clients send each one many times; refusals are not cached. The callers
    check the expiry and the revocation, which change while a token is cached.
    """
    try:
        header = jwt.get_unverified_header(token)
        key = keys.public.get(header.get("kid", ""))
        if key is None or header.get("typ") != typ:
            raise TokenBackendError("Token is invalid")
        return jwt.decode(
            token,
            key,
            algorithms=["RS256"],
            audience=audience,
            issuer=issuer,
            options={
                "require": ["iss", "aud", "sub", "sid", "jti", "iat", "exp"],
                "verify_iat": False,  # Another server's clock may be a second ahead.
            },
        )
    except jwt.ExpiredSignatureError as error:
        raise TokenBackendExpiredToken("Token is expired") from error
    except (jwt.InvalidTokenError, RecursionError) as error:  # JSON nested too deep ends in the latter.
        raise TokenBackendError("Token is invalid") from error


class SessionToken(Token):
    """A token of a ``Session``. Its kind is in the header, which a verifier checks before it trusts a claim."""

    typ: ClassVar[str]
    services: ClassVar[Collection[str]]

    def __init__(self, token: Any = None, verify: bool = True) -> None:
        super().__init__(token, verify)
        self.payload.pop(api_settings.TOKEN_TYPE_CLAIM, None)

    @cached_property
    def token_backend(self) -> TokenBackend:
        return SigningBackend(self.typ, self.services)

    def verify(self) -> None:
        """The backend has checked ``typ`` and every claim already."""

    @classmethod
    def of(cls, session: Session) -> Self:
        token = cls()
        token["sub"] = ids.encode(User.id_prefix, session.user_id)
        token["sid"] = session.public_id
        return token

    @classmethod
    def read(cls, raw: Any) -> Self:
        """The verified token.

        :raises TokenExpired: it is one of ours and has expired.
        :raises NotAuthenticated: it is no valid token of this kind.
        """
        try:
            token = cls(raw)
            token.user_id, token.session_id  # noqa: B018 — a malformed id is refused here, not at its first use.
        except ExpiredTokenError as error:
            raise TokenExpired from error
        except (TokenError, NotFound) as error:
            raise NotAuthenticated from error
        return token

    @cached_property
    def user_id(self) -> UUID:
        return ids.decode(User.id_prefix, self["sub"])

    @cached_property
    def session_id(self) -> UUID:
        return ids.decode(Session.id_prefix, self["sid"])


class AccessToken(SessionToken):
    """Authenticates requests of the API for ten minutes."""

    typ = "at+jwt"
    services = settings.EVERY_SERVICE
    token_type = "access"  # noqa: S105 — a kind.
    lifetime: timedelta = settings.ACCESS_TOKEN_LIFETIME

    @classmethod
    def of(cls, session: Session) -> Self:
        token = super().of(session)
        token["amr"] = session.amr
        return token


class RefreshToken(SessionToken):
    """Exchanged for the next pair of tokens, once: it is valid for one generation of its session."""

    typ = "rt+jwt"
    services = ("accounts",)
    token_type = "refresh"  # noqa: S105 — a kind.
    lifetime: timedelta = settings.REFRESH_TOKEN_LIFETIME

    @classmethod
    def of(cls, session: Session) -> Self:
        token = super().of(session)
        token["gen"] = session.generation
        token.payload["exp"] = int(session.expires_at.timestamp())
        return token

    @property
    def generation(self) -> int:
        return int(self["gen"])


@dataclass(frozen=True, slots=True)
class TokenPair:
    access_token: str
    refresh_token: str
    access_expires_at: datetime


def issue(session: Session) -> TokenPair:
    """The tokens of the session's current generation."""
    access = AccessToken.of(session)
    return TokenPair(
        access_token=str(access),
        refresh_token=str(RefreshToken.of(session)),
        access_expires_at=access.current_time + AccessToken.lifetime,
    )
