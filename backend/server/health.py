"""Checks the dependencies of this process: PostgreSQL, Redis, and those that apps add."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
from django.conf import settings
from django.db import connection
from redis import Redis

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 2.0
_threads = ThreadPoolExecutor(max_workers=6, thread_name_prefix="readyz")


async def check_dependencies() -> dict[str, str]:
    """Each dependency by name with "ok" or, if it fails or does not answer within two seconds, "error"."""
    waiting = {name: _threads.submit(check) for name, check in CHECKS.items()}
    states: dict[str, str] = {}
    for name, future in waiting.items():
        try:
            await asyncio.wait_for(asyncio.wrap_future(future), TIMEOUT_SECONDS)
            states[name] = "ok"
        except TimeoutError:
            states[name] = "error"
            logger.warning("dependency_timed_out name=%s seconds=%s", name, TIMEOUT_SECONDS)
        except Exception as error:  # A driver may raise anything.
            states[name] = "error"
            logger.warning("dependency_failed name=%s error=%s", name, error)
    return states


def _database() -> None:
    """Uses a connection of its own: a pool without a free connection is busy, not broken."""
    parameters = connection.get_connection_params()
    for name in ("pool", "cursor_factory", "context", "prepare_threshold", "server_side_binding", "options"):
        parameters.pop(name, None)
    parameters["connect_timeout"] = 2
    with psycopg.connect(**parameters, autocommit=True, options="-c statement_timeout=1500") as opened:
        opened.execute("SELECT 1")


def _redis() -> None:
    with Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1, socket_timeout=1) as opened:
        opened.ping()


# By name, a function that raises when the dependency fails. Apps add their own at startup.
CHECKS: dict[str, Callable[[], object]] = {"database": _database, "redis": _redis}
