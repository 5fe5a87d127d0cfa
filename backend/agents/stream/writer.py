"""The one writer of a run's stream while a worker carries it, on the worker's event loop."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from redis.asyncio.client import Pipeline
from redis.exceptions import RedisError, ResponseError

from backend.agents.stream.events import event_of, fields_of, json_of, key_of
from backend.agents.stream.outbox import outbox
from backend.agents.stream.publish import LONGEST_LIFE
from backend.http.redis import async_client

logger = logging.getLogger(__name__)

JOIN_SECONDS = 0.04  # Text that arrives within this time of the last write goes out as one event.
LINGER_SECONDS = 0.02  # What only says that work goes on waits so long for what follows it.
PATIENT = frozenset({"run.started", "message.started", "step.started", "step.finished"})
LASTING = ("run.", "message.completed")  # Not part of a snapshot, so written again behind it.
DRAIN_SECONDS = 3.0
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0  # Before what Redis did not take is sent again.


@dataclass(slots=True)
class _Entry:
    seq: int
    name: str
    data: dict[str, Any]


class StreamWriter:
    """Events in the order they were put; text that waits is joined. Lives in one event loop.

    The loop's outbox sends them. While Redis is away the entries wait. When it is back without the stream (it was
    restarted empty), the first thing written is a ``snapshot`` of the answer as it is at that moment, so that readers
    miss no word.

    :ivar due: when the outbox is to send what waits.

    :ivar fenced: somebody claimed the run after us; nothing more is written.
    """

    def __init__(self, *, run_id: UUID, epoch: int, snapshot: Callable[[], Mapping[str, Any]]) -> None:
        self.fenced = False
        self._key, self._epoch, self._snapshot = key_of(run_id), epoch, snapshot
        self._seq = 0
        self._begun = False  # Something of ours is in the stream, or may be.
        self._waiting: list[_Entry] = []
        self._sending: list[_Entry] = []
        self._joining = 0.0  # Until then text waits for more text.
        self._pause, self._paused = FIRST_PAUSE, 0.0
        self._idle = asyncio.Event()
        self._idle.set()
        self.due = 0.0

    def put(self, name: str, data: Mapping[str, Any], *, wait: float | None = None) -> None:
        """Write an event: at once, or after ``wait`` seconds together with what came meanwhile."""
        if wait is None:
            wait = LINGER_SECONDS if name in PATIENT else 0.0
        self._seq += 1
        due = max(asyncio.get_running_loop().time() + wait, self._paused)
        self.due = due if self._idle.is_set() else min(self.due, due)
        self._waiting.append(_Entry(self._seq, name, dict(data)))
        self._idle.clear()
        outbox().post(self)

    def delta(self, name: str, *, message: str, part: int, text: str) -> None:
        """``text.delta`` or ``reasoning.delta``, joined with the one that still waits, if that is of the same part."""
        last = self._waiting[-1] if self._waiting else None
        if last is not None and last.name == name and last.data["part"] == part:
            last.data["delta"] += text
        else:  # The first text behind anything else goes out at once.
            wait = max(0.0, self._joining - asyncio.get_running_loop().time())
            self.put(name, {"message": message, "part": part, "delta": text}, wait=wait)

    async def close(self) -> None:
        """Write what waits, for a few seconds at most; let the stream expire some time after."""
        if not self.fenced:
            try:
                async with asyncio.timeout(DRAIN_SECONDS):
                    await self._idle.wait()
                    await async_client().expire(self._key, settings.RUN_STREAM_SECONDS)
            except (TimeoutError, RedisError, OSError):
                logger.warning("run_stream_not_drained run=%s", self._key)
        outbox().forget(self)

    def compose(self, pipeline: Pipeline) -> int:
        """Add what waits to the pipeline; it is forgotten only when Redis has said that it has it."""
        if self.fenced:
            self._waiting = []
        self._sending += self._waiting
        self._waiting = []
        for position, entry in enumerate(self._sending):
            pipeline.xadd(
                self._key,
                fields_of(entry.name, json_of(entry.data)),  # type: ignore[arg-type]  # str is a field value.
                id=f"{self._epoch}-{entry.seq}",
                nomkstream=self._begun or position > 0,
            )
        if self._begun or not self._sending:
            return len(self._sending)
        pipeline.expire(self._key, LONGEST_LIFE)
        return len(self._sending) + 1

    async def settle(self, replies: Sequence[Any]) -> bool:
        """See whether Redis took it; answers whether there is more to send.

        :raises RedisError: it did not.
        """
        replies = replies[: len(self._sending)]
        failures = [reply for reply in replies if reply is None or isinstance(reply, Exception)]
        for failure in failures:
            if failure is not None and not isinstance(failure, ResponseError):
                raise failure
        self._begun = self._begun or bool(replies)
        now = asyncio.get_running_loop().time()
        if failures:
            await self._recover()
            self.due = now
        else:
            if any(entry.name.endswith(".delta") for entry in self._sending):
                self._joining = now + JOIN_SECONDS
            self._sending = []
        self._pause, self._paused = FIRST_PAUSE, 0.0
        if self._sending or self._waiting:
            return True
        self._idle.set()
        return False

    def defer(self, error: Exception) -> None:
        """Try again after a pause that grows."""
        self.due = self._paused = asyncio.get_running_loop().time() + self._pause
        self._pause = min(self._pause * 2, LONGEST_PAUSE)

    async def _recover(self) -> None:
        """Some entries were refused: they are there already, somebody else owns the run, or the stream is gone."""
        redis = async_client()
        newest: Any = await redis.xrevrange(self._key, count=1)
        if newest:
            epoch, seq = event_of(newest[0]).position
            if epoch > self._epoch:
                logger.warning("run_stream_fenced run=%s epoch=%s", self._key, self._epoch)
                self.fenced = True
                self._sending.clear()
            elif epoch == self._epoch:
                unsent = [entry for entry in self._sending if entry.seq > seq]
                if len(unsent) == len(self._sending):  # Refused for another reason, such as a Redis that is full.
                    raise RedisError("the stream takes no events")
                self._sending = unsent
                return
            if self.fenced or epoch == self._epoch:
                return
        logger.warning("run_stream_lost run=%s", self._key)
        behind = [entry for entry in [*self._sending, *self._waiting] if entry.name.startswith(LASTING)]
        self._waiting = []
        self._seq += 1
        self._sending = [_Entry(self._seq, "snapshot", dict(self._snapshot()))]
        for entry in behind:
            self._seq += 1
            self._sending.append(_Entry(self._seq, entry.name, entry.data))
        self._begun = False
