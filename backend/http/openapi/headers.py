"""Request and response headers in the OpenAPI document."""

from collections.abc import Iterator
from typing import Any

from backend.http.openapi.operations import id_schema

Schema = dict[str, Any]

IDEMPOTENCY_KEY = "^[!-~]([ -~]{0,253}[!-~])?$"  # A header's value neither begins nor ends with a space.

WORKSPACE: Schema = {
    "in": "header",
    "name": "Orquestra-Workspace",
    "description": "The workspace to act in; without it, the personal one.",
    "schema": id_schema("wsp"),
}
IDEMPOTENCY: Schema = {
    "in": "header",
    "name": "Idempotency-Key",
    "description": "A text that is new for each action. For 24 hours, the same request with the same key gets the "
    "first answer again, and nothing happens twice.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": IDEMPOTENCY_KEY},
}
REQUEST_ID: Schema = {
    "in": "header",
    "name": "X-Request-ID",
    "description": "An id of the client's own, used if it is 8 to 64 of `A-Z a-z 0-9 _ -`; otherwise one is made.",
    "schema": {"type": "string"},
}
LANGUAGE: Schema = {
    "in": "header",
    "name": "Accept-Language",
    "description": "The language of messages, `en` or `pt-br`. Codes never change.",
    "schema": {"type": "string"},
}
PARAMETERS = {"Workspace": WORKSPACE, "IdempotencyKey": IDEMPOTENCY, "RequestId": REQUEST_ID, "Language": LANGUAGE}


def _header(description: str, *, required: bool = False, **schema: Any) -> Schema:
    made: Schema = {"description": description, "schema": {"type": "string", **schema}}
    return {**made, "required": True} if required else made


HEADERS: dict[str, Schema] = {
    "X-Request-ID": _header("Of this request, in every log line.", required=True, pattern="^[A-Za-z0-9_-]{8,64}$"),
    "Location": _header("The path of what was made.", required=True, pattern="^/api/v1/"),
    "Orquestra-Run": _header("The id of the run.", required=True, pattern=id_schema("run")["pattern"]),
    "Idempotent-Replayed": _header("The answer is that of an earlier request with this key.", const="true"),
    "Retry-After": _header("Seconds to wait.", required=True, pattern="^[0-9]+$"),
    "RateLimit": _header("What is left of the limit and when it is full again (draft-ietf-httpapi-ratelimit-headers)."),
    "RateLimit-Policy": _header("The limit: requests (`q`) in a window of seconds (`w`)."),
    "WWW-Authenticate": _header("How to authenticate (RFC 6750).", required=True, pattern="^Bearer"),
    "Allow": _header("The methods that the path knows.", required=True),
    "ETag": _header(
        "Of the bytes, for `If-None-Match`, `If-Match` and `If-Range`.", required=True, pattern='^(W/)?"[^"]+"$'
    ),
    "Accept-Ranges": _header("Parts can be asked for with `Range`.", const="bytes"),
    "Content-Range": _header("Which part it is, of how many bytes.", required=True, pattern="^bytes "),
    "Content-Disposition": _header("Whether to show or to save it, and its name."),
}


def component(name: str) -> str:
    return name.replace("-", "")


def reference(name: str) -> Schema:
    return {"$ref": f"#/components/headers/{component(name)}"}


def of_response(status: str, operation: Schema) -> Iterator[str]:
    """The names of the headers of one response of an operation."""
    yield "X-Request-ID"
    if operation.get("x-idempotent") and status.startswith("2"):
        yield "Idempotent-Replayed"
    if status == "401":
        yield "WWW-Authenticate"
    if status in ("429", "503"):
        yield "Retry-After"
    if operation.get("x-rate-limited"):
        yield from ("RateLimit", "RateLimit-Policy")
    yield from operation.get("x-headers", {}).get(status, ())


def add_components(components: Schema) -> None:
    components.setdefault("headers", {}).update({component(name): made for name, made in HEADERS.items()})
    components.setdefault("parameters", {}).update(PARAMETERS)
