"""Security headers: what browsers may do with our responses."""

from collections.abc import Awaitable
from typing import cast

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.decorators import sync_and_async_middleware

from backend.server.request_id import GetResponse

PERMISSIONS = "accelerometer=(), camera=(), geolocation=(), gyroscope=(), microphone=(), payment=(), usb=()"
DEFAULT_POLICY = "default-src 'none'; frame-ancestors 'none'"
ADMIN_PATH = "/admin/"
API_PATH = "/api/v1/"
# The response of one URL depends on the token and on the workspace: no cache may mix them up.
VARY_HEADERS = ("Authorization", "Orquestra-Workspace", "X-Session-Token")
# The pages of the admin have inline styles but no inline scripts. They load nothing from other sites, send nothing to
# them, and are not shown in their frames.
ADMIN_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self' 'unsafe-eval'",  # Alpine.js compiles the expressions in unfold's attributes.
        "style-src 'self' 'unsafe-inline'",  # unfold's colours are in <style>, hidden elements in style="".
        "img-src 'self'",
        "font-src 'self'",
        "connect-src 'self'",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
)


def _set_headers(request: HttpRequest, response: HttpResponseBase) -> None:
    """Set the headers. Pages and the admin have policies of their own; other responses may not load or run anything."""
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "same-origin")
    response.headers.setdefault("X-Frame-Options", "DENY")
    response.headers.setdefault("Permissions-Policy", PERMISSIONS)
    if request.path_info.startswith(API_PATH):
        patch_vary_headers(response, VARY_HEADERS)
        response.headers.setdefault("Cache-Control", "private, no-cache")
    if request.path_info.startswith(ADMIN_PATH):
        response.headers.setdefault("Content-Security-Policy", ADMIN_POLICY)
        return
    kind = response.headers.get("Content-Type", "")
    document = kind.startswith(("text/html", "application/xhtml", "image/svg", "text/xml", "application/xml"))
    response.headers.setdefault("Content-Security-Policy", f"{DEFAULT_POLICY}; sandbox" if document else DEFAULT_POLICY)


@sync_and_async_middleware
def security_headers_middleware(get_response: GetResponse) -> GetResponse:
    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponseBase:
            response = await cast(Awaitable[HttpResponseBase], get_response(request))
            _set_headers(request, response)
            return response

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponseBase:
        response = cast(HttpResponseBase, get_response(request))
        _set_headers(request, response)
        return response

    return synchronous
