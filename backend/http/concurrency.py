"""Limits on what one subject (an account, a workspace, an address) does at the same time, counted across processes.

Redis keeps a sorted set of holders per policy and subject; each holder is scored by the time when its lease ends. One
script counts and adds, so that two requests cannot take the same place. A process that is killed releases nothing: its
leases end by themselves. What can outlast ``seconds`` renews its hold; without that its place is given to another.

When Redis does not answer, requests pass: reads go on without Redis (writes are refused where revocations are read),
and each process bounds what it does at once by its threads and by the rate that it demands of a client. ``required``
turns this around for work that is too expensive to be left uncounted.
"""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from redis.exceptions import RedisError

from backend.http.limits import RateLimited
from backend.http.redis import client, in_turn

logger = logging.getLogger(__name__)

RETRY_SECONDS = 2  # When a place may be free cannot be known; this is what a refused client is asked to wait.

# KEYS: the holders. ARGV: the limit, the lease in milliseconds, the holder. Returns whether the holder has a place.
TAKE = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) and not redis.call('ZSCORE', KEYS[1], ARGV[3]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[3])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1
"""


@dataclass(frozen=True, slots=True)
class Hold:
    """A place of one holder, whether or not it has been taken."""

    key: str
    limit: int
    seconds: float
    holder: str

    @classmethod
    def of(cls, policy: str, subject: str, *, limit: int, seconds: float) -> "Hold":
        digest = hashlib.sha256(subject.encode()).hexdigest()[:32]
        return cls(f"held:{policy}:{digest}", limit, seconds, uuid4().hex)

    @property
    def arguments(self) -> dict[str, Any]:
        return {"keys": [self.key], "args": [self.limit, round(self.seconds * 1000), self.holder]}

    async def renew(self) -> None:
        """Let the lease begin anew. Failures are logged: the work goes on, uncounted at worst."""
        try:
            await in_turn(lambda redis: redis.register_script(TAKE)(**self.arguments))
        except (RedisError, OSError) as error:
            _warn(self, error)


@contextmanager
def held(policy: str, subject: str, *, limit: int, seconds: float, required: bool = False) -> Iterator[None]:
    """One of ``limit`` places of the subject, while the block runs and for ``seconds`` at most.

    :param policy: what is limited, such as ``uploads``.
    :param required: refuse when Redis does not answer, instead of letting the request pass uncounted.
    :raises RateLimited: every place is taken.
    :raises RedisError: Redis does not answer and ``required`` is set; the edge answers 503.
    """
    hold = Hold.of(policy, subject, limit=limit, seconds=seconds)
    try:
        taken = bool(client().register_script(TAKE)(**hold.arguments))
    except (RedisError, OSError) as error:
        if required:
            raise
        _warn(hold, error)
        taken = True
    if not taken:
        raise refusal()
    try:
        yield
    finally:
        try:
            client().zrem(hold.key, hold.holder)
        except (RedisError, OSError) as error:
            _warn(hold, error)


@asynccontextmanager
async def held_async(
    policy: str, subject: str, *, limit: int, seconds: float, required: bool = False
) -> AsyncIterator[Hold]:
    """As ``held``, in an event loop; what lasts longer than ``seconds`` awaits ``renew()`` of the hold in time."""
    hold = Hold.of(policy, subject, limit=limit, seconds=seconds)
    try:
        taken = bool(await in_turn(lambda redis: redis.register_script(TAKE)(**hold.arguments)))
    except (RedisError, OSError) as error:
        if required:
            raise
        _warn(hold, error)
        taken = True
    if not taken:
        raise refusal()
    try:
        yield hold
    finally:  # In a task of its own: the holder may be cancelled again before Redis has answered.
        releasing = asyncio.ensure_future(_release(hold))
        await asyncio.shield(releasing)


def refusal() -> RateLimited:
    return RateLimited(headers={"Retry-After": str(RETRY_SECONDS)})


async def _release(hold: Hold) -> None:
    try:
        await in_turn(lambda redis: redis.zrem(hold.key, hold.holder))
    except (RedisError, OSError) as error:
        _warn(hold, error)


def _warn(hold: Hold, error: Exception) -> None:
    logger.warning("hold_not_counted key=%s error=%s", hold.key, error)
