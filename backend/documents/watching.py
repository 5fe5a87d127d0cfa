"""Follows documents for the event streams of one event loop: one subscription to Redis, one look per document.

However many readers a document has, its state is looked up once when it changes, and few look-ups run at once. Redis
only says that something changed; PostgreSQL says what. What Redis did not say is found by looking now and then.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

from django.db import DatabaseError, InterfaceError
from redis.exceptions import RedisError

from backend.db.redis import async_client
from backend.documents import progress

logger = logging.getLogger(__name__)

LOOK_AGAIN = 5.0  # Seconds between two looks while Redis is listened to,
LOOK_AGAIN_UNTOLD = 2.0  # and while it is not.
FRESH_SECONDS = 1.0  # So long what was looked up last is good enough to begin with.
LOOKS_AT_ONCE = 4
LISTEN_SECONDS = 10.0  # Of one read from the subscription; its socket is given up after some more.
LONGEST_PAUSE = 2.0  # Before another attempt to subscribe.

State = dict[str, Any] | None  # The document as the API shows it; none when it is deleted.
Look = Callable[[], Awaitable[State]]

_watchers: WeakKeyDictionary[asyncio.AbstractEventLoop, "Watcher"] = WeakKeyDictionary()


class Reader:
    """One stream's view of a document: the states that it has not shown yet, of which only the last one counts."""

    def __init__(self) -> None:
        self._news = asyncio.Event()
        self._state: State = {}

    async def next(self) -> State:
        """The state, as soon as it differs from the one before."""
        await self._news.wait()
        self._news.clear()
        return self._state

    def give(self, state: State) -> None:
        if state != self._state:
            self._state = state
            self._news.set()


class _Watched:
    def __init__(self) -> None:
        self.readers: set[Reader] = set()
        self.changed = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.state: State = None
        self.looked = 0.0  # When, in the loop's time.


class Watcher:
    """Every watched document has a task that looks at it; one more task listens to Redis for all of them."""

    def __init__(self) -> None:
        self._watched: dict[UUID, _Watched] = {}
        self._listening: asyncio.Task[None] | None = None
        self._subscribed = False
        self._looks = asyncio.Semaphore(LOOKS_AT_ONCE)

    @contextmanager
    def follow(self, document_id: UUID, look: Look) -> Iterator[Reader]:
        """:param look: fetches the state; the same for every reader of the document."""
        reader, watched = Reader(), self._watched.setdefault(document_id, _Watched())
        watched.readers.add(reader)
        if watched.state is not None and asyncio.get_running_loop().time() - watched.looked < FRESH_SECONDS:
            reader.give(watched.state)
        else:
            watched.changed.set()  # The look that follows is what the reader starts with.
        if watched.task is None:
            watched.task = asyncio.get_running_loop().create_task(self._work(document_id, watched, look))
        if self._listening is None or self._listening.done():
            self._listening = asyncio.get_running_loop().create_task(self._listen())
        try:
            yield reader
        finally:
            watched.readers.discard(reader)
            if not watched.readers and self._watched.get(document_id) is watched:
                del self._watched[document_id]
                watched.task.cancel()

    async def _work(self, document_id: UUID, watched: _Watched, look: Look) -> None:
        while True:
            watched.changed.clear()
            readers = list(watched.readers)
            try:
                async with self._looks:
                    began = asyncio.get_running_loop().time()
                    state = await look()
            except (DatabaseError, InterfaceError) as error:
                logger.warning("document_not_readable document=%s error=%s", document_id, str(error).strip())
            except Exception:  # A bug: the readers wait, the next look may succeed.
                logger.exception("document_not_shown document=%s", document_id)
            else:
                watched.state, watched.looked = state, began
                for reader in readers:
                    reader.give(state)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AGAIN if self._subscribed else LOOK_AGAIN_UNTOLD):
                    await watched.changed.wait()

    async def _listen(self) -> None:
        pause = 0.1
        while self._watched:
            subscription = async_client().pubsub(ignore_subscribe_messages=True)
            try:
                await subscription.psubscribe(progress.channel("*"))
                self._subscribed, pause = True, 0.1
                self._all_changed()  # What was said before the subscription was not heard.
                while self._watched:
                    message: Any = await subscription.get_message(timeout=LISTEN_SECONDS)
                    if message is not None:
                        self._changed(message["channel"])
            except (RedisError, OSError) as error:
                logger.warning("document_changes_not_heard error=%s", error)
                self._subscribed = False
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            finally:
                self._subscribed = False
                with suppress(RedisError, OSError):
                    await subscription.aclose()  # type: ignore[no-untyped-call]  # redis leaves it without types.

    def _changed(self, channel: bytes) -> None:
        with suppress(ValueError):
            watched = self._watched.get(UUID(channel.decode().partition(":")[2]))
            if watched is not None:
                watched.changed.set()

    def _all_changed(self) -> None:
        for watched in self._watched.values():
            watched.changed.set()


def watcher() -> Watcher:
    """The watcher of the running event loop."""
    return _watchers.setdefault(asyncio.get_running_loop(), Watcher())
