"""Problem documents in the OpenAPI document: the schema, an example of each code, the codes of each operation."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any

from backend.http.codes import CODES, CONTENT_TYPE, TEXTS

Schema = dict[str, Any]

STATUSES: dict[str, int] = {code: status for status, code in CODES.items()} | {
    "malformed_body": 400,
    "token_expired": 401,
    "session_revoked": 401,
    "reauthentication_required": 401,
    "conversation_busy": 409,
    "idempotency_in_progress": 409,
    "storage_quota_exceeded": 409,
    "file_too_large": 413,
    "unsupported_file": 415,
    "idempotency_key_reused": 422,
    "model_unpriced": 422,
    "context_too_long": 422,
    "headers_too_large": 431,
}
NOTES = {
    400: "The request or its body cannot be understood.",
    401: "Not authenticated, the token has expired, or the session has ended.",
    402: "The balance does not cover this.",
    403: "The role in the workspace does not allow this.",
    404: "Unknown, or not to be seen by you: the same answer.",
    405: "The path does not know the method; `Allow` names those that it knows.",
    409: "The object, or another request, is in the way.",
    412: "`If-Match` names another version.",
    413: "The body is too large.",
    415: "Not a content type, or not a file, that this takes.",
    416: "`Range` begins after the end of the file.",
    422: "A field, a parameter or a header is not valid: `errors` names it.",
    429: "Too many requests; `Retry-After` says when to come back.",
}
IDEMPOTENT = ("idempotency_in_progress", "idempotency_key_reused")
OTHERS = ("method_not_allowed", "request_timeout", "uri_too_long", "headers_too_large", "service_unavailable")
INSTANCE, REQUEST_ID = "/api/v1/agents", "9f0c1a3f2b6e4d7c8a5b4c3d2e1f0a9b"


def problem_schema() -> Schema:
    pointer = {"type": "string", "description": "A JSON pointer into the body, or `/name` of a parameter or header."}
    error = {
        "type": "object",
        "required": ["pointer", "code", "detail"],
        "properties": {
            "pointer": {**pointer, "examples": ["/name"]},
            "code": {"type": "string", "examples": ["required"]},
            "detail": {"type": "string", "examples": ["This field is required."]},
        },
    }
    return {
        "type": "object",
        "description": "A refusal (RFC 9457). `code` never changes; `title` and `detail` follow Accept-Language.",
        "required": ["type", "title", "status", "detail", "instance", "code", "request_id"],
        "properties": {
            "type": {"type": "string", "format": "uri", "pattern": "^urn:orquestra:problem:[a-z_]+$"},
            "title": {"type": "string"},
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": {"type": "string"},
            "instance": {"type": ["string", "null"], "description": "The path that was asked for."},
            "code": {"type": "string", "pattern": "^[a-z_]+$", "description": "Decide by this one."},
            "request_id": {"type": "string", "description": "As in `X-Request-ID`; it is in our logs."},
            "errors": {"type": "array", "items": error},
        },
        "additionalProperties": True,
        "examples": [example_of("validation_error")],
    }


def example_of(code: str) -> Schema:
    """A problem document with this code."""
    title, detail = TEXTS[code]
    document: Schema = {
        "type": f"urn:orquestra:problem:{code}",
        "title": title,
        "status": STATUSES[code],
        "detail": detail,
        "instance": INSTANCE,
        "code": code,
        "request_id": REQUEST_ID,
    }
    if code == "validation_error":
        document["errors"] = [{"pointer": "/name", "code": "required", "detail": "This field is required."}]
    return document


def responses_of(path: str, method: str, operation: Schema) -> Iterator[tuple[str, Schema]]:
    """Status and response of every error of an operation; the last is ``default``."""
    codes: defaultdict[int, list[str]] = defaultdict(list)
    for code in _codes(path, method, operation):
        codes[STATUSES[code]].append(code)
    for status, found in sorted(codes.items()):
        yield str(status), response(NOTES.get(status, HTTPStatus(status).phrase), dict.fromkeys(found))
    yield "default", {"$ref": "#/components/responses/ProblemDefault"}


def _codes(path: str, method: str, operation: Schema) -> Iterator[str]:
    parameters, body = operation["parameters"], "requestBody" in operation
    secured = any(operation.get("security") or ())
    yield "bad_request"
    if body:
        yield from ("malformed_body", "body_too_large", "unsupported_media_type")
    if secured:
        yield from ("not_authenticated", "token_expired", "session_revoked")
    if operation.get("x-workspace") and method != "get":
        yield "forbidden"
    if "{" in path or operation.get("x-workspace"):
        yield "not_found"
    if body or any(parameter["in"] == "query" for parameter in parameters):
        yield "validation_error"
    if operation.get("x-idempotent"):
        yield from IDEMPOTENT
        if not body:
            yield "validation_error"  # For the key.
    yield "rate_limited"
    yield from operation.get("x-errors", ())


def response(description: str, codes: Iterable[str]) -> Schema:
    names = list(codes)
    examples = {code: {"$ref": f"#/components/examples/{code}"} for code in names}
    content = {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}
    text = f"{description} Codes: {', '.join(f'`{code}`' for code in names)}."
    return {"description": text, "content": {CONTENT_TYPE: content}}


def add_components(components: Schema) -> None:
    components.setdefault("schemas", {})["Problem"] = problem_schema()
    components.setdefault("responses", {})["ProblemDefault"] = response("Any other refusal.", OTHERS)
    components.setdefault("examples", {}).update(
        {code: {"summary": TEXTS[code][0], "value": example_of(code)} for code in STATUSES}
    )
