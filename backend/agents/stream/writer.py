"""Writes the stream of a run that this worker executes, on the worker's event loop."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from redis.asyncio.client import Pipeline

from backend.agents.stream.event_sender import event_sender
from backend.agents.stream.events import TERMINAL, event_of, fields_of, json_of, key_of
from backend.agents.stream.publish import MAX_STREAM_SECONDS
from backend.db.redis import async_client

logger = logging.getLogger(__name__)

JOIN_SECONDS = 0.04  # Text that arrives within this time of the last write goes out as one event.
DELAY_SECONDS = 0.02  # How long an event that only shows progress waits for the one after it.
DELAYED = frozenset({"run.started", "message.started", "step.started", "step.finished"})
LASTING = ("run.", "message.completed")  # Not part of a snapshot, so written again after it.
DRAIN_SECONDS = 3.0
FIRST_PAUSE, MAX_PAUSE = 0.1, 2.0  # Before what Redis did not take is sent again.
MAX_BACKLOG = 256  # Events that wait; beyond them one snapshot replaces them.
OUT_OF_ORDER = "equal or smaller"  # Redis refuses an id that is not above the stream's last.


@dataclass(slots=True)
class _Entry:
    seq: int
    name: str
    data: dict[str, Any]


class StreamWriter:
    """Events in the order they were put; text that waits is joined. Used in one event loop.

    The event sender of the loop sends them. What Redis does not take waits, and is sent again after pauses that grow:
    Redis may be away, or refuse every write because it is full, cannot save, or is a replica. What waits is bounded:
    beyond ``MAX_BACKLOG`` events, and when Redis has lost the stream, the next event is a ``snapshot`` of the answer as
    it is at that moment, so that readers miss no word.

    :ivar due: when the event sender is to send what waits.
    :ivar fenced: another worker claimed the run after this one; nothing more is written.
    :ivar closed: nothing more is sent, whatever waits.
    """

    def __init__(self, *, run_id: UUID, epoch: int, snapshot: Callable[[], Mapping[str, Any]]) -> None:
        self.fenced = self.closed = False
        self._key, self._epoch, self._snapshot = key_of(run_id), epoch, snapshot
        self._seq = 0
        self._begun = False  # The stream has an event of this writer.
        self._stale = False  # Events were dropped: a snapshot comes next.
        self._waiting: list[_Entry] = []
        self._sending: list[_Entry] = []
        self._joining = 0.0  # Until then text waits for more text.
        self._pause, self._paused = FIRST_PAUSE, 0.0
        self._idle = asyncio.Event()
        self._idle.set()
        self.due = 0.0

    def put(self, name: str, data: Mapping[str, Any], *, wait: float | None = None) -> None:
        """Write an event: at once, or after ``wait`` seconds together with what came meanwhile."""
        if self.closed:
            return
        if wait is None:
            wait = DELAY_SECONDS if name in DELAYED else 0.0
        due = max(asyncio.get_running_loop().time() + wait, self._paused)
        self.due = due if self._idle.is_set() else min(self.due, due)
        if not self._stale or name.startswith(LASTING):  # The snapshot, taken when it is sent, holds the others.
            self._seq += 1
            self._waiting.append(_Entry(self._seq, name, dict(data)))
        if len(self._waiting) + len(self._sending) > MAX_BACKLOG:
            self._drop_all_but_lasting()
        self._idle.clear()
        event_sender().post(self)

    def delta(self, name: str, *, message: str, part: int, text: str) -> None:
        """Write ``text.delta`` or ``reasoning.delta``, joined with one of the same part that still waits."""
        last = self._waiting[-1] if self._waiting else None
        if last is not None and last.name == name and last.data["part"] == part:
            last.data["delta"] += text
        else:  # The first text after anything else goes out at once.
            wait = max(0.0, self._joining - asyncio.get_running_loop().time())
            self.put(name, {"message": message, "part": part, "delta": text}, wait=wait)

    async def close(self) -> None:
        """Write what waits, for ``DRAIN_SECONDS`` at most.

        What Redis does not take by then is dropped: readers look at the row when a stream stays silent.
        """
        if not self.fenced:
            try:
                async with asyncio.timeout(DRAIN_SECONDS):
                    await self._idle.wait()
            except TimeoutError:
                logger.warning("run_stream_not_drained run=%s", self._key)
        self.closed = True
        self._waiting, self._sending = [], []
        event_sender().remove(self)

    def compose(self, pipeline: Pipeline) -> int:
        """Add what waits to the pipeline. It is kept until Redis has confirmed it."""
        if self.fenced or self.closed:
            self._waiting, self._sending = [], []
        if self._stale:
            self._add_snapshot()
        self._sending += self._waiting
        self._waiting = []
        for position, entry in enumerate(self._sending):
            pipeline.xadd(
                self._key,
                fields_of(entry.name, json_of(entry.data)),  # type: ignore[arg-type]  # str is a field value.
                id=f"{self._epoch}-{entry.seq}",
                nomkstream=self._begun or position > 0,
            )
        if not self._sending:
            return 0
        if any(entry.name in TERMINAL for entry in self._sending):
            pipeline.expire(self._key, settings.RUN_STREAM_SECONDS)
        elif not self._begun:
            pipeline.expire(self._key, MAX_STREAM_SECONDS)
        else:
            return len(self._sending)
        return len(self._sending) + 1

    async def take_replies(self, replies: Sequence[Any]) -> bool:
        """Drop what Redis took, and return whether there is more to send.

        :raises RedisError: Redis refuses every write now.
        """
        sent, replies = self._sending, replies[: len(self._sending)]
        self._sending = [entry for entry, reply in zip(sent, replies, strict=False) if not _taken(reply)]
        self._begun = self._begun or any(_taken(reply) for reply in replies)
        if refusal := next((reply for reply in replies if _refuses(reply)), None):
            raise refusal
        now = asyncio.get_running_loop().time()
        if self._sending:
            await self._recover()
            self._pause_for(now)  # Longer each time, in case Redis loses every write.
        else:
            if any(entry.name.endswith(".delta") for entry in sent):
                self._joining = now + JOIN_SECONDS
            self._pause, self._paused = FIRST_PAUSE, 0.0
        if self._sending or self._waiting or self._stale:
            return True
        self._idle.set()
        return False

    def defer(self, error: Exception) -> None:
        """Try again after a pause that grows."""
        if self._pause < MAX_PAUSE:  # Else it was logged often enough.
            logger.warning("run_events_delayed run=%s pause=%s error=%r", self._key, self._pause, error)
        self._pause_for(asyncio.get_running_loop().time())

    def _pause_for(self, now: float) -> None:
        self.due = self._paused = now + self._pause
        self._pause = min(self._pause * 2, MAX_PAUSE)

    async def _recover(self) -> None:
        """Some entries were refused: they are there already, another worker owns the run, or the stream is gone."""
        newest: Any = await async_client().xrevrange(self._key, count=1)
        epoch, seq = event_of(newest[0]).position if newest else (0, 0)
        if epoch > self._epoch:
            logger.warning("run_stream_fenced run=%s epoch=%s", self._key, self._epoch)
            self.fenced = True
            self._sending.clear()
        elif epoch == self._epoch:
            self._sending = [entry for entry in self._sending if entry.seq > seq]
        else:
            logger.warning("run_stream_lost run=%s", self._key)
            self._begun = False
            self._drop_all_but_lasting()

    def _drop_all_but_lasting(self) -> None:
        kept = [entry for entry in [*self._sending, *self._waiting] if entry.name.startswith(LASTING)]
        self._sending, self._waiting, self._stale = [], kept[-MAX_BACKLOG // 2 :], True

    def _add_snapshot(self) -> None:
        """Take a snapshot now; after it come the events that are no part of one."""
        lasting, self._waiting, self._stale = self._waiting, [], False
        for name, data in [("snapshot", dict(self._snapshot())), *((entry.name, entry.data) for entry in lasting)]:
            self._seq += 1
            self._sending.append(_Entry(self._seq, name, data))


def _taken(reply: Any) -> bool:
    return reply is not None and not isinstance(reply, Exception)


def _refuses(reply: Any) -> bool:
    """Whether Redis takes no write now; else the entry was out of order, or its stream does not exist."""
    return isinstance(reply, Exception) and OUT_OF_ORDER not in str(reply)
