"""Clients of Redis. Every command has a time-out, so that a server that went away blocks no caller for ever."""

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

MAX_BLOCK_SECONDS = 15  # Of a blocking read. The socket's time-out is longer, so that it means a dead server.
MAX_CONCURRENT_COMMANDS = 16  # Of one event loop through ``run_limited``.

_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, "aioredis.Redis"] = WeakKeyDictionary()
_slots: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


@lru_cache(maxsize=1)
def client() -> Redis:
    """The client of this process. All threads share its pool, which is new after a fork. Replies are ``bytes``."""
    return Redis.from_url(
        settings.REDIS_URL,
        socket_connect_timeout=2,
        socket_timeout=5,
        health_check_interval=30,
        # One retry without a pause, for a stale connection. The library's default would wait for seconds.
        retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
    )


def async_client() -> "aioredis.Redis":
    """The client of the running event loop. Blocking reads must ask for ``MAX_BLOCK_SECONDS`` at most."""
    loop = asyncio.get_running_loop()
    found = _clients.get(loop)
    if found is None:
        found = _clients[loop] = aioredis.Redis.from_url(
            settings.REDIS_URL,
            socket_connect_timeout=2,
            socket_timeout=MAX_BLOCK_SECONDS + 5,
            health_check_interval=30,
        )
    return found


async def run_limited(command: "Callable[[aioredis.Redis], Awaitable[Any]]") -> Any:
    """Run a short command. A thousand concurrent callers queue for a few connections.

    :raises RedisError: Redis does not answer; or an OSError.
    """
    slots = _slots.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(MAX_CONCURRENT_COMMANDS))
    async with slots:
        return await command(async_client())


async def close_async_client() -> None:
    """Close the connections of the running event loop, such as when a worker or a test ends."""
    found = _clients.pop(asyncio.get_running_loop(), None)
    if found is not None:
        await found.aclose()
