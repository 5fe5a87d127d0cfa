"""The status of each worker for operators: every few seconds a worker writes to Redis that it is alive and how busy.

A worker whose timer is blocked, or that lost Redis, does not renew its status and counts as dead after some seconds.
Nothing else depends on this: workers claim their work in PostgreSQL, and orchestrators call
``backend.server.healthcheck``.
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

KEY = "workers"  # A hash: name → status.
INTERVAL_SECONDS = 5.0  # Between two reports of one worker.
DEAD_AFTER = 20.0  # Seconds without a report, after which a worker does not count as alive.
HIDDEN_AFTER = 3600.0  # Seconds without a report, after which a worker is not listed.
MAX_WORKERS = 200  # Whose status is read.


class Status(msgspec.Struct):
    """
    :ivar at: the Unix time of this report.
    :ivar queues: the names of the queues that it consumes.
    :ivar busy: how many tasks it is executing.
    :ivar done: how many tasks it has finished since it started.
    """

    at: float
    queues: list[str]
    threads: int
    busy: int
    done: int


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker as operators see it. ``age``: seconds since its last report."""

    name: str
    alive: bool
    age: float
    status: Status


class StatusReporter(bootsteps.StartStopStep):
    """A bootstep of the worker that writes its status."""

    requires = ("celery.worker.components:Timer",)

    def start(self, parent: Any) -> None:
        self._timer = parent.timer.call_repeatedly(INTERVAL_SECONDS, self.report, args=(parent,))

    def stop(self, parent: Any) -> None:
        self._timer.cancel()

    def report(self, worker: Any) -> None:
        """Runs in the worker's timer: a failure is logged, and the next report is attempted on time."""
        try:
            status = Status(
                at=time.time(),
                queues=sorted(str(name) for name in worker.app.amqp.queues.consume_from),
                threads=int(worker.concurrency),
                busy=len(state.active_requests),
                done=sum(state.total_count.values()),
            )
            redis = client()
            redis.hset(KEY, str(worker.hostname), msgspec.json.encode(status))
            redis.expire(KEY, round(HIDDEN_AFTER))
        except Exception as error:  # Operators see that the report is missing.
            logger.debug("worker_status_not_written kind=%s error=%s", type(error).__name__, error)


def _client() -> Redis:
    """A client with short time-outs: a page of the admin must not wait for a Redis that hangs."""
    return Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1, socket_timeout=1)


def workers() -> list[Worker]:
    """The workers that reported within the last hour, by name.

    :raises RedisError: Redis does not answer.
    """
    with _client() as redis:
        reports = cast(dict[bytes, bytes], redis.hgetall(KEY))
    now, found = time.time(), []
    for name, text in list(reports.items())[:MAX_WORKERS]:
        try:
            status = msgspec.json.decode(text, type=Status)
        except msgspec.DecodeError:
            continue
        age = max(0.0, now - status.at)
        if age > HIDDEN_AFTER:
            continue
        found.append(Worker(name.decode("utf-8", "replace"), age <= DEAD_AFTER, age, status))
    return sorted(found, key=lambda worker: worker.name)


def queue_lengths(names: list[str]) -> dict[str, int]:
    """How many tasks wait in each of the broker's queues, which are lists in Redis.

    :raises RedisError: Redis does not answer.
    """
    with _client() as redis, redis.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.llen(name)
        return dict(zip(names, pipeline.execute(), strict=True))
