"""Sends the events of all runs of a process to Redis together: one round trip, however many of them stream.

A round trip for each piece of each run would cost more than everything else about streaming. So when one sender is due,
those that would be due a moment later are sent along, and runs that stream at the same time fall into step.
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

TOGETHER_SECONDS = 0.02  # A sender that is due within this time is sent along.

_outboxes: WeakKeyDictionary[asyncio.AbstractEventLoop, "Outbox"] = WeakKeyDictionary()


class Sender(Protocol):
    """Writes to Redis through the outbox.

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


class Outbox:
    """The senders of one event loop that wait."""

    def __init__(self) -> None:
        self._waiting: set[Sender] = set()
        self._wake = asyncio.Event()
        self._timer: asyncio.Handle | None = None
        self._timer_due = 0.0  # uvloop's handles do not know it.
        self._task: asyncio.Task[None] | None = None

    def post(self, sender: Sender) -> None:
        """Send it when it is due."""
        self._waiting.add(sender)
        self._set_timer(sender.due)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._work())

    def remove(self, sender: Sender) -> None:
        self._waiting.discard(sender)

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
            senders = [sender for sender in self._waiting if sender.due <= together]
            self._waiting.difference_update(senders)
            await self._send(senders)
            if self._waiting:
                self._set_timer(min(sender.due for sender in self._waiting))

    async def _send(self, senders: list[Sender]) -> None:
        """Never raises: whatever fails, the runs go on, and what Redis did not take is sent again."""
        pipeline = async_client().pipeline(transaction=False)
        counts = [self._compose(sender, pipeline) for sender in senders]
        try:
            replies: list[Any] = await pipeline.execute(raise_on_error=False) if any(counts) else []
        except Exception as error:
            for sender in senders:
                self._again(sender, error)
            return
        start = 0
        for sender, count in zip(senders, counts, strict=True):
            try:
                if await sender.take_replies(replies[start : start + count]):
                    self._wait(sender)
            except Exception as error:
                self._again(sender, error)
            start += count

    def _compose(self, sender: Sender, pipeline: Pipeline) -> int:
        """Return how many commands. A sender that fails is left out and logged: it must not delay other runs."""
        before = len(pipeline)
        try:
            return sender.compose(pipeline)
        except Exception:
            logger.exception("run_events_not_sent")
            del pipeline.command_stack[before:]
            return 0

    def _again(self, sender: Sender, error: Exception) -> None:
        if not isinstance(error, RedisError | OSError):
            logger.error("run_events_not_sent", exc_info=error)
        sender.defer(error)
        self._wait(sender)

    def _wait(self, sender: Sender) -> None:
        """Unless it was closed while it was being sent: it would be sent again and again."""
        if not sender.closed:
            self._waiting.add(sender)


def outbox() -> Outbox:
    """The outbox of the running event loop."""
    return _outboxes.setdefault(asyncio.get_running_loop(), Outbox())
