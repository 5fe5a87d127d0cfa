"""Django's ASGI handler for the routes that answer in the event loop itself: event streams and questions of health.

In asynchronous mode Django runs every hook of its own middleware in a thread, two dozen hops for one answer that needs
none of them. These routes know no cookie and no form, so they get only the middleware that concerns them, and its
hooks, which wait for nothing, run where they are.
"""

import asyncio
from collections.abc import Sequence
from io import BytesIO
from typing import Any

from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.common import CommonMiddleware
from django.middleware.locale import LocaleMiddleware
from django.middleware.security import SecurityMiddleware
from django.urls import set_script_prefix
from django.utils.deprecation import MiddlewareMixin
from django.utils.module_loading import import_string

from backend.http.errors import ProblemMiddleware

# The outermost first, in the order of settings.MIDDLEWARE.
MIDDLEWARE = (
    "backend.server.request_id.request_id_middleware",
    "backend.server.logs.access_log_middleware",
    "backend.server.metrics.metrics_middleware",
    "backend.http.native.Problems",
    "backend.http.headers.security_headers_middleware",
    "backend.http.native.Security",
    "corsheaders.middleware.CorsMiddleware",
    "backend.http.native.Locale",
    "backend.http.native.Common",
)


class InPlace(MiddlewareMixin):
    """Mixed into middleware before its class: the hooks run in the event loop."""

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        hooks: Any = self
        response = hooks.process_request(request) if hasattr(self, "process_request") else None
        if response is None:
            response = await self.get_response(request)  # type: ignore[misc]  # It is one of ours, hence awaitable.
        if hasattr(self, "process_response"):
            response = hooks.process_response(request, response)
        answer: HttpResponseBase = response
        return answer


class Problems(InPlace, ProblemMiddleware):
    pass


class Security(InPlace, SecurityMiddleware):
    pass


class Locale(InPlace, LocaleMiddleware):
    pass


class Common(InPlace, CommonMiddleware):
    pass


class NativeHandler(ASGIHandler):
    """An ASGI application of asynchronous views that answer GET alone; a body is not looked at.

    It sends no ``request_started`` and no ``request_finished``: what they tidy are the threads of synchronous views.
    """

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer, unless the client leaves before."""
        set_script_prefix(get_script_prefix(scope))
        request, refusal = self.create_request(scope, BytesIO())
        if refusal is not None:
            await self.send_response(refusal, send)
            return
        answering = asyncio.ensure_future(self._answer(request, send))
        leaving = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (answering, leaving):
                task.cancel()
            await asyncio.gather(answering, leaving, return_exceptions=True)
        if not answering.cancelled():
            answering.result()

    async def _answer(self, request: Any, send: Any) -> None:
        response: Any = await self.run_get_response(request)
        try:
            await self.send_response(response, send)
        finally:
            response.close()

    def load_middleware(self, is_async: bool = True, middleware: Sequence[str] = MIDDLEWARE) -> None:
        """As Django does it, for these classes instead of those of the settings."""
        handler: Any = self
        handler._view_middleware, handler._template_response_middleware, handler._exception_middleware = [], [], []
        chain: Any = convert_exception_to_response(handler._get_response_async)
        for path in reversed(middleware):
            layer = import_string(path)(chain)
            if hasattr(layer, "process_exception"):
                handler._exception_middleware.append(layer.process_exception)
            chain = convert_exception_to_response(layer)
        handler._middleware_chain = chain


async def _gone(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
