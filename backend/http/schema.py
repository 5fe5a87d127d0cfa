"""The OpenAPI document, and the page that browses it with scripts and styles served from here."""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from importlib import import_module
from threading import Lock
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import translation
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerFieldExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.renderers import OpenApiJsonRenderer2
from drf_spectacular.views import SpectacularSwaggerSplitView

from backend.http.codes import CONTENT_TYPE
from backend.http.ids import SUFFIX
from backend.http.methods import read_only

Schema = dict[str, Any]

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
METHODS = ("get", "put", "post", "patch", "delete")
PROBLEM: Schema = {
    "type": "object",
    "description": "A refusal (RFC 9457). `code` never changes; texts follow Accept-Language.",
    "required": ["type", "title", "status", "detail", "instance", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri", "example": "urn:orquestra:problem:validation_error"},
        "title": {"type": "string", "example": "Invalid fields"},
        "status": {"type": "integer", "example": 422},
        "detail": {"type": "string", "example": "One or more fields are not valid."},
        "instance": {"type": "string", "nullable": True, "example": "/api/v1/agents"},
        "code": {"type": "string", "example": "validation_error"},
        "request_id": {"type": "string", "example": "9f0c1a3f2b6e4d7c8a5b4c3d2e1f0a9b"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "detail"],
                "properties": {
                    "pointer": {"type": "string", "example": "/name"},
                    "code": {"type": "string", "example": "required"},
                    "detail": {"type": "string", "example": "This field is required."},
                },
            },
        },
    },
    "additionalProperties": True,
}
RESPONSES: dict[str, str] = {
    "400": "The request or its body cannot be understood.",
    "401": "Not authenticated, the token has expired, or the session has ended.",
    "403": "The role or the API key does not allow this.",
    "404": "Unknown, or not to be seen by you: the same answer.",
    "413": "The body is too large.",
    "415": "Not a content type that this takes.",
    "422": "A field is not valid.",
    "429": "Too many requests; Retry-After says when to come back.",
    "default": "Any other refusal.",
}
WORKSPACE: Schema = {
    "in": "header",
    "name": "Orquestra-Workspace",
    "description": "The workspace to act in; without it, the personal one.",
    "schema": {"type": "string", "pattern": f"^wsp_{SUFFIX}$"},
}
IDEMPOTENCY: Schema = {
    "in": "header",
    "name": "Idempotency-Key",
    "description": "Repeats of a request that creates or spends answer like the first one for 24 hours.",
    "schema": {"type": "string", "maxLength": 255},
}


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # Untyped upstream.
    target_class = "rest_framework_simplejwt.authentication.JWTStatelessUserAuthentication"
    match_subclasses = True
    priority = 1
    name = "bearer"

    def get_security_definition(self, auto_schema: AutoSchema) -> Schema:
        return {"type": "http", "scheme": "bearer", "description": "An access token (JWT) or an API key (`orq_…`)."}


class PublicIdFieldExtension(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]  # Untyped upstream.
    target_class = "backend.http.ids.PublicIdField"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: str) -> Schema:
        return {"type": "string", "pattern": f"^{self.target.prefix}_{SUFFIX}$"}


def add_streams(result: Schema, generator: SchemaGenerator, request: HttpRequest | None, public: bool) -> Schema:
    """A postprocessing hook: the event streams, which are asynchronous views that DRF does not know."""
    for route, callback in _views(generator.patterns or get_resolver().url_patterns):
        if iscoroutinefunction(callback) and route.endswith("/events"):
            path = "/" + re.sub(r"<(?:\w+:)?\w+>", "{id}", route)
            result["paths"][path] = {"get": _stream(path, callback.__doc__ or "")}
    result["paths"] = dict(sorted(result["paths"].items()))
    return result


def _views(patterns: Iterable[URLPattern | URLResolver], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for entry in patterns:
        if isinstance(entry, URLResolver):
            yield from _views(entry.url_patterns, prefix + str(entry.pattern))
        else:
            yield prefix + str(entry.pattern), entry.callback


def _stream(path: str, doc: str) -> Schema:
    subject = path.split("/")[3]
    resume = "The `id` of the last event that was read; the stream goes on behind it."
    frames = "Server-sent events: `id`, `event`, and `data` with one JSON object. A comment every 15 seconds."
    return {
        "operationId": f"{subject}_events",
        "description": " ".join(doc.split()),
        "tags": [subject],
        "security": [{"bearer": []}],
        "parameters": [
            {"in": "path", "name": "id", "required": True, "schema": {"type": "string", "format": "uuid"}},
            {"in": "header", "name": "Last-Event-ID", "description": resume, "schema": {"type": "string"}},
            {"in": "query", "name": "after", "description": resume, "schema": {"type": "string"}},
        ],
        "responses": {"200": {"description": frames, "content": {"text/event-stream": {"schema": {"type": "string"}}}}},
    }


def add_conventions(result: Schema, generator: SchemaGenerator, request: HttpRequest | None, public: bool) -> Schema:
    """A postprocessing hook: what every operation shares and no view repeats."""
    components = result.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = PROBLEM
    components["responses"] = {f"Problem{status.title()}": _refusal(text) for status, text in RESPONSES.items()}
    for path, method, operation in _operations(result):
        parameters = operation.setdefault("parameters", [])
        for parameter in parameters:
            if parameter["in"] == "path" and parameter["schema"].get("format") == "uuid":
                parameter["schema"] = {"type": "string", "pattern": f"^[a-z]{{3}}_{SUFFIX}$"}
                parameter.pop("description", None)
        secured = any(operation.get("security") or ())
        if secured:
            parameters.append(WORKSPACE)
        if secured and method == "post":
            parameters.append(IDEMPOTENCY)
        for status in _refusals(path, method, operation, secured=secured):
            operation["responses"].setdefault(status, {"$ref": f"#/components/responses/Problem{status.title()}"})
    return result


def _operations(document: Schema) -> Iterator[tuple[str, str, Schema]]:
    for path, item in document.get("paths", {}).items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def _refusals(path: str, method: str, operation: Schema, *, secured: bool) -> Iterator[str]:
    yield "400"
    if secured:
        yield from ("401", "403")
    if "{" in path:
        yield "404"
    if "requestBody" in operation:
        yield from ("413", "415")
    if "requestBody" in operation or any(parameter["in"] == "query" for parameter in operation["parameters"]):
        yield "422"
    yield from ("429", "default")


def _refusal(text: str) -> Schema:
    return {"description": text, "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}


def document() -> bytes:
    """The document as JSON. It takes a third of a second to make and never changes while the process lives.

    One thread makes it, and those that ask meanwhile wait: the generator keeps its state in globals, such as the traces
    of its warnings.
    """
    with _making:
        return _made()


_making = Lock()


@lru_cache(maxsize=1)
def _made() -> bytes:
    every_route = getattr(import_module(settings.ROOT_URLCONF), "routes", None)  # Also of services elsewhere.
    with GENERATOR_STATS.silence(), translation.override(settings.LANGUAGE_CODE):  # Not in that of the first request.
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
