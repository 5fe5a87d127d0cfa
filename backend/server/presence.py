"""Which workers live, for operators: each notes in Redis, every few seconds, that it does and how busy it is.

A worker whose timer stands still, or that lost Redis, is not renewed and counts as gone after a while. Nothing depends
on these notes: work is claimed in PostgreSQL, and orchestrators ask ``backend.server.healthcheck``.
"""

import logging
import time
from dataclasses import dataclass
from typing import Any, cast

import msgspec
from celery import bootsteps
from celery.worker import state
from django.conf import settings
from redis import Redis

from backend.db.redis import client

logger = logging.getLogger(__name__)

KEY = "workers"  # A hash: name → note.
SECONDS = 5.0  # Between two notes of one worker.
GONE_AFTER = 20.0  # Seconds without a note, after which a worker does not count as alive.
FORGOTTEN_AFTER = 3600.0
MOST = 200  # Notes that are read.


class Note(msgspec.Struct):
    """:ivar at: Unix time of the note.
    :ivar queues: what it takes work from.
    :ivar busy: tasks it is at work on.
    :ivar done: tasks it has done since it started.
    """

    at: float
    queues: list[str]
    threads: int
    busy: int
    done: int


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker as operators see it. ``age``: seconds since its last note."""

    name: str
    alive: bool
    age: float
    note: Note


class Presence(bootsteps.StartStopStep):
    """A step of the worker that writes its note."""

    requires = ("celery.worker.components:Timer",)

    def start(self, parent: Any) -> None:
        self._timer = parent.timer.call_repeatedly(SECONDS, self.note, args=(parent,))

    def stop(self, parent: Any) -> None:
        self._timer.cancel()

    def note(self, worker: Any) -> None:
        """In the worker's timer: whatever goes wrong, the next time comes."""
        try:
            note = Note(
                at=time.time(),
                queues=sorted(str(name) for name in worker.app.amqp.queues.consume_from),
                threads=int(worker.concurrency),
                busy=len(state.active_requests),
                done=sum(state.total_count.values()),
            )
            redis = client()
            redis.hset(KEY, str(worker.hostname), msgspec.json.encode(note))
            redis.expire(KEY, round(FORGOTTEN_AFTER))
        except Exception as error:  # The silence tells.
            logger.debug("no note: %s: %s", type(error).__name__, error)


def _brief() -> Redis:
    """A page that operators open must not wait for a Redis that hangs."""
    return Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1, socket_timeout=1)


def workers() -> list[Worker]:
    """Those that noted anything in the last hour, by name.

    :raises RedisError: Redis does not answer.
    """
    with _brief() as redis:
        notes = cast(dict[bytes, bytes], redis.hgetall(KEY))
    now, found = time.time(), []
    for name, text in list(notes.items())[:MOST]:
        try:
            note = msgspec.json.decode(text, type=Note)
        except msgspec.DecodeError:
            continue
        age = max(0.0, now - note.at)
        if age > FORGOTTEN_AFTER:
            continue
        found.append(Worker(name.decode("utf-8", "replace"), age <= GONE_AFTER, age, note))
    return sorted(found, key=lambda worker: worker.name)


def queue_lengths(names: list[str]) -> dict[str, int]:
    """How many tasks wait in the broker's queues, which are lists of Redis.

    :raises RedisError: Redis does not answer.
    """
    with _brief() as redis, redis.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.llen(name)
        return dict(zip(names, pipeline.execute(), strict=True))
