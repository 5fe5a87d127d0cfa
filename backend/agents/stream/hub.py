"""Reads all streams that the readers of a process follow, with one blocking XREAD at a time."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary

from redis.asyncio import Redis
from redis.exceptions import RedisError

from backend.agents.stream.events import Event, Position, event_of, text_of
from backend.db.redis import async_client, run_limited

logger = logging.getLogger(__name__)

BLOCK_SECONDS = 10
# Between two reads, for each stream that is followed, and at most: what many runs write meanwhile is one read instead
# of many, while a process that follows one run reads at once.
PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.001, 0.02
FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS = 0.1, 1.0  # While Redis does not answer.
MAX_BACKLOG = 5_000  # Events that wait for one reader.
WAKE_KEY_SECONDS = 60  # How long the key that wakes the hub outlives its last use.

_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, "Hub"] = WeakKeyDictionary()


class Subscription:
    """Events that one reader has not taken yet.

    :ivar failed: Redis failed since the last ``next``; events may be missing.
    :ivar overrun: the reader takes events more slowly than they come; no more are kept for it.
    """

    def __init__(self) -> None:
        self.failed = self.overrun = False
        self._events: list[Event] = []
        self._waiter: asyncio.Future[None] | None = None

    async def next(self, seconds: float) -> list[Event]:
        """Return the events that came, at once if there are any; none after ``seconds`` or a failure."""
        if not self._events and not self.failed:
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            timer = loop.call_later(seconds, self._wake)
            try:
                await self._waiter
            finally:
                timer.cancel()
        events, self._events = self._events, []
        return events

    def deliver(self, events: list[Event]) -> None:
        if len(self._events) > MAX_BACKLOG:
            self.overrun, events, self._events = True, [], []
        self._events += events
        self._wake()

    def deliver_first(self, events: list[Event]) -> None:
        """Deliver events that precede those that came already."""
        later, self._events = self._events, []
        self.deliver(events + later)

    def fail(self) -> None:
        self.failed = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class _Followed:
    """A stream with its readers. ``position``: of the last event that was read."""

    def __init__(self, position: Position) -> None:
        self.position = position
        self.subscriptions: set[Subscription] = set()


class Hub:
    """Reads every followed stream with one XREAD. A small stream of its own wakes it when the set changes."""

    def __init__(self) -> None:
        self._followed: dict[str, _Followed] = {}
        self._wake_key = f"hub:{uuid4().hex}"
        self._wake_id = "0-0"
        self._rereads = False  # The current read returns soon, or none blocks: the next one includes new streams.
        self._task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def follow(self, key: str, after: Position) -> AsyncIterator[Subscription]:
        """Events of the stream after ``after``. A subscriber may get older ones too: it skips what it has."""
        subscription = Subscription()
        followed = self._followed.get(key)
        known = followed is not None
        if followed is None:
            followed = self._followed[key] = _Followed(after)
        followed.subscriptions.add(subscription)
        try:
            if known:
                await self._catch_up(key, after, subscription)
            elif self._task is None or self._task.done():
                self._task = asyncio.get_running_loop().create_task(self._work())
            elif not self._rereads:
                self._rereads = True
                await self._wake(subscription)
            yield subscription
        finally:
            followed.subscriptions.discard(subscription)
            if not followed.subscriptions and self._followed.get(key) is followed:
                del self._followed[key]

    async def _catch_up(self, key: str, after: Position, subscription: Subscription) -> None:
        """Another reader follows the stream already, from a later position: read what is before that."""
        try:
            entries = await run_limited(lambda redis: redis.xrange(key, min=f"({text_of(after)}"))
        except (RedisError, OSError):
            subscription.fail()
        else:
            subscription.deliver_first([event_of(entry) for entry in entries])

    async def _wake(self, subscription: Subscription) -> None:
        async def wake(redis: Redis) -> None:
            pipeline = redis.pipeline(transaction=False)
            pipeline.xadd(self._wake_key, {"w": "1"}, maxlen=1, approximate=False)
            pipeline.expire(self._wake_key, WAKE_KEY_SECONDS)
            await pipeline.execute()

        try:
            await run_limited(wake)
        except (RedisError, OSError):
            self._rereads = False
            subscription.fail()

    async def _work(self) -> None:
        retry = FIRST_RETRY_SECONDS
        while self._followed:
            self._rereads, asked = False, dict(self._followed)
            wanted = {self._wake_key: self._wake_id}
            wanted |= {key: text_of(followed.position) for key, followed in asked.items()}
            try:
                found: Any = await async_client().xread(wanted, block=BLOCK_SECONDS * 1000)  # type: ignore[arg-type]  # Its dict is invariant.
            except (RedisError, OSError) as error:
                logger.warning("run_streams_unreadable error=%s", error)
                for followed in list(self._followed.values()):
                    for subscription in followed.subscriptions:
                        subscription.fail()
                self._wake_id = "0-0"  # A restarted Redis counts from the start.
                await asyncio.sleep(retry)
                retry = min(retry * 2, MAX_RETRY_SECONDS)
                continue
            retry = FIRST_RETRY_SECONDS
            for name, entries in found:
                self._deliver(name.decode(), entries, asked)
            self._rereads = True
            await asyncio.sleep(min(PAUSE_SECONDS * len(self._followed), MAX_PAUSE_SECONDS))

    def _deliver(self, key: str, entries: list[Any], asked: dict[str, _Followed]) -> None:
        if key == self._wake_key:
            self._wake_id = entries[-1][0].decode()
            return
        followed = self._followed.get(key)
        if followed is None or followed is not asked.get(key):
            return  # Its readers left meanwhile, and a new one wants the stream from an earlier position.
        events = [event_of(entry) for entry in entries]
        followed.position = events[-1].position
        for subscription in followed.subscriptions:
            subscription.deliver(events)


def hub() -> Hub:
    """The hub of the running event loop."""
    return _hubs.setdefault(asyncio.get_running_loop(), Hub())
