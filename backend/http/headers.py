"""Headers that keep browsers from doing more with our answers than they should."""

from collections.abc import Awaitable
from typing import cast

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.decorators import sync_and_async_middleware

from backend.server.request_id import type_of_view

PERMISSIONS = "accelerometer=(), camera=(), geolocation=(), gyroscope=(), microphone=(), payment=(), usb=()"
NOTHING = "default-src 'none'; frame-ancestors 'none'"
ADMIN_PATH = "/admin/"
API_PATH = "/api/v1/"
# The same address answers each token, and each workspace, differently: no cache may mix them up.
DEPENDS_ON = ("Authorization", "Orquestra-Workspace", "X-Session-Token")
# Nothing of the admin's pages is inline but styles. Nothing comes from, goes to or is shown inside another site.
ADMIN = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self' 'unsafe-eval'",  # Alpine.js makes functions of the expressions in unfold's attributes.
        "style-src 'self' 'unsafe-inline'",  # Its colours come as <style>, what it hides as style="".
        "img-src 'self'",
        "font-src 'self'",
        "connect-src 'self'",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
)


def _protect(request: HttpRequest, response: HttpResponseBase) -> None:
    """A page names its own policy, the admin has one; all else may load nothing, and HTML among it may not run."""
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "same-origin")
    response.headers.setdefault("X-Frame-Options", "DENY")
    response.headers.setdefault("Permissions-Policy", PERMISSIONS)
    if request.path_info.startswith(API_PATH):
        patch_vary_headers(response, DEPENDS_ON)
        response.headers.setdefault("Cache-Control", "private, no-cache")
    if request.path_info.startswith(ADMIN_PATH):
        response.headers.setdefault("Content-Security-Policy", ADMIN)
        return
    kind = response.headers.get("Content-Type", "")
    document = kind.startswith(("text/html", "application/xhtml", "image/svg", "text/xml", "application/xml"))
    response.headers.setdefault("Content-Security-Policy", f"{NOTHING}; sandbox" if document else NOTHING)


@sync_and_async_middleware
def security_headers_middleware(get_response: type_of_view) -> type_of_view:
    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponseBase:
            response = await cast(Awaitable[HttpResponseBase], get_response(request))
            _protect(request, response)
            return response

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponseBase:
        response = cast(HttpResponseBase, get_response(request))
        _protect(request, response)
        return response

    return synchronous
