"""The reference page: one template, and files under /static/console/."""

from pathlib import Path

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import cache_control

from backend.http import errors
from backend.http.methods import read_only

# Only the page's own files, and no markup made from text (Trusted Types), even by mistake.
CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",  # Page images are fetched with a token and shown from memory.
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
)
# For the 404 page, which runs no script.
STILL = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'"
FOR_PROGRAMS = ("/api/", "/v1/", "/static/", "/admin/", "/.well-known/")  # Their responses are never a page of ours.
FOLDER = Path(__file__).parent / "static"
# Preloaded, so that the browser need not discover them import by import.
MODULES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.glob("console/*.js"))


@read_only
@cache_control(no_cache=True)
def page(request: HttpRequest) -> HttpResponse:
    response = render(request, "console/page.html", {"modules": MODULES})
    response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response["Referrer-Policy"] = "same-origin"
    return response


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """The 404 handler: browsers get a page, other clients a problem document."""
    accepted = request.headers.get("Accept", "")
    if "text/html" not in accepted or request.path_info.startswith(FOR_PROGRAMS):
        return errors.not_found(request, exception)
    response = render(request, "console/not_found.html", status=404)
    response["Content-Security-Policy"] = STILL
    response["Cache-Control"] = "no-store"
    patch_vary_headers(response, ["Accept", "Accept-Language"])
    return errors.as_page(response)
