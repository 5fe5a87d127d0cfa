"""The reference page: one template, and files under /static/console/."""

from pathlib import Path

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import cache_control

from backend.http.methods import read_only

# Nothing but the page's own files, and no markup made from text (Trusted Types) even by mistake.
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
FOLDER = Path(__file__).parent / "static"
# Named to the browser at once, so that it need not discover them import by import.
MODULES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.glob("console/*.js"))


@read_only
@cache_control(no_cache=True)
def page(request: HttpRequest) -> HttpResponse:
    response = render(request, "console/page.html", {"modules": MODULES})
    response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response["Referrer-Policy"] = "same-origin"
    return response
