"""The request id: the client's or a new one; sent back, and bound to the log lines and tasks of the request."""

import re
from collections.abc import Awaitable, Callable
from typing import cast
from uuid import uuid4

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware
from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars

HEADER = "X-Request-ID"
ACCEPTED = re.compile(r"[A-Za-z0-9_-]{8,64}")

GetResponse = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]


def current_request_id() -> str:
    """The id of the current request, also inside a Celery task that it caused; empty if there is none."""
    return str(get_contextvars().get("request_id", ""))


def request_id_of(request: HttpRequest) -> str:
    return str(getattr(request, "request_id", "")) or current_request_id()


def _begin(request: HttpRequest) -> str:
    given = request.headers.get(HEADER, "")
    request_id = given if ACCEPTED.fullmatch(given) else uuid4().hex
    request.request_id = request_id  # type: ignore[attr-defined]  # Read back by request_id_of.
    clear_contextvars()
    bind_contextvars(request_id=request_id)
    return request_id


@sync_and_async_middleware
def request_id_middleware(get_response: GetResponse) -> GetResponse:
    """The outermost middleware, so that every response has the id, whichever layer sends it."""
    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponseBase:
            request_id = _begin(request)
            response = await cast(Awaitable[HttpResponseBase], get_response(request))
            response[HEADER] = request_id
            return response

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponseBase:
        request_id = _begin(request)
        response = cast(HttpResponseBase, get_response(request))
        response[HEADER] = request_id
        return response

    return synchronous
