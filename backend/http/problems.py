"""Problem documents (RFC 9457): the one format of every error response, whichever layer responds.

``type`` is a name, not an address: ``urn:orquestra:problem:<code>``. ``instance`` is the path of the request, so the
responses to two unknown ids differ in it and in ``request_id`` alone. Texts follow Accept-Language; codes never do.
"""

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import islice
from typing import Any, TypedDict
from uuid import uuid4

from django.core.exceptions import (
    BadRequest,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    ValidationError,
)
from django.db import DataError, IntegrityError, InterfaceError, InternalError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.utils import translation
from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _
from kombu.exceptions import OperationalError as BrokerError
from psycopg.errors import ForeignKeyViolation, IdleInTransactionSessionTimeout
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from rest_framework import exceptions as drf
from rest_framework.serializers import as_serializer_error
from rest_framework.views import set_rollback

from backend.errors import DomainError
from backend.http.codes import CONTENT_TYPE, TEXTS, code_of
from backend.server.request_id import request_id_of

logger = logging.getLogger(__name__)

MAX_ERRORS = 100  # In one response; a client with more errors corrects these first.

# Among the OperationalErrors are statement_timeout, lock_timeout and the victim of a deadlock. The last of this list is
# an InternalError to psycopg.
OUTAGES = (
    OperationalError,
    InterfaceError,
    RedisConnectionError,
    RedisTimeoutError,
    BrokerError,
    IdleInTransactionSessionTimeout,
)


class ProblemField(TypedDict):
    """What is wrong with one field: a JSON pointer (RFC 6901) into the body, or ``/name`` of a parameter."""

    pointer: str
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Problem:
    """An error response before it is rendered."""

    status: int
    code: str
    title: str | None = None
    detail: str | None = None
    errors: Iterable[ProblemField] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def response(self, request: HttpRequest) -> HttpResponse:
        return problem_response(
            request,
            status=self.status,
            code=self.code,
            title=self.title,
            detail=self.detail,
            errors=self.errors,
            headers=self.headers,
            **self.extra,
        )


