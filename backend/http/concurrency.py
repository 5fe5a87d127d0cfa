"""Limits on what one subject (an account, a workspace, an address) does at the same time, counted across processes.

Redis keeps a sorted set of holders per policy and subject; each holder is scored by the time when its lease ends. One
script counts and adds, so that two requests cannot take the same place. A process that is killed releases nothing: its
leases end by themselves. Holds of an event loop are renewed while they last; those of a thread are not, unless it does
it itself, and a hold that outlasts ``seconds`` loses its place to another.

When Redis does not answer, requests pass: reads go on without Redis (writes are refused where revocations are read),
and each process bounds what it does at once by its threads and by the rate that it demands of a client. ``required``
turns this around for work that is too expensive to be left uncounted.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary

from django.conf import settings
from django.http import StreamingHttpResponse
from redis.asyncio import Redis
from redis.exceptions import RedisError

from backend.db.redis import client, in_turn
from backend.http.limits import RateLimited

logger = logging.getLogger(__name__)

LEASE_SECONDS = 60.0
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

    def take(self) -> bool:
        """Whether there was a place, or the hold has its place still; its lease begins anew.

        :raises RedisError: Redis does not answer.
        """
        return bool(client().register_script(TAKE)(**self.arguments))

    def release(self) -> None:
        """Give the place back. Where that fails, its lease ends."""
        try:
            client().zrem(self.key, self.holder)
        except (RedisError, OSError) as error:
            _warn(self, error)

    @property
    def arguments(self) -> dict[str, Any]:
        return {"keys": [self.key], "args": [self.limit, round(self.seconds * 1000), self.holder]}


@contextmanager
def held(policy: str, subject: str, *, limit: int, seconds: float, required: bool = False) -> Iterator[None]:
    """One of ``limit`` places of the subject, while the block runs and for ``seconds`` at most.

    :param policy: what is limited, such as ``uploads``.
    :param required: refuse when Redis does not answer, instead of letting the request pass uncounted.
    :raises RateLimited: every place is taken.
    :raises RedisError: Redis does not answer and ``required`` is set; the edge answers 503.
    """
    hold = Hold.of(policy, subject, limit=limit, seconds=seconds)
    _take(hold, required=required)
    try:
        yield
    finally:
        hold.release()


def _take(hold: Hold, *, required: bool) -> None:
    try:
        taken = hold.take()
    except (RedisError, OSError) as error:
        if required:
            raise
        _warn(hold, error)
    else:
        if not taken:
            raise refusal()


def while_sent(
    response: StreamingHttpResponse, policy: str, subject: str, *, limit: int, seconds: float = LEASE_SECONDS
) -> StreamingHttpResponse:
    """The response, which has one of ``limit`` places of the subject until it is sent or its client has gone.

    Its blocks renew the lease, so that between two of them no more than ``seconds`` may pass.

    :raises RateLimited: every place is taken; what the response would be read from is closed.
    """
    hold = Hold.of(policy, subject, limit=limit, seconds=seconds)
    try:
        _take(hold, required=False)
    except BaseException:  # Its resources alone are closed: the request goes on, with a refusal.
        for close in response._resource_closers:  # type: ignore[attr-defined]  # Not in the stubs.
            close()
        raise
    blocks: Any = response.streaming_content
    response.streaming_content = _renewing(blocks, hold)
    response._resource_closers.append(hold.release)  # type: ignore[attr-defined]  # As FileResponse does.
    return response


def _renewing(blocks: Iterable[bytes], hold: Hold) -> Iterator[bytes]:
    renewed = time.monotonic()
    for block in blocks:
        if time.monotonic() - renewed > hold.seconds / 3:
            renewed = time.monotonic()
            with suppress(RedisError, OSError):
                hold.take()
        yield block


@asynccontextmanager
async def held_async(
    policy: str, subject: str, *, limit: int, seconds: float = LEASE_SECONDS, required: bool = False
) -> AsyncIterator[None]:
    """As ``held``, in an event loop, for as long as the block runs: the lease is renewed meanwhile."""
    hold = await _take_async(policy, subject, limit=limit, seconds=seconds, required=required)
    try:
        yield
    finally:  # In a task of its own: the holder may be cancelled again before Redis has answered.
        await asyncio.shield(_released(hold))


async def while_streamed(response: StreamingHttpResponse, user_id: str) -> StreamingHttpResponse:
    """The event stream, which has one of the user's STREAMS_PER_USER places until it is closed.

    :raises RateLimited: every place is taken.
    """
    hold = await _take_async("streams", user_id, limit=settings.STREAMS_PER_USER, seconds=LEASE_SECONDS)
    response._resource_closers.append(lambda: _released(hold))  # type: ignore[attr-defined]  # Not in the stubs.
    return response


async def _take_async(policy: str, subject: str, *, limit: int, seconds: float, required: bool = False) -> Hold:
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
    _renewer().add(hold)
    return hold


def _released(hold: Hold) -> "asyncio.Task[None]":
    """Renewed no longer from now on, and soon released; the task is that of the release."""
    renewer = _renewer()
    renewer.holds.discard(hold)
    task = asyncio.get_running_loop().create_task(_release(hold))
    renewer.releases.add(task)
    task.add_done_callback(renewer.releases.discard)
    return task


class _Renewer:
    """Renews the leases of one event loop's holds, all together; sleeps while there are none."""

    def __init__(self) -> None:
        self.holds: set[Hold] = set()
        self.releases: set[asyncio.Task[None]] = set()  # Kept from the garbage collector.
        self._task: asyncio.Task[None] | None = None

    def add(self, hold: Hold) -> None:
        self.holds.add(hold)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(min((hold.seconds for hold in self.holds), default=LEASE_SECONDS) / 3)
            if not self.holds:
                return
            try:
                await in_turn(self._renew)
            except (RedisError, OSError) as error:
                logger.warning("holds_not_renewed count=%s error=%s", len(self.holds), error)

    async def _renew(self, redis: "Redis") -> None:
        """A hold whose lease ended meanwhile, while Redis was away, takes its place again, if there is one."""
        pipeline = redis.pipeline(transaction=False)
        for hold in self.holds:
            pipeline.eval(TAKE, 1, hold.key, *hold.arguments["args"])
        await pipeline.execute()


_renewers: WeakKeyDictionary[asyncio.AbstractEventLoop, _Renewer] = WeakKeyDictionary()


def _renewer() -> _Renewer:
    return _renewers.setdefault(asyncio.get_running_loop(), _Renewer())


def refusal() -> RateLimited:
    return RateLimited(headers={"Retry-After": str(RETRY_SECONDS)})


async def _release(hold: Hold) -> None:
    try:
        await in_turn(lambda redis: redis.zrem(hold.key, hold.holder))
    except (RedisError, OSError) as error:
        _warn(hold, error)


def _warn(hold: Hold, error: Exception) -> None:
    logger.warning("hold_not_counted key=%s error=%s", hold.key, error)
