"""The one writer of a run's stream while a worker carries it, on the worker's event loop."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from redis.exceptions import RedisError, ResponseError

from backend.agents.stream.events import event_of, fields_of, json_of, key_of
from backend.agents.stream.publish import LONGEST_LIFE
from backend.http.redis import async_client

logger = logging.getLogger(__name__)

JOIN_SECONDS = 0.04  # Text that arrives within this time of the last write goes out as one event.
PATIENT = frozenset({"run.started", "message.started", "step.started", "step.finished"})
LINGER_SECONDS = 0.02  # So long these wait for what follows them; nothing else waits for anything.
LASTING = ("run.", "message.completed")  # Not part of a snapshot, so written again behind it.
DRAIN_SECONDS = 3.0


@dataclass(slots=True)
class _Entry:
    seq: int
    name: str
    data: dict[str, Any]


class StreamWriter:
    """Events in the order they were put; text that waits is joined. Lives in one event loop.

    While Redis is away the entries wait. When it is back without the stream (it was restarted empty), the first thing
    written is a ``snapshot`` of the answer as it is at that moment, so that readers miss no word.

    :ivar fenced: somebody claimed the run after us; nothing more is written.
    """

    def __init__(self, *, run_id: UUID, epoch: int, snapshot: Callable[[], Mapping[str, Any]]) -> None:
        self.fenced = False
        self._key, self._epoch, self._snapshot = key_of(run_id), epoch, snapshot
        self._seq = 0
        self._begun = False  # Something of ours is in the stream, or may be.
        self._waiting: list[_Entry] = []
        self._sending: list[_Entry] = []
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write, in the running event loop. Every later call belongs into the same."""
        self._task = asyncio.get_running_loop().create_task(self._work())

    def put(self, name: str, data: Mapping[str, Any]) -> None:
        self._seq += 1
        self._waiting.append(_Entry(self._seq, name, dict(data)))
        self._idle.clear()
        if name in PATIENT:
            asyncio.get_running_loop().call_later(LINGER_SECONDS, self._wake.set)
        else:
            self._wake.set()

    def delta(self, name: str, *, message: str, part: int, text: str) -> None:
        """``text.delta`` or ``reasoning.delta``, joined with the one that still waits, if that is of the same part."""
        last = self._waiting[-1] if self._waiting else None
        if last is not None and last.name == name and last.data["part"] == part:
            last.data["delta"] += text
        else:
            self.put(name, {"message": message, "part": part, "delta": text})

    async def close(self) -> None:
        """Write what waits, for a few seconds at most; let the stream expire some time after."""
        if not self.fenced:
            try:
                async with asyncio.timeout(DRAIN_SECONDS):
                    await self._idle.wait()
                    await async_client().expire(self._key, settings.RUN_STREAM_SECONDS)
            except (TimeoutError, RedisError, OSError):
                logger.warning("run_stream_not_drained run=%s", self._key)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _work(self) -> None:
        pause = 0.1
        while not self.fenced:
            await self._wake.wait()
            self._wake.clear()
            self._sending += self._waiting
            self._waiting = []
            streaming = any(entry.name.endswith(".delta") for entry in self._sending)
            try:
                await self._send()
            except Exception as error:  # Whatever it is, the run goes on and the events are tried again.
                known = isinstance(error, RedisError | OSError)
                logger.warning("run_events_delayed run=%s error=%r", self._key, error, exc_info=not known)
                self._wake.set()
                await asyncio.sleep(pause)
                pause = min(pause * 2, 1.0)
                continue
            pause = 0.1
            if not self._sending and not self._waiting:
                self._idle.set()
            if streaming:  # The first text behind anything else goes out at once.
                await asyncio.sleep(JOIN_SECONDS)
        self._idle.set()

    async def _send(self) -> None:
        """Write what is being sent; it is forgotten only when Redis has said that it has it."""
        redis = async_client()
        while self._sending and not self.fenced:
            pipeline = redis.pipeline(transaction=False)
            for position, entry in enumerate(self._sending):
                pipeline.xadd(
                    self._key,
                    fields_of(entry.name, json_of(entry.data)),  # type: ignore[arg-type]  # str is a field value.
                    id=f"{self._epoch}-{entry.seq}",
                    nomkstream=self._begun or position > 0,
                )
            if not self._begun:
                pipeline.expire(self._key, LONGEST_LIFE)
            replies = (await pipeline.execute(raise_on_error=False))[: len(self._sending)]
            self._begun = True
            failures = [reply for reply in replies if reply is None or isinstance(reply, Exception)]
            if not failures:
                self._sending.clear()
                return
            for failure in failures:
                if failure is not None and not isinstance(failure, ResponseError):
                    raise failure
            await self._recover()

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
