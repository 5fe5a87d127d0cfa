"""The ASGI application of the web process: asynchronous views run in the event loop, all other requests in threads.

Django's own ASGI handler takes a thread and a database connection for each synchronous request and three times the
CPU time; a pool of threads keeps its connections. An event stream, in turn, is open for hours and must not hold a
thread.
"""

import os
import re
from contextlib import AbstractAsyncContextManager

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.settings")

from backend.wsgi import application as wsgi  # noqa: I001  # The first: it sets Django up.
from django.conf import settings

from backend.accounts.authentication import account_of, account_shown
from backend.http.concurrency import hold_slot_async, no_free_slot
from backend.http.problems import raw_problem
from backend.http.sse import end_streams
from backend.server import web
from backend.server.async_views import AsyncViewHandler
from backend.server.bodies import read_bodies
from backend.server.connections import Protocol
from backend.server.queueing import queue_requests
from backend.server.scope import Receive, Scope, Send, sanitized
from backend.server.wsgi_threads import ThreadedWSGI

# Routes with asynchronous views, which answer GET alone: event streams, and health checks, which must not wait for a
# thread.
ASYNC_PATHS = re.compile(r"/api/v1/(runs|documents)/[^/]+/events|/healthz|/readyz")

# Questions come in bursts. A few at once use the time in which others wait for PostgreSQL; all at once would delay
# each of them.
QUESTION_PATHS = re.compile(r"/api/v1/conversations(/[^/]+/runs)?|/api/v1/runs/[^/]+/retry")


def _authorization(scope: Scope) -> str:
    return next((value.decode("latin1") for name, value in scope["headers"] if name == b"authorization"), "")


def _account_shown(scope: Scope) -> str | None:
    return account_shown(_authorization(scope))


def _identify(scope: Scope) -> str | None:
    return account_of(authorization=_authorization(scope), method=scope["method"], path=scope["path"])


def _upload_slot(account: str) -> AbstractAsyncContextManager[None]:
    return hold_slot_async("uploads", account, limit=settings.UPLOADS_PER_USER)


web.at_shutdown.append(end_streams)
Protocol.error_response = staticmethod(raw_problem)
async_views = AsyncViewHandler()
threads = read_bodies(
    queue_requests(
        ThreadedWSGI(wsgi, workers=settings.WEB_THREADS, overload_error=no_free_slot, account_of=_account_shown),
        paths=QUESTION_PATHS,
        max_concurrent=settings.QUESTIONS_AT_ONCE,
    ),
    identify=_identify,
    upload_slot=_upload_slot,
)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Route by path and nothing else."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1000})
    elif ASYNC_PATHS.fullmatch(scope["path"]):
        await async_views(sanitized(scope), receive, send)
    else:
        await threads(sanitized(scope), receive, send)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
