"""The one event loop of a worker process, in a thread of its own, and the runs that are in its hands."""

import asyncio
import logging
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import aclosing
from typing import Any, TypeVar
from uuid import UUID

from redis.exceptions import RedisError

from backend.agents.stream.publish import CANCEL_CHANNEL
from backend.db.redis import async_client, close_async_client

logger = logging.getLogger(__name__)

T = TypeVar("T")

_lock = threading.Lock()
_loop: tuple[int, asyncio.AbstractEventLoop] | None = None  # With the process it belongs to: a fork has none.
_jobs: dict[UUID, "Job"] = {}
_ending: str | None = None  # Why every run of this process is to stop, once that was said.


class Job:
    """A run in the hands of this process: how its thread and the loop reach each other.

    :ivar stop_reason: ``cancelled``, ``timed_out``, ``lease_lost`` or ``shutdown``; the first one stands.
    """

    def __init__(self, run_id: UUID) -> None:
        self.run_id = run_id
        self.stop_reason: str | None = None
        self.stopped = threading.Event()
        self.task: asyncio.Task[Any] | None = None  # What to interrupt in the loop; set and read there.

    def stop(self, reason: str) -> None:
        """Interrupt the run as soon as can be; from any thread."""
        self.stop_reason = self.stop_reason or reason
        self.stopped.set()
        worker_loop().call_soon_threadsafe(self._interrupt)

    def _interrupt(self) -> None:
        if self.task is not None:
            self.task.cancel()


def enlist(job: Job) -> None:
    _jobs[job.run_id] = job
    if _ending is not None:
        job.stop(_ending)


def dismiss(job: Job) -> None:
    if _jobs.get(job.run_id) is job:
        del _jobs[job.run_id]


def stop_all(reason: str) -> None:
    """Interrupt every run of this process, and those that it may still claim."""
    global _ending  # noqa: PLW0603  # One process, one end.
    _ending = reason
    for job in list(_jobs.values()):
        job.stop(reason)


def is_ending() -> bool:
    """Whether every run of this process was told to stop."""
    return _ending is not None


def submit(work: Coroutine[Any, Any, T]) -> "Future[T]":
    return asyncio.run_coroutine_threadsafe(work, worker_loop())


def worker_loop() -> asyncio.AbstractEventLoop:
    """The loop, started when first asked for."""
    global _loop  # noqa: PLW0603  # One loop per process.
    with _lock:
        if _loop is None or _loop[0] != os.getpid():
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="runs", daemon=True).start()
            asyncio.run_coroutine_threadsafe(_listen_for_cancels(), loop)
            _loop = (os.getpid(), loop)
        return _loop[1]


def close() -> None:
    """End the loop of this process, if there is one."""
    global _loop  # noqa: PLW0603  # One loop per process.
    with _lock:
        if _loop is not None and _loop[0] == os.getpid():
            asyncio.run_coroutine_threadsafe(_end(), _loop[1]).result(5)
            _loop[1].call_soon_threadsafe(_loop[1].stop)
        _loop = None


async def _end() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await close_async_client()


async def _listen_for_cancels() -> None:
    """Stop a run the moment somebody cancels it. The rows say so too, so a missed message costs a second."""
    while True:
        try:
            pubsub = async_client().pubsub(ignore_subscribe_messages=True)
            async with aclosing(pubsub):
                await pubsub.subscribe(CANCEL_CHANNEL)
                while True:
                    message = await pubsub.get_message(timeout=10)
                    if message is not None:
                        _cancel(message["data"])
        except (RedisError, OSError) as error:
            logger.warning("cancels_not_heard error=%s", error)
            await asyncio.sleep(0.5)


def _cancel(data: bytes) -> None:
    try:
        job = _jobs.get(UUID(data.decode()))
    except ValueError:
        return
    if job is not None:
        job.stop("cancelled")
