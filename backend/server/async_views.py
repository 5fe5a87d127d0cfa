"""Django's ASGI handler for the routes whose views are asynchronous: event streams and health checks.

In asynchronous mode Django runs every hook of its own middleware in a thread, two dozen thread switches for one
response. These routes use no cookie and no form, so they get only the middleware that concerns them
(settings.ASYNC_MIDDLEWARE), and its hooks, none of which waits for anything, run in the event loop.
"""

from collections.abc import Sequence
from io import BytesIO
from typing import Any

from django.conf import settings
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

from backend.server.scope import run_until_disconnect


class InEventLoop(MiddlewareMixin):
    """A mixin placed before a middleware class of Django: its hooks run in the event loop instead of in a thread."""

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        hooks: Any = self
        response = hooks.process_request(request) if hasattr(self, "process_request") else None
        if response is None:
            response = await self.get_response(request)  # type: ignore[misc]  # It is one of ours, hence awaitable.
        if hasattr(self, "process_response"):
            response = hooks.process_response(request, response)
        result: HttpResponseBase = response
        return result


class AsyncSecurityMiddleware(InEventLoop, SecurityMiddleware):
    pass


class AsyncLocaleMiddleware(InEventLoop, LocaleMiddleware):
    pass


class AsyncCommonMiddleware(InEventLoop, CommonMiddleware):
    pass


class AsyncViewHandler(ASGIHandler):
    """An ASGI application of asynchronous views that answer GET alone; a body is not read.

    It sends neither ``request_started`` nor ``request_finished``: their receivers clean up after synchronous views.
    """

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send the response, unless the client disconnects first."""
        set_script_prefix(get_script_prefix(scope))
        request, error_response = self.create_request(scope, BytesIO())
        if error_response is not None:
            await self.send_response(error_response, send)
            return
        await run_until_disconnect(self._respond(request, send), receive)

    async def _respond(self, request: Any, send: Any) -> None:
        response: Any = await self.run_get_response(request)
        try:
            await self.send_response(response, send)
        finally:
            response.close()

    def load_middleware(self, is_async: bool = True, middleware: Sequence[str] | None = None) -> None:
        """As in Django, but with settings.ASYNC_MIDDLEWARE instead of settings.MIDDLEWARE."""
        handler: Any = self
        handler._view_middleware, handler._template_response_middleware, handler._exception_middleware = [], [], []
        chain: Any = convert_exception_to_response(handler._get_response_async)
        for path in reversed(settings.ASYNC_MIDDLEWARE if middleware is None else middleware):
            layer = import_string(path)(chain)
            if hasattr(layer, "process_exception"):
                handler._exception_middleware.append(layer.process_exception)
            chain = convert_exception_to_response(layer)
        handler._middleware_chain = chain
