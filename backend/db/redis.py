"""Connections to Redis, with time-outs: nothing waits for ever on a server that went away."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

from django.conf import settings
from redis import Redis
from redis import asyncio as aioredis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

LONGEST_BLOCK = 15  # Seconds; a blocking read asks for no more, so that the socket's time-out means a dead server.
SHORT_COMMANDS = 16  # Of one event loop at once.

_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, "aioredis.Redis"] = WeakKeyDictionary()
_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


@lru_cache(maxsize=1)
def client() -> Redis:
    """The process's client; its pool is shared by all threads and made anew after a fork. Answers are ``bytes``."""
    return Redis.from_url(
        settings.REDIS_URL,
        socket_connect_timeout=2,
        socket_timeout=5,
        health_check_interval=30,
        # Once, for a connection that went stale, and not for a server that hangs; the library's own waits for seconds.
        retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
    )


def async_client() -> "aioredis.Redis":
    """The client of the running event loop. Blocking reads ask for at most ``LONGEST_BLOCK`` seconds."""
    loop = asyncio.get_running_loop()
    found = _by_loop.get(loop)
    if found is None:
        found = _by_loop[loop] = aioredis.Redis.from_url(
            settings.REDIS_URL,
            socket_connect_timeout=2,
            socket_timeout=LONGEST_BLOCK + 5,
            health_check_interval=30,
        )
    return found


async def in_turn(command: "Callable[[aioredis.Redis], Awaitable[Any]]") -> Any:
    """A short command. A thousand callers at once take turns on a few connections.

    :raises RedisError: Redis does not answer; or an OSError.
    """
    turns = _turns.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(SHORT_COMMANDS))
    async with turns:
        return await command(async_client())


async def close_async_client() -> None:
    """Close the running loop's connections, as when a test's loop or a worker ends."""
    found = _by_loop.pop(asyncio.get_running_loop(), None)
    if found is not None:
        await found.aclose()
