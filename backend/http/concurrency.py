"""Limits on what one subject (an account, a workspace, an address) does at the same time, counted across processes.

Redis keeps a sorted set of slots per policy and subject; the score of each is the time when its lease expires. One
script counts and adds, so that two requests cannot take the same slot. A process that is killed releases nothing: its
leases expire. The slots of an event loop are renewed until they are released. Those of a thread are not, unless the
thread renews them itself, and another request may take a slot that is held for longer than ``seconds``.

When Redis does not answer, requests pass: reads go on without Redis (writes are refused where revocations are read),
and each process limits its concurrent work by its threads and by the minimum rate of clients. With ``required``, for
work that is too expensive to stay uncounted, they are refused instead.
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

from backend.db.redis import client, run_limited
from backend.http.limits import RateLimited

logger = logging.getLogger(__name__)

LEASE_SECONDS = 60.0
RETRY_SECONDS = 2  # The Retry-After of a refused client. When a slot will be free is not known.

# KEYS: the slots. ARGV: the limit, the lease in milliseconds, the slot's id. Returns whether the id has a slot.
ACQUIRE = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) and not redis.call('ZSCORE', KEYS[1], ARGV[3]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[3])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1
"""


@dataclass(frozen=True, slots=True)
class Slot:
    """One of the ``limit`` slots under ``key``, acquired or not."""

    key: str
    limit: int
    seconds: float
    id: str

    @classmethod
    def of(cls, policy: str, subject: str, *, limit: int, seconds: float) -> "Slot":
        digest = hashlib.sha256(subject.encode()).hexdigest()[:32]
        return cls(f"held:{policy}:{digest}", limit, seconds, uuid4().hex)

    def acquire(self) -> bool:
        """Acquire the slot, or renew its lease. Returns False when all slots are taken.

        :raises RedisError: Redis does not answer.
        """
        return bool(client().register_script(ACQUIRE)(**self.arguments))

    def release(self) -> None:
        """Free the slot. Where that fails, its lease expires."""
        try:
            client().zrem(self.key, self.id)
        except (RedisError, OSError) as error:
            _warn(self, error)

    @property
    def arguments(self) -> dict[str, Any]:
        return {"keys": [self.key], "args": [self.limit, round(self.seconds * 1000), self.id]}


@contextmanager
def hold_slot(policy: str, subject: str, *, limit: int, seconds: float, required: bool = False) -> Iterator[None]:
    """Hold one of the subject's ``limit`` slots while the block runs, and for ``seconds`` at most.

    :param policy: what is limited, such as ``uploads``.
    :param required: refuse when Redis does not answer, instead of letting the request pass uncounted.
    :raises RateLimited: all slots are taken.
    :raises RedisError: Redis does not answer and ``required`` is set; the client gets 503.
    """
    slot = acquire_slot(policy, subject, limit=limit, seconds=seconds, required=required)
    try:
        yield
    finally:
        slot.release()


def acquire_slot(
    policy: str, subject: str, *, limit: int, seconds: float = LEASE_SECONDS, required: bool = False
) -> Slot:
    """Acquire one of the subject's slots. The caller releases it, or an event loop keeps it: ``keep_slot``, or
    ``renew_slot`` and ``start_release``.

    :raises RateLimited: all slots are taken.
    :raises RedisError: Redis does not answer and ``required`` is set.
    """
    slot = Slot.of(policy, subject, limit=limit, seconds=seconds)
    _acquire(slot, required=required)
    return slot


@asynccontextmanager
async def keep_slot(slot: Slot) -> AsyncIterator[None]:
    """Renew a slot that a thread has acquired, in an event loop, while the block runs; then release it."""
    renew_slot(slot)
    try:
        yield
    finally:  # In a task of its own: this one may be cancelled again before Redis has answered.
        await asyncio.shield(start_release(slot))


def _acquire(slot: Slot, *, required: bool) -> None:
    try:
        acquired = slot.acquire()
    except (RedisError, OSError) as error:
        if required:
            raise
        _warn(slot, error)
    else:
        if not acquired:
            raise no_free_slot()


def hold_slot_while_sent(
    response: StreamingHttpResponse, policy: str, subject: str, *, limit: int, seconds: float = LEASE_SECONDS
) -> StreamingHttpResponse:
    """Return the response, holding one of the subject's slots until it is sent or its client disconnects.

    Each block renews the lease, so that no more than ``seconds`` may pass between two of them.

    :raises RateLimited: all slots are taken; the file or generator behind the response is closed.
    """
    slot = Slot.of(policy, subject, limit=limit, seconds=seconds)
    try:
        _acquire(slot, required=False)
    except BaseException:  # Close its resources alone: the request goes on, with an error response.
        for close in response._resource_closers:  # type: ignore[attr-defined]  # Not in the stubs.
            close()
        raise
    blocks: Any = response.streaming_content
    response.streaming_content = _with_renewals(blocks, slot)
    response._resource_closers.append(slot.release)  # type: ignore[attr-defined]  # As FileResponse does.
    return response


