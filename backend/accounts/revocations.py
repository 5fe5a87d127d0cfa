"""Revocations of access tokens, published in Redis.

An access token is verified without a query, so ending its log-in in the database does not stop it. The revocation is
written to Redis after the commit, for as long as an access token lives, and every request looks its log-in and its user
up with one MGET. Never before the commit: a transaction that rolls back would leave a live log-in refused. A commit
whose publication fails is repaired by ``tasks.repeat_revocations``.
"""

from collections.abc import Iterable
from uuid import UUID

from django.conf import settings
from redis import Redis, RedisError

from backend.db import redis
from backend.errors import ServiceUnavailable


def publish(*, session_ids: Iterable[UUID] = (), user_ids: Iterable[UUID] = ()) -> None:
    """Refuse the access tokens of these log-ins and users from now on. Call it after the commit of the revocation.

    :raises RedisError: nothing was published; ``tasks.repeat_revocations`` does it when Redis is back.
    """
    names = [_session(id) for id in session_ids] + [_user(id) for id in user_ids]
    if not names:
        return
    with _client().pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.set(name, 1, ex=settings.ACCESS_TOKEN_LIFETIME)
        pipeline.execute()


def forget_user(user_id: UUID) -> None:
    """Accept new tokens of the user again. Their ended log-ins stay revoked, each by its own key."""
    _client().delete(_user(user_id))


def is_revoked(*, session_id: UUID, user_id: UUID) -> bool:
    """:raises RedisError: Redis does not answer, so this is not known."""
    return any(_client().mget(_session(session_id), _user(user_id)))


def refuse_without_redis(*, method: str, path: str) -> None:
    """Allow a request while revocations cannot be read, if it only reads and not from ``REVOCATION_REQUIRED_PATHS``.

    :raises ServiceUnavailable: this request needs the revocations.
    """
    if method not in ("GET", "HEAD", "OPTIONS") or path.startswith(settings.REVOCATION_REQUIRED_PATHS):
        raise ServiceUnavailable


def _client() -> "Redis":
    return redis.client()


def _session(id: UUID) -> str:
    return f"rev:sid:{id}"


def _user(id: UUID) -> str:
    return f"rev:sub:{id}"


__all__ = ["RedisError", "forget_user", "is_revoked", "publish", "refuse_without_redis"]
