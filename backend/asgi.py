"""The ASGI application of the web process: streams are native, everything else runs as WSGI in threads.

Django's own ASGI handler takes a thread and a database connection for each synchronous request and three times the
processor time; in a pool of threads connections are kept. An event stream of hours, in turn, must not hold a thread.
"""

import os
import re

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.settings")

from backend.wsgi import application as wsgi  # noqa: I001  # The first: it sets Django up.
from django.conf import settings

from backend.accounts.authentication import account_of, account_shown
from backend.http import refusals
from backend.http.bodies import with_bodies
from backend.http.concurrency import refusal
from backend.server.bridge import cleaned, in_turn
from backend.http.native import NativeHandler
from backend.http.sse import end_streams
from backend.server import web
from backend.server.connections import Protocol
from backend.server.scope import Receive, Scope, Send
from backend.server.threads import Threads

# Event streams, whose views are async and answer GET alone; and who asks for our health waits for no thread.
NATIVE = re.compile(r"/api/v1/(runs|documents)/[^/]+/events|/healthz|/readyz")

# What makes a burst: its CPU time is all that it waits for, so it gains nothing from more at once.
QUESTIONS = re.compile(r"/api/v1/conversations/[^/]+/runs")


def _authorization(scope: Scope) -> str:
    return next((value.decode("latin1") for name, value in scope["headers"] if name == b"authorization"), "")


def _account_shown(scope: Scope) -> str | None:
    return account_shown(_authorization(scope))


def _identify(scope: Scope) -> str | None:
    return account_of(authorization=_authorization(scope), method=scope["method"], path=scope["path"])


web.at_shutdown.append(end_streams)
Protocol.refusal = staticmethod(refusals.refusal)
native = NativeHandler()
threads = with_bodies(
    in_turn(
        Threads(wsgi, workers=settings.WEB_THREADS, refusal=refusal, account_of=_account_shown),
        paths=QUESTIONS,
        at_once=1,
    ),
    identify=_identify,
)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Route by path and nothing else."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1000})
    elif NATIVE.fullmatch(scope["path"]):
        await native(cleaned(scope), receive, send)
    else:
        await threads(cleaned(scope), receive, send)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
