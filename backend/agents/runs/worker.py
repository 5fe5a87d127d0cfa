"""The worker process: its one event loop, the runs that it holds, their start slots, and its shutdown."""

import asyncio
import logging
import os
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import aclosing, contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID

import uvloop
from celery.signals import worker_shutdown, worker_shutting_down
from django.conf import settings
from redis.exceptions import RedisError

from backend.agents.stream.publish import CANCEL_CHANNEL
from backend.db.redis import async_client, close_async_client
from backend.llm.clients import close_clients

logger = logging.getLogger(__name__)

T = TypeVar("T")

MAX_AT_ONCE = 2  # One thread waits for PostgreSQL while the other computes.
MAX_WAIT_SECONDS = 0.5  # A thread that has waited so long starts without a slot, whatever delays those before it.

_lock = threading.Lock()
_loop: tuple[int, asyncio.AbstractEventLoop] | None = None  # With the process it belongs to: a fork has none.
_handles: dict[UUID, "RunHandle"] = {}
_stop_reason: str | None = None  # Why every run of this process is to stop, once ``stop_all`` was called.
_draining = False  # Whether this process begins no step any more, since it shuts down.
_start_slots = threading.BoundedSemaphore(MAX_AT_ONCE)


class RunHandle:
    """A run that this process holds: how its thread and the event loop reach each other.

    :ivar stop_reason: ``cancelled``, ``timed_out``, ``lease_lost`` or ``shutdown``; the first one stands.
    """

    def __init__(self, run_id: UUID) -> None:
        self.run_id = run_id
        self.stop_reason: str | None = None
        self.stopped = threading.Event()
        self.task: asyncio.Task[Any] | None = None  # What to cancel in the event loop; set and read there.

    def stop(self, reason: str) -> None:
        """Interrupt the run as soon as possible; from any thread."""
        self.stop_reason = self.stop_reason or reason
        self.stopped.set()
        worker_loop().call_soon_threadsafe(self._interrupt)

    def _interrupt(self) -> None:
        if self.task is not None:
            self.task.cancel()


@contextmanager
def holding(run_id: UUID) -> Iterator[RunHandle]:
    """Register the run with this process, so that a cancel or a shutdown reaches it."""
    handle = RunHandle(run_id)
    _handles[run_id] = handle
    if _stop_reason is not None:
        handle.stop(_stop_reason)
    try:
        yield handle
    finally:
        if _handles.get(run_id) is handle:
            del _handles[run_id]


class StartSlot:
    """Limits how many threads are on the way from a claim to their first request.

    That way is processor time. Side by side, all runs that arrive together would send their request when the last one
    does; in order of arrival, few at a time, the last one sends it no later and the others sooner. A thread has
    its slot from ``with`` until ``leave()`` or, without that call, until the end of the block.
    """

    def __init__(self) -> None:
        self._taken = False

    def __enter__(self) -> Self:
        self._taken = _start_slots.acquire(timeout=MAX_WAIT_SECONDS)
        return self

    def leave(self) -> None:
        """Free the slot for the next thread. A second call does nothing."""
        if self._taken:
            self._taken = False
            _start_slots.release()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.leave()


@worker_shutting_down.connect
def stop_after_drain(**_: Any) -> None:
    """Begin no step from now on; give those that have begun some time to end, then interrupt those that are left.

    A run whose step ends meanwhile is given back (``LiveRun.check``), so that another worker continues it. With another
    step it would be interrupted in the middle of a request, and end.
    """
    global _draining  # noqa: PLW0603  # One process, one shutdown.
    _draining = True
    timer = threading.Timer(settings.RUN_DRAIN_SECONDS, stop_all, args=["shutdown"])
    timer.daemon = True
    timer.start()


def stop_all(reason: str) -> None:
    """Interrupt every run of this process, and those that it may still claim."""
    global _stop_reason  # noqa: PLW0603  # One process, one shutdown.
    _stop_reason = reason
    for handle in list(_handles.values()):
        handle.stop(reason)


def is_draining() -> bool:
    """Whether this process shuts down, and so begins no step any more."""
    return _draining


def submit(work: Coroutine[Any, Any, T]) -> "Future[T]":
    return asyncio.run_coroutine_threadsafe(work, worker_loop())


def worker_loop() -> asyncio.AbstractEventLoop:
    """The event loop of this process, in a thread of its own; the first call starts it."""
    global _loop  # noqa: PLW0603  # One loop per process.
    with _lock:
        if _loop is None or _loop[0] != os.getpid():
            loop = uvloop.new_event_loop()
            threading.Thread(target=loop.run_forever, name="runs", daemon=True).start()
            asyncio.run_coroutine_threadsafe(_listen_for_cancels(), loop)
            _loop = (os.getpid(), loop)
        return _loop[1]


@worker_shutdown.connect
def close(**_: Any) -> None:
    """End the event loop of this process, if there is one; its connections are closed first."""
    global _loop  # noqa: PLW0603  # One loop per process.
    with _lock:
        if _loop is not None and _loop[0] == os.getpid():
            asyncio.run_coroutine_threadsafe(_cancel_all(), _loop[1]).result(5)
            _loop[1].call_soon_threadsafe(_loop[1].stop)
        _loop = None


async def _cancel_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await close_clients()
    await close_async_client()


async def _listen_for_cancels() -> None:
    """Stop a run at the moment it is cancelled. The row says so too, so a lost message costs a second."""
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
            logger.warning("cancels_not_received error=%s", error)
            await asyncio.sleep(0.5)


def _cancel(data: bytes) -> None:
    try:
        handle = _handles.get(UUID(data.decode()))
    except ValueError:
        return
    if handle is not None:
        handle.stop("cancelled")
