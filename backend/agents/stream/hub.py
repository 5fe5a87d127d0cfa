"""One blocking read per process for all the streams that its readers follow, however many there are."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary

from redis.asyncio import Redis
from redis.exceptions import RedisError

from backend.agents.stream.events import Event, Position, event_of, text_of
from backend.db.redis import async_client, run_limited

logger = logging.getLogger(__name__)

BLOCK_SECONDS = 10
LONGEST_BACKLOG = 5_000  # Events that wait for one reader.
WAKE_SECONDS = 60  # How long the key that wakes the reader outlives its last use.

_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, "Hub"] = WeakKeyDictionary()


class Subscription:
    """What one reader has not yet taken.

    :ivar troubled: Redis failed since the last look; events may be missing.
    :ivar overrun: the reader takes events more slowly than they come; they are kept for it no longer.
    """

    def __init__(self) -> None:
        self.troubled = self.overrun = False
        self._events: list[Event] = []
        self._news = asyncio.Event()

    async def next(self, seconds: float) -> list[Event]:
        """The events that came, at once when there are some; empty after ``seconds`` or on trouble."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        self._news.clear()
        events, self._events = self._events, []
        return events

    def give(self, events: list[Event]) -> None:
        if len(self._events) > LONGEST_BACKLOG:
            self.overrun, events, self._events = True, [], []
        self._events += events
        self._news.set()

    def trouble(self) -> None:
        self.troubled = True
        self._news.set()


class _Followed:
    def __init__(self, position: Position) -> None:
        self.position = position
        self.subscriptions: set[Subscription] = set()


class Hub:
    """Reads every followed stream with one XREAD; a small stream of its own wakes it when the set changes."""

    def __init__(self) -> None:
        self._followed: dict[str, _Followed] = {}
        self._wake_key = f"hub:{uuid4().hex}"
        self._wake_id = "0-0"
        self._woken = False  # The read that blocks now is about to return; whoever comes meanwhile is in the next one.
        self._task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def follow(self, key: str, after: Position) -> AsyncIterator[Subscription]:
        """Events of the stream behind ``after``. A subscriber may get older ones too: it skips what it knows."""
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
            elif not self._woken:
                self._woken = True
                await self._wake(subscription)
            yield subscription
        finally:
            followed.subscriptions.discard(subscription)
            if not followed.subscriptions and self._followed.get(key) is followed:
                del self._followed[key]

    async def _catch_up(self, key: str, after: Position, subscription: Subscription) -> None:
        """The stream is being read already, from further on."""
        try:
            entries = await run_limited(lambda redis: redis.xrange(key, min=f"({text_of(after)}"))
        except (RedisError, OSError):
            subscription.trouble()
        else:
            later = subscription._events
            subscription._events = []
            subscription.give([event_of(entry) for entry in entries] + later)

    async def _wake(self, subscription: Subscription) -> None:
        async def wake(redis: Redis) -> None:
            pipeline = redis.pipeline(transaction=False)
            pipeline.xadd(self._wake_key, {"w": "1"}, maxlen=1, approximate=False)
            pipeline.expire(self._wake_key, WAKE_SECONDS)
            await pipeline.execute()

        try:
            await run_limited(wake)
        except (RedisError, OSError):
            self._woken = False
            subscription.trouble()

    async def _work(self) -> None:
        pause = 0.1
        while self._followed:
            self._woken, asked = False, dict(self._followed)
            wanted = {self._wake_key: self._wake_id}
            wanted |= {key: text_of(followed.position) for key, followed in asked.items()}
            try:
                found: Any = await async_client().xread(wanted, block=BLOCK_SECONDS * 1000)  # type: ignore[arg-type]  # Its dict is invariant.
            except (RedisError, OSError) as error:
                logger.warning("run_streams_unreadable error=%s", error)
                for followed in list(self._followed.values()):
                    for subscription in followed.subscriptions:
                        subscription.trouble()
                self._wake_id = "0-0"  # A restarted Redis counts anew.
                await asyncio.sleep(pause)
                pause = min(pause * 2, 1.0)
                continue
            pause = 0.1
            for name, entries in found:
                self._deliver(name.decode(), entries, asked)

    def _deliver(self, key: str, entries: list[Any], asked: dict[str, _Followed]) -> None:
        if key == self._wake_key:
            self._wake_id = entries[-1][0].decode()
            return
        followed = self._followed.get(key)
        if followed is None or followed is not asked.get(key):
            return  # Its readers left meanwhile, and another came who wants the stream from further back.
        events = [event_of(entry) for entry in entries]
        followed.position = events[-1].position
        for subscription in followed.subscriptions:
            subscription.give(events)


def hub() -> Hub:
    """The hub of the running event loop."""
    return _hubs.setdefault(asyncio.get_running_loop(), Hub())
