"""allauth's routes in the OpenAPI document: it answers them without REST framework, so nobody else describes them."""

from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
EMAIL: Schema = {"type": "string", "format": "email"}
PASSWORD: Schema = {"type": "string", "format": "password"}

USER: Schema = {
    "type": "object",
    "required": ["id", "email", "display", "has_usable_password"],
    "properties": {
        "id": {**TEXT, "description": "The user's public id, `usr_…`."},
        "email": EMAIL,
        "display": TEXT,
        "has_usable_password": {"type": "boolean"},
    },
}
AUTHENTICATED: Schema = {
    "type": "object",
    "required": ["status", "data", "meta"],
    "properties": {
        "status": {"type": "integer"},
        "data": {
            "type": "object",
            "required": ["user"],
            "properties": {
                "user": {"$ref": "#/components/schemas/AuthenticatedUser"},
                "methods": {"type": "array", "items": {"type": "object"}},
            },
        },
        "meta": {
            "type": "object",
            "required": ["is_authenticated"],
            "properties": {
                "is_authenticated": {"type": "boolean"},
                "access_token": {**TEXT, "description": "Given when this request logged the user in."},
                "refresh_token": {**TEXT, "description": "Given together with the access token."},
                "expires_in": {"type": "integer", "description": "Seconds that the access token has."},
                "session_token": {**TEXT, "description": "`X-Session-Token` of the next step of a flow."},
            },
        },
    },
}

# What an operation of allauth takes and answers: (summary, fields, needs an access token, its answers).
SENT = {200: "Sent, if there is such an account."}
LOGS_IN = {
    200: "Logged in.",
    401: "One more step is needed: `data.flows` names the pending one.",
    422: "A field is not valid.",
}
Operation = tuple[str, Mapping[str, Schema], bool, Mapping[int, str]]
OPERATIONS: dict[tuple[str, str], Operation] = {
    ("/api/v1/auth/signup", "post"): ("Sign up.", {"email": EMAIL, "password": PASSWORD}, False, LOGS_IN),
    ("/api/v1/auth/login", "post"): ("Log in.", {"email": EMAIL, "password": PASSWORD}, False, LOGS_IN),
    ("/api/v1/auth/session", "get"): ("Who is logged in?", {}, True, {200: "Somebody.", 401: "Nobody."}),
    ("/api/v1/auth/session", "delete"): ("Log out.", {}, True, {401: "Nobody is logged in any more."}),
    ("/api/v1/auth/reauthenticate", "post"): (
        "Prove again who you are, before what is sensitive.",
        {"password": PASSWORD},
        True,
        LOGS_IN,
    ),
    ("/api/v1/auth/email/verify", "post"): ("Verify an address by the mailed key.", {"key": TEXT}, False, LOGS_IN),
    ("/api/v1/auth/password/request", "post"): ("Ask for a mail to set a new password.", {"email": EMAIL}, False, SENT),
    ("/api/v1/auth/password/reset", "post"): (
        "Set a new password by the mailed key.",
        {"key": TEXT, "password": PASSWORD},
        False,
        LOGS_IN,
    ),
    ("/api/v1/auth/code/request", "post"): (
        "Ask for a mail with a code to log in.",
        {"email": EMAIL},
        False,
        {401: "Sent, if there is such an account."},
    ),
    ("/api/v1/auth/code/confirm", "post"): ("Log in by the mailed code.", {"code": TEXT}, False, LOGS_IN),
    ("/api/v1/auth/2fa/authenticate", "post"): ("Log in by the second factor.", {"code": TEXT}, False, LOGS_IN),
    ("/api/v1/account/password/change", "post"): (
        "Change the password; other log-ins end.",
        {"current_password": PASSWORD, "new_password": PASSWORD},
        True,
        {200: "Changed.", 422: "A field is not valid."},
    ),
}


def add_allauth(result: Schema, **kwargs: Any) -> Schema:
    """drf-spectacular's postprocessing hook."""
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    schemas["AuthenticatedUser"] = USER
    schemas["Authenticated"] = AUTHENTICATED
    for (path, method), operation in OPERATIONS.items():
        result["paths"].setdefault(path, {})[method] = _described(path, method, operation)
    result["paths"] = dict(sorted(result["paths"].items()))
    return result


def _described(path: str, method: str, operation: Operation) -> Schema:
    summary, fields, needs_token, answers = operation
    name = path.removeprefix("/api/v1/").replace("/", "_")
    described: Schema = {
        "operationId": f"{name}_{method}",
        "summary": summary,
        "tags": ["auth"],
        "responses": {
            str(status): _answer(status, text, shows_user=answers is not SENT) for status, text in answers.items()
        },
        "security": [{"bearer": []}] if needs_token else [{}],
    }
    if fields:
        body: Schema = {"type": "object", "required": list(fields), "properties": dict(fields)}
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return described


def _answer(status: int, text: str, *, shows_user: bool) -> Schema:
    if status != 200:
        content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
        return {"description": text, "content": content}
    if shows_user:
        content = {"application/json": {"schema": {"$ref": "#/components/schemas/Authenticated"}}}
        return {"description": text, "content": content}
    return {"description": text}
