"""Sends the events of all runs of a process to Redis together: one round trip, however many of them stream.

A round trip for each piece of each run would cost more than everything else about streaming. So when one writer is due,
the writers that would be due within ``TOGETHER_SECONDS`` are sent in the same pipeline. After
that their next events are due at the same time again, so runs that stream together soon share every round trip.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from redis.asyncio.client import Pipeline
from redis.exceptions import RedisError

from backend.db.redis import async_client

logger = logging.getLogger(__name__)

TOGETHER_SECONDS = 0.02  # A writer that is due within this time is sent along.

_event_senders: WeakKeyDictionary[asyncio.AbstractEventLoop, "EventSender"] = WeakKeyDictionary()


class Writer(Protocol):
    """Writes to Redis through the event sender.

    :ivar due: the time of the event loop from which on its commands are to be sent.
    :ivar closed: nothing of it is sent any more.
    """

    due: float
    closed: bool

    def compose(self, pipeline: Pipeline) -> int:
        """Add its commands, and return how many."""
        ...

    async def take_replies(self, replies: Sequence[Any]) -> bool:
        """Take the replies to them, and return whether there is more to send. Raises the error of a refused command."""
        ...

    def defer(self, error: Exception) -> None:
        """Be due later: its commands were not sent."""
        ...


class EventSender:
    """Sends what the writers of one event loop have to write, when it is due."""

    def __init__(self) -> None:
        self._waiting: set[Writer] = set()
        self._wake = asyncio.Event()
        self._timer: asyncio.Handle | None = None
        self._timer_due = 0.0  # uvloop's handles do not know it.
        self._task: asyncio.Task[None] | None = None

    def post(self, writer: Writer) -> None:
        """Send it when it is due."""
        self._waiting.add(writer)
        self._set_timer(writer.due)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._work())

    def remove(self, writer: Writer) -> None:
        self._waiting.discard(writer)

    def _set_timer(self, due: float) -> None:
        if self._timer is not None:
            if self._timer_due <= due:
                return
            self._timer.cancel()
        self._timer_due = due
        self._timer = asyncio.get_running_loop().call_at(due, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self._wake.set()

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            self._wake.clear()
            together = loop.time() + TOGETHER_SECONDS
            writers = [writer for writer in self._waiting if writer.due <= together]
            self._waiting.difference_update(writers)
            await self._send(writers)
            if self._waiting:
                self._set_timer(min(writer.due for writer in self._waiting))

    async def _send(self, writers: list[Writer]) -> None:
        """Never raises: whatever fails, the runs continue, and what Redis did not take is sent again."""
        pipeline = async_client().pipeline(transaction=False)
        counts = [self._compose(writer, pipeline) for writer in writers]
        try:
            replies: list[Any] = await pipeline.execute(raise_on_error=False) if any(counts) else []
        except Exception as error:
            for writer in writers:
                self._again(writer, error)
            return
        start = 0
        for writer, count in zip(writers, counts, strict=True):
            try:
                if await writer.take_replies(replies[start : start + count]):
                    self._wait(writer)
            except Exception as error:
                self._again(writer, error)
            start += count

    def _compose(self, writer: Writer, pipeline: Pipeline) -> int:
        """Return how many commands. A writer that fails is left out and logged: it must not delay other runs."""
        before = len(pipeline)
        try:
            return writer.compose(pipeline)
        except Exception:
            logger.exception("run_events_not_sent")
            del pipeline.command_stack[before:]
            return 0

    def _again(self, writer: Writer, error: Exception) -> None:
        if not isinstance(error, RedisError | OSError):
            logger.error("run_events_not_sent", exc_info=error)
        writer.defer(error)
        self._wait(writer)

    def _wait(self, writer: Writer) -> None:
        """Unless it was closed while it was being sent: it would be sent again and again."""
        if not writer.closed:
            self._waiting.add(writer)


def event_sender() -> EventSender:
    """The event sender of the running event loop."""
    return _event_senders.setdefault(asyncio.get_running_loop(), EventSender())
