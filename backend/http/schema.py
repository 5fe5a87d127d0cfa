"""The OpenAPI document, and a page to browse it whose scripts and styles this server serves."""

from functools import lru_cache
from importlib import import_module
from threading import Lock
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils import translation
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer2
from drf_spectacular.views import SpectacularSwaggerSplitView

from backend.http.methods import read_only

Schema = dict[str, Any]

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def document() -> bytes:
    """The document as JSON. Generating it takes a third of a second, so this happens once per process.

    One thread generates it while others wait: the generator keeps state in globals, such as the traces of its warnings.
    """
    with _lock:
        return _generate()


_lock = Lock()


@lru_cache(maxsize=1)
def _generate() -> bytes:
    every_route = getattr(import_module(settings.ROOT_URLCONF), "routes", None)  # Of all services.
    with GENERATOR_STATS.silence(), translation.override(settings.LANGUAGE_CODE):  # Independent of the first request.
        generator = SchemaGenerator(patterns=every_route and every_route())  # type: ignore[no-untyped-call]  # Untyped upstream.
        schema = generator.get_schema(request=None, public=True)  # type: ignore[no-untyped-call]  # Likewise.
    return bytes(OpenApiJsonRenderer2().render(schema, renderer_context={}))


@read_only
def schema(request: HttpRequest) -> HttpResponse:
    return HttpResponse(document(), content_type="application/json", headers={"Cache-Control": "public, max-age=60"})


_swagger = SpectacularSwaggerSplitView.as_view(
    url_name="schema", authentication_classes=[], permission_classes=[], throttle_classes=[]
)


@read_only
def docs(request: HttpRequest) -> HttpResponseBase:
    response = _swagger(request)
    response["Content-Security-Policy"] = PAGE_POLICY
    return response
