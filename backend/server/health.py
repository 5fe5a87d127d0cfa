"""Does this process live, and do the parts that it needs answer? Asked by launchers, gateways and orchestrators."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
from django.conf import settings
from django.db import connection
from redis import Redis

logger = logging.getLogger(__name__)

SECONDS = 2.0
_threads = ThreadPoolExecutor(max_workers=6, thread_name_prefix="readyz")


async def states_of_parts() -> dict[str, str]:
    """ "ok" or "error" for each part by name; one that does not answer within two seconds is an error."""
    waiting = {name: _threads.submit(check) for name, check in CHECKS.items()}
    states: dict[str, str] = {}
    for name, future in waiting.items():
        try:
            await asyncio.wait_for(asyncio.wrap_future(future), SECONDS)
            states[name] = "ok"
        except TimeoutError:
            states[name] = "error"
            logger.warning("not ready: %s did not answer within %s s", name, SECONDS)
        except Exception as error:  # Whatever a driver raises, it is not ready.
            states[name] = "error"
            logger.warning("not ready: %s: %s", name, error)
    return states


def _database() -> None:
    """On a connection of its own: a pool that is used up is busy, not broken."""
    parameters = connection.get_connection_params()
    for name in ("pool", "cursor_factory", "context", "prepare_threshold", "server_side_binding", "options"):
        parameters.pop(name, None)
    parameters["connect_timeout"] = 2
    with psycopg.connect(**parameters, autocommit=True, options="-c statement_timeout=1500") as opened:
        opened.execute("SELECT 1")


def _redis() -> None:
    with Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1, socket_timeout=1) as opened:
        opened.ping()


# By name, what raises when a part does not answer. An app adds its own when it starts.
CHECKS: dict[str, Callable[[], object]] = {"database": _database, "redis": _redis}
