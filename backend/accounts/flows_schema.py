"""allauth's routes in the OpenAPI document. They bypass REST framework, so spectacular cannot describe them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from backend.http.codes import CONTENT_TYPE
from backend.http.openapi.descriptions import Schema
from backend.http.openapi.fields import NOT_BLANK, UNKNOWN
from backend.http.openapi.operations import id_schema
from backend.http.openapi.problems import example_of

TEXT: Schema = {"type": "string", "minLength": 1}
GIVEN: Schema = {"type": "string", "pattern": NOT_BLANK}
EMAIL: Schema = {"type": "string", "format": "email", "maxLength": 254}
PASSWORD: Schema = {"type": "string", "format": "password", "maxLength": 1024, "pattern": NOT_BLANK}
NEW_PASSWORD: Schema = {
    **PASSWORD,
    "minLength": 8,
    "examples": ["a long pass phrase"],
    "description": "Neither a common one nor digits only.",
}
BEARER: list[Schema] = [{"bearer": []}]
NO_TOKEN: list[Schema] = [{}]
SESSION_TOKEN: Schema = {
    "in": "header",
    "name": "X-Session-Token",
    "description": "`meta.session_token` of the answer before: it says which log-in or sign-up this step belongs to.",
    "schema": {"type": "string"},
}

FLOW_TAGS = {
    "auth": "Sign-up, log-in and their further steps (django-allauth). A 401 with `data.flows` says what is next.",
    "account": "The password, the addresses and the second factors of the caller (django-allauth).",
}


def _object(*optional: str, **properties: Schema) -> Schema:
    return {
        "type": "object",
        "required": [name for name in properties if name not in optional],
        "properties": properties,
    }


def _of(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


STATUS: Schema = {"type": "integer", "const": 200}
TIME: Schema = {"type": "number", "description": "Seconds since 1970."}
FLOW = _object(
    "is_pending",
    "types",
    id={"type": "string", "description": "Such as `login`, `login_by_code`, `mfa_authenticate`, `verify_email`."},
    is_pending={"type": "boolean", "description": "This step is the next one."},
    types={"type": "array", "items": {"type": "string"}, "description": "The kinds of second factor that will do."},
)
FLOW["additionalProperties"] = True
SCHEMAS: dict[str, Schema] = {
    "AuthenticatedUser": _object(
        id=id_schema("usr"), email=EMAIL, display=TEXT, has_usable_password={"type": "boolean"}
    ),
    "AuthenticationMeta": _object(
        *("access_token", "refresh_token", "expires_in", "session_token"),
        is_authenticated={"type": "boolean"},
        access_token={**TEXT, "description": "Given when this request logged the user in."},
        refresh_token={**TEXT, "description": "Given together with the access token."},
        expires_in={"type": "integer", "description": "Seconds that the access token has."},
        session_token={**TEXT, "description": "`X-Session-Token` of the next step."},
    ),
    "Authenticated": _object(
        status=STATUS,
        data=_object(user=_of("AuthenticatedUser"), methods={"type": "array", "items": {"type": "object"}}),
        meta=_of("AuthenticationMeta"),
    ),
    "AuthenticationFlow": FLOW,
    "AuthenticationRequired": {
        "description": "A problem document that says which steps would authenticate the caller.",
        "allOf": [
            _of("Problem"),
            {
                "type": "object",
                "properties": {
                    "data": _object(flows={"type": "array", "items": _of("AuthenticationFlow")}),
                    "meta": {"type": "object", "additionalProperties": True},
                },
            },
        ],
    },
    "Done": _object("data", "meta", status=STATUS, data={"type": "object"}, meta={"type": "object"}),
    "EmailAddress": _object(email=EMAIL, verified={"type": "boolean"}, primary={"type": "boolean"}),
    "EmailAddresses": _object("meta", status=STATUS, data={"type": "array", "items": _of("EmailAddress")}, meta={}),
    "Authenticator": _object(
        *("total_code_count", "unused_code_count"),
        type={"type": "string", "enum": ["totp", "recovery_codes"]},
        created_at=TIME,
        last_used_at={**TIME, "type": ["number", "null"]},
        total_code_count={"type": "integer"},
        unused_code_count={"type": "integer"},
    ),
    "Authenticators": _object("meta", status=STATUS, data={"type": "array", "items": _of("Authenticator")}, meta={}),
    "OneAuthenticator": _object("meta", status=STATUS, data=_of("Authenticator"), meta={}),
    "RecoveryCodes": _object(
        "meta",
        status=STATUS,
        data={
            "allOf": [
                _of("Authenticator"),
                {"type": "object", "properties": {"unused_codes": {"type": "array", "items": TEXT}}},
            ]
        },
        meta={},
    ),
    "NewTotp": {
        "description": "There is none yet. `meta` has what an authenticator app needs to make its codes.",
        "allOf": [_of("Problem"), {"type": "object", "properties": {"meta": _object(secret=TEXT, totp_url=TEXT)}}],
    },
    "EmailKey": _object("meta", status=STATUS, data=_object(email=EMAIL, user=_of("AuthenticatedUser")), meta={}),
    "PasswordKey": _object("meta", status=STATUS, data=_object(user=_of("AuthenticatedUser")), meta={}),
}
USER: Schema = {"email": "rui@example.com", "display": "rui@example.com", "has_usable_password": True}
METHOD: Schema = {"method": "password", "at": 1769851800.0, "email": "rui@example.com"}
TOKENS: Schema = {"access_token": "eyJhbGciOi…", "refresh_token": "eyJhbGciOi…", "expires_in": 600}
FLOW_EXAMPLES: dict[str, Schema] = {
    "AuthenticatedUser": USER,
    "Authenticated": {"data": {"methods": [METHOD]}},
    "AuthenticationMeta": {"is_authenticated": True, "session_token": "fdv6yk5rxq…", **TOKENS},
    "Done": {"data": {}, "meta": {}},
    "EmailAddress": {"verified": True, "primary": True},
    "Authenticator": {"type": "totp", "created_at": 1769851800.0, "total_code_count": 10, "unused_code_count": 10},
}
# What problem documents of allauth hold besides the members of all of them.
EXTRA: dict[tuple[str | None, str], Schema] = {
    ("AuthenticationRequired", "not_authenticated"): {
        "detail": "One more step is needed to log in; `data.flows` names it.",
        "data": {"flows": [{"id": "login"}, {"id": "mfa_authenticate", "is_pending": True, "types": ["totp"]}]},
        "meta": {"is_authenticated": False, "session_token": "fdv6yk5rxq…"},
    },
    ("AuthenticationRequired", "reauthentication_required"): {
        "data": {"flows": [{"id": "reauthenticate"}]},
        "meta": {"is_authenticated": True},
    },
    ("NewTotp", "not_found"): {
        "meta": {
            "secret": "JBSWY3DPEHPK3PXP",
            "totp_url": "otpauth://totp/Orquestra:rui%40example.com?secret=JBSWY3DPEHPK3PXP&issuer=Orquestra",
        }
    },
}


@dataclass(frozen=True, slots=True)
class Flow:
    """
    :ivar fields: of the body, all required.
    :ivar answers: by status, the component of the response (none for a plain problem) and its description.
    :ivar headers: further parameters.
    :ivar security: of OpenAPI.
    """

    summary: str
    description: str
    answers: Mapping[int, tuple[str | None, str]]
    fields: Mapping[str, Schema] = field(default_factory=dict)
    security: list[Schema] = field(default_factory=lambda: NO_TOKEN)
    headers: tuple[Schema, ...] = ()
    refusals: tuple[str, ...] = ()


def describe_flow(path: str, method: str, flow: Flow) -> Schema:
    name = path.removeprefix("/api/v1/").replace("/", "_").replace("-", "_")
    described: Schema = {
        "operationId": f"{name}_{method}",
        "summary": flow.summary,
        "description": flow.description,
        "tags": ["account" if path.startswith("/api/v1/account") else "auth"],
        "parameters": list(flow.headers),
        "responses": {str(status): _answer(status, *answer, flow) for status, answer in flow.answers.items()},
        "security": flow.security,
        "x-errors": [*flow.refusals, "validation_error"] if flow.headers else list(flow.refusals),
        "x-rate-limited": path.startswith("/api/v1/auth/") and method != "get",
    }
    if flow.fields:
        body: Schema = {"type": "object", "required": list(flow.fields), "properties": dict(flow.fields), **UNKNOWN}
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return described


def _answer(status: int, component: str | None, text: str, flow: Flow) -> Schema:
    schema = _of(component or "Problem")
    if status == 200:
        return {"description": text, "content": {"application/json": {"schema": schema}}}
    again = [code for code in flow.refusals if code == "reauthentication_required"]
    codes = {401: ["not_authenticated", *again], 404: ["not_found"]}[status]
    examples = {code: {"value": example_of(code) | EXTRA.get((component, code), {})} for code in codes}
    return {"description": text, "content": {CONTENT_TYPE: {"schema": schema, "examples": examples}}}