def _with_renewals(blocks: Iterable[bytes], slot: Slot) -> Iterator[bytes]:
    renewed = time.monotonic()
    for block in blocks:
        if time.monotonic() - renewed > slot.seconds / 3:
            renewed = time.monotonic()
            with suppress(RedisError, OSError):
                slot.acquire()
        yield block


@asynccontextmanager
async def hold_slot_async(
    policy: str, subject: str, *, limit: int, seconds: float = LEASE_SECONDS, required: bool = False
) -> AsyncIterator[None]:
    """As ``hold_slot``, in an event loop, for as long as the block runs: the lease is renewed."""
    async with keep_slot(await _acquire_async(policy, subject, limit=limit, seconds=seconds, required=required)):
        yield


async def hold_stream_slot(response: StreamingHttpResponse, user_id: str) -> StreamingHttpResponse:
    """Return the event stream, holding one of the user's STREAMS_PER_USER slots until it is closed.

    :raises RateLimited: all slots are taken.
    """
    slot = await _acquire_async("streams", user_id, limit=settings.STREAMS_PER_USER, seconds=LEASE_SECONDS)
    response._resource_closers.append(lambda: start_release(slot))  # type: ignore[attr-defined]  # Not in the stubs.
    return response


async def _acquire_async(policy: str, subject: str, *, limit: int, seconds: float, required: bool = False) -> Slot:
    slot = Slot.of(policy, subject, limit=limit, seconds=seconds)
    try:
        acquired = bool(await run_limited(lambda redis: redis.register_script(ACQUIRE)(**slot.arguments)))
    except (RedisError, OSError) as error:
        if required:
            raise
        _warn(slot, error)
        acquired = True
    except asyncio.CancelledError:  # The client left: Redis may have given the slot, and its reply is lost.
        start_release(slot)
        raise
    if not acquired:
        raise no_free_slot()
    renew_slot(slot)
    return slot


def renew_slot(slot: Slot) -> None:
    """Renew the slot's lease in this event loop, until ``start_release``."""
    _renewer().add(slot)


def start_release(slot: Slot) -> "asyncio.Task[None]":
    """Stop renewing the slot and release it. Returns the task of the release."""
    renewer = _renewer()
    renewer.slots.discard(slot)
    task = asyncio.get_running_loop().create_task(_release(slot))
    renewer.releases.add(task)
    task.add_done_callback(renewer.releases.discard)
    return task


class _Renewer:
    """Renews the leases of all slots of one event loop together; its task ends when there are none."""

    def __init__(self) -> None:
        self.slots: set[Slot] = set()
        self.releases: set[asyncio.Task[None]] = set()  # Kept from the garbage collector.
        self._task: asyncio.Task[None] | None = None

    def add(self, slot: Slot) -> None:
        self.slots.add(slot)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(min((slot.seconds for slot in self.slots), default=LEASE_SECONDS) / 3)
            if not self.slots:
                return
            try:
                await run_limited(self._renew)
            except (RedisError, OSError) as error:
                logger.warning("slots_not_renewed count=%s error=%s", len(self.slots), error)

    async def _renew(self, redis: "Redis") -> None:
        """A slot whose lease expired while Redis was away is acquired again, if there is a free one."""
        pipeline = redis.pipeline(transaction=False)
        for slot in self.slots:
            pipeline.eval(ACQUIRE, 1, slot.key, *slot.arguments["args"])
        await pipeline.execute()


_renewers: WeakKeyDictionary[asyncio.AbstractEventLoop, _Renewer] = WeakKeyDictionary()


def _renewer() -> _Renewer:
    return _renewers.setdefault(asyncio.get_running_loop(), _Renewer())


def no_free_slot() -> RateLimited:
    return RateLimited(headers={"Retry-After": str(RETRY_SECONDS)})


async def _release(slot: Slot) -> None:
    try:
        await run_limited(lambda redis: redis.zrem(slot.key, slot.id))
    except (RedisError, OSError) as error:
        _warn(slot, error)


def _warn(slot: Slot, error: Exception) -> None:
    logger.warning("slot_not_counted key=%s error=%s", slot.key, error)
