"""Connections to Redis, with time-outs: nothing waits for ever on a server that went away."""

import asyncio
from functools import lru_cache
from weakref import WeakKeyDictionary

from django.conf import settings
from redis import Redis
from redis import asyncio as aioredis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

LONGEST_BLOCK = 15  # Seconds; a blocking read asks for no more, so that the socket's time-out means a dead server.

_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, "aioredis.Redis"] = WeakKeyDictionary()


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


async def close_async_client() -> None:
    """Close the running loop's connections, as when a test's loop or a worker ends."""
    found = _by_loop.pop(asyncio.get_running_loop(), None)
    if found is not None:
        await found.aclose()
