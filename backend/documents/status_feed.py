"""The states of documents for event streams: one subscription to Redis and one query per change, for all subscribers.

Redis only notifies that a document changed; its state is read from PostgreSQL. However many subscribers a document
has, each change is fetched once, and few fetches run at the same time. Notifications that Redis lost are made up for by
polling.
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

POLL_SECONDS = 5.0  # Between two fetches while subscribed to Redis,
POLL_SECONDS_UNSUBSCRIBED = 2.0  # and while not.
MAX_STATE_AGE = 1.0  # Seconds: a new subscriber starts with a state that is younger.
MAX_CONCURRENT_FETCHES = 4
READ_TIMEOUT = 10.0  # Seconds of one read from the subscription.
MAX_RETRY_PAUSE = 2.0  # Seconds before another attempt to subscribe.

State = dict[str, Any] | None  # The document as the API shows it; none when it is deleted.
FetchState = Callable[[], Awaitable[State]]

_feeds: WeakKeyDictionary[asyncio.AbstractEventLoop, "StatusFeed"] = WeakKeyDictionary()


class Subscriber:
    """One stream's view of a document: the latest state that it has not sent yet. Earlier unsent states are dropped."""

    def __init__(self) -> None:
        self._new_state = asyncio.Event()
        self._state: State = {}

    async def next(self) -> State:
        """Wait for a state that differs from the one before, and return it."""
        await self._new_state.wait()
        self._new_state.clear()
        return self._state

    def offer(self, state: State) -> None:
        if state != self._state:
            self._state = state
            self._new_state.set()


class _DocumentFeed:
    """The subscribers of a document, its latest state, and the task that fetches it."""

    def __init__(self) -> None:
        self.subscribers: set[Subscriber] = set()
        self.changed = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.state: State = None
        self.fetched_at = 0.0  # In the event loop's time.


class StatusFeed:
    """Each document with subscribers has a task that fetches its state; one more task receives the notifications of
    all.
    """

    def __init__(self) -> None:
        self._documents: dict[UUID, _DocumentFeed] = {}
        self._listener: asyncio.Task[None] | None = None
        self._subscribed = False
        self._fetches = asyncio.Semaphore(MAX_CONCURRENT_FETCHES)

    @contextmanager
    def subscribe(self, document_id: UUID, fetch_state: FetchState) -> Iterator[Subscriber]:
        """:param fetch_state: fetches the state; the same for every subscriber of the document."""
        subscriber, document = Subscriber(), self._documents.setdefault(document_id, _DocumentFeed())
        document.subscribers.add(subscriber)
        if document.state is not None and asyncio.get_running_loop().time() - document.fetched_at < MAX_STATE_AGE:
            subscriber.offer(document.state)
        else:
            document.changed.set()  # The subscriber starts with the state that is fetched now.
        if document.task is None:
            document.task = asyncio.get_running_loop().create_task(self._refresh(document_id, document, fetch_state))
        if self._listener is None or self._listener.done():
            self._listener = asyncio.get_running_loop().create_task(self._listen())
        try:
            yield subscriber
        finally:
            document.subscribers.discard(subscriber)
            if not document.subscribers and self._documents.get(document_id) is document:
                del self._documents[document_id]
                document.task.cancel()

    async def _refresh(self, document_id: UUID, document: _DocumentFeed, fetch_state: FetchState) -> None:
        while True:
            document.changed.clear()
            subscribers = list(document.subscribers)
            try:
                async with self._fetches:
                    began = asyncio.get_running_loop().time()
                    state = await fetch_state()
            except (DatabaseError, InterfaceError) as error:
                logger.warning("document_state_not_fetched document=%s error=%s", document_id, str(error).strip())
            except Exception:  # A bug: the subscribers wait, the next fetch may succeed.
                logger.exception("document_state_failed document=%s", document_id)
            else:
                document.state, document.fetched_at = state, began
                for subscriber in subscribers:
                    subscriber.offer(state)
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS if self._subscribed else POLL_SECONDS_UNSUBSCRIBED):
                    await document.changed.wait()

    async def _listen(self) -> None:
        pause = 0.1
        while self._documents:
            subscription = async_client().pubsub(ignore_subscribe_messages=True)
            try:
                await subscription.psubscribe(progress.channel("*"))
                self._subscribed, pause = True, 0.1
                self._all_changed()  # Notifications before the subscription were missed.
                while self._documents:
                    message: Any = await subscription.get_message(timeout=READ_TIMEOUT)
                    if message is not None:
                        self._changed(message["channel"])
            except (RedisError, OSError) as error:
                logger.warning("document_changes_not_received error=%s", error)
                self._subscribed = False
                await asyncio.sleep(pause)
                pause = min(pause * 2, MAX_RETRY_PAUSE)
            finally:
                self._subscribed = False
                with suppress(RedisError, OSError):
                    await subscription.aclose()  # type: ignore[no-untyped-call]  # redis leaves it without types.

    def _changed(self, channel: bytes) -> None:
        with suppress(ValueError):
            document = self._documents.get(UUID(channel.decode().partition(":")[2]))
            if document is not None:
                document.changed.set()

    def _all_changed(self) -> None:
        for document in self._documents.values():
            document.changed.set()


def status_feed() -> StatusFeed:
    """The feed of the running event loop."""
    return _feeds.setdefault(asyncio.get_running_loop(), StatusFeed())