def problem_response(
    request: HttpRequest,
    *,
    status: int,
    code: str,
    title: str | None = None,
    detail: str | None = None,
    errors: Iterable[ProblemField] | None = None,
    headers: Mapping[str, str] | None = None,
    **extra: Any,
) -> HttpResponse:
    """The error response. ``title`` and ``detail`` may be lazy translations or message ids of one of our catalogues."""
    with translation.override(translation.get_language_from_request(request)):
        known_title, known_detail = TEXTS.get(code) or TEXTS[code_of(status)]
        document: dict[str, Any] = {
            "type": f"urn:orquestra:problem:{code}",
            "title": _translated(title or known_title),
            "status": int(status),
            "detail": _translated(detail or known_detail),
            "instance": request.path,
            "code": code,
            "request_id": request_id_of(request),
        }
        if errors is not None:
            document["errors"] = [{**error, "detail": _translated(error["detail"])} for error in errors]
        document.update(extra)
        response = HttpResponse(_dumps(document), content_type=CONTENT_TYPE, status=status)
        response["Content-Length"] = str(len(response.content))
        response["Content-Language"] = translation.get_language() or "en"
    for name, value in (headers or {}).items():
        response[name] = value
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers.setdefault("WWW-Authenticate", "Bearer")
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers.setdefault("Retry-After", "2")
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def raw_problem(status: int, code: str) -> bytes:
    """The bytes of a whole HTTP/1.1 error response, for a request that neither Django nor WSGI ever receives.

    The connection closes after it.
    """
    title, detail = TEXTS[code]
    request_id = uuid4().hex
    document = {
        "type": f"urn:orquestra:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": None,
        "code": code,
        "request_id": request_id,
    }
    body = _dumps(document)
    head = (
        f"HTTP/1.1 {status} {title}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\n"
        f"X-Request-ID: {request_id}\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )
    return head.encode("ascii") + body


def _translated(text: object) -> str:
    """In the active language. The empty text stays empty: gettext would return the header of the catalogue for it."""
    return gettext(str(text)) if text else ""


KNOWN: tuple[tuple[tuple[type[BaseException], ...], Problem], ...] = (
    ((drf.NotAuthenticated, drf.AuthenticationFailed), Problem(401, "not_authenticated")),
    ((drf.PermissionDenied, PermissionDenied), Problem(403, "forbidden")),
    ((drf.NotFound, Http404), Problem(404, "not_found")),
    ((RequestDataTooBig,), Problem(413, "body_too_large")),
    ((UnreadablePostError,), Problem(400, "malformed_body", detail=_("The body ended before it was complete."))),
    ((MultiPartParserError,), Problem(400, "malformed_body")),
    ((SuspiciousOperation, BadRequest), Problem(400, "bad_request")),
    ((DataError,), Problem(422, "validation_error", detail=_("A value is outside of what can be stored."))),
    (
        (ForeignKeyViolation,),
        Problem(409, "conflict", detail=_("What this refers to was deleted meanwhile.")),
    ),
    (OUTAGES, Problem(503, "service_unavailable")),
)


def problem_of(error: BaseException) -> Problem | None:
    """The error response to an exception; None for a bug, which is a 500."""
    if isinstance(error, DomainError):
        extra = dict(error.extra)
        errors, headers = extra.pop("errors", None), extra.pop("headers", {})
        return Problem(error.status, error.code, detail=error.detail, errors=errors, headers=headers, extra=extra)
    if isinstance(error, drf.ValidationError | ValidationError):
        detail = error.detail if isinstance(error, drf.ValidationError) else as_serializer_error(error)
        return Problem(422, "validation_error", errors=list(islice(_fields(detail), MAX_ERRORS)))
    if isinstance(error, drf.Throttled):
        wait = max(1, int(getattr(error, "wait", None) or 1))
        return Problem(429, "rate_limited", headers={"Retry-After": str(wait)})
    cause = error.__cause__ if isinstance(error, IntegrityError | InternalError) else error
    for kinds, known in KNOWN:
        if isinstance(cause, kinds):
            _log(error, known)
            return known
    if isinstance(error, drf.APIException):
        code = "malformed_body" if isinstance(error, drf.ParseError) else code_of(error.status_code)
        return Problem(error.status_code, code, detail=_text(error))
    return None


def _log(error: BaseException, problem: Problem) -> None:
    if isinstance(error, DataError | IntegrityError):
        logger.warning("database_refused_value error=%s", error)
    elif problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("dependency_unavailable kind=%s error=%s", type(error).__name__, error)


def _text(error: drf.APIException) -> str | None:
    return error.detail if isinstance(error.detail, str) else None


def _fields(detail: Any, pointer: str = "") -> Iterable[ProblemField]:
    """Every message of DRF's nested errors with the JSON pointer of its field."""
    match detail:
        case Mapping():
            for name, inner in detail.items():
                part = str(name).replace("~", "~0").replace("/", "~1")
                yield from _fields(inner, pointer if name in ("non_field_errors", "__all__") else f"{pointer}/{part}")
        case list() | tuple():
            for index, inner in enumerate(detail):
                yield from _fields(inner, pointer if isinstance(inner, str) else f"{pointer}/{index}")
        case _:
            yield {"pointer": pointer, "code": str(getattr(detail, "code", "invalid")), "detail": str(detail)}


def _dumps(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), default=str).encode()


def exception_handler(error: Exception, context: Mapping[str, Any]) -> HttpResponse | None:
    """DRF's EXCEPTION_HANDLER. Rolls back a transaction around the view, as DRF's own handler does."""
    problem = problem_of(error)
    if problem is None:
        return None
    set_rollback()
    request = context["request"]
    response = problem.response(getattr(request, "_request", request))
    if isinstance(error, drf.MethodNotAllowed) and (view := context.get("view")) is not None:
        response["Allow"] = ", ".join(view.allowed_methods)
    return response
