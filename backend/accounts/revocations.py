"""Ended log-ins, told to every process through Redis for as long as an access token can outlive them."""

from collections.abc import Iterable
from uuid import UUID

from django.conf import settings
from redis import Redis, RedisError

from backend.db import redis
from backend.errors import ServiceUnavailable


def announce(*, session_ids: Iterable[UUID] = (), user_ids: Iterable[UUID] = ()) -> None:
    """Refuse these access tokens from now on. Call it once the database has the revocation.

    :raises RedisError: nobody was told; ``tasks.repeat_revocations`` tells them when Redis is back.
    """
    names = [_session(id) for id in session_ids] + [_user(id) for id in user_ids]
    if not names:
        return
    with _client().pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.set(name, 1, ex=settings.ACCESS_TOKEN_LIFETIME)
        pipeline.execute()


def forget_user(user_id: UUID) -> None:
    """The user may log in again; their ended sessions stay ended, each by its own name."""
    _client().delete(_user(user_id))


def is_revoked(*, session_id: UUID, user_id: UUID) -> bool:
    """:raises RedisError: nobody can tell."""
    return any(_client().mget(_session(session_id), _user(user_id)))


def refuse_without_redis(*, method: str, path: str) -> None:
    """What may be answered while revocations cannot be read: reads, but none of money.

    :raises ServiceUnavailable: this must wait.
    """
    if method not in ("GET", "HEAD", "OPTIONS") or path.startswith(settings.REVOCATION_REQUIRED_PATHS):
        raise ServiceUnavailable


def _client() -> "Redis":
    return redis.client()


def _session(id: UUID) -> str:
    return f"rev:sid:{id}"


def _user(id: UUID) -> str:
    return f"rev:sub:{id}"


__all__ = ["RedisError", "announce", "forget_user", "is_revoked", "refuse_without_redis"]
