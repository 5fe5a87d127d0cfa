"""Turns every error response into a problem document: Django's own, allauth's, and those of uncaught exceptions."""

import json
import sys
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.deprecation import MiddlewareMixin
from django.utils.translation import gettext_noop as _
from django.views import defaults

from backend.http.codes import CONTENT_TYPE, code_of
from backend.http.problems import ProblemField, problem_of, problem_response
from backend.server.async_views import InEventLoop
from backend.server.scope import ERROR

ADMIN_PATH = "/admin/"  # The admin has HTML pages for its errors.
PAGE = "orquestra_page"  # The attribute of responses that stay HTML.
DROPPED_HEADERS = frozenset({"content-type", "content-length", "content-language", "etag"})


class ProblemMiddleware(MiddlewareMixin):
    """Handles the exceptions of plain Django views, and rewrites error responses that are not problem documents yet."""

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        problem = problem_of(error)
        if problem is None or (_is_admin(request) and problem.status < HTTPStatus.INTERNAL_SERVER_ERROR):
            return None
        return problem.response(request)

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if response.status_code < 400 or _is_admin(request) or getattr(response, PAGE, False):
            return response
        kind = response.headers.get("Content-Type", "").partition(";")[0]
        if kind == CONTENT_TYPE:
            return response
        content = response.content if isinstance(response, HttpResponse) else b""
        body = _json_object(content) if kind == "application/json" else {}
        if kind == "application/json" and not _is_of_allauth(body):
            return response  # An error in another format, such as OpenAI's.
        problem = _problem_of_body(request, response.status_code, body)
        for name, value in response.headers.items():
            if name.lower() not in DROPPED_HEADERS:
                problem[name] = value
        problem.cookies = response.cookies
        problem._resource_closers.extend(response._resource_closers)  # type: ignore[attr-defined]  # Not in the stubs.
        return problem


class AsyncProblemMiddleware(InEventLoop, ProblemMiddleware):
    """The same for asynchronous views."""


def early_error_middleware(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Answers a request that failed before Django was called, such as one whose body arrived too slowly."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        error = request.META.get(ERROR)
        if error is None:
            return get_response(request)
        problem = problem_of(error)
        if problem is None:
            raise error
        return problem.response(request)

    return middleware


def _is_admin(request: HttpRequest) -> bool:
    return request.path_info.startswith(ADMIN_PATH)


def as_page(response: HttpResponse) -> HttpResponse:
    """Mark an error response as an HTML page, which ``ProblemMiddleware`` then leaves unchanged."""
    setattr(response, PAGE, True)
    return response


def _json_object(content: bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _is_of_allauth(body: Mapping[str, Any]) -> bool:
    """``{"status": 400, "errors": [{message, code, param?}], "data": …, "meta": …}``."""
    return isinstance(body.get("status"), int)


def _problem_of_body(request: HttpRequest, status: int, body: Mapping[str, Any]) -> HttpResponse:
    errors = [
        ProblemField(
            pointer=f"/{error['param']}" if error.get("param") else "",
            code=str(error.get("code", "invalid")),
            detail=str(error.get("message", "")),
        )
        for error in body.get("errors", ())
    ]
    members = {name: body[name] for name in ("data", "meta") if body.get(name)}
    if status == HTTPStatus.BAD_REQUEST and errors:
        status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = code_of(status)
    if status == HTTPStatus.GONE:  # allauth: the session token names no session any more.
        status, code = HTTPStatus.UNAUTHORIZED, "session_revoked"
    if status == HTTPStatus.UNAUTHORIZED and _needs_reauthentication(body):
        code = "reauthentication_required"
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and "multipart" in request.headers.get("Content-Type", ""):
        code = "file_too_large"
    headers = {"Retry-After": "60"} if status == HTTPStatus.TOO_MANY_REQUESTS else None  # allauth's are per minute.
    detail = _next_step(request, body) if code == "not_authenticated" else None
    return problem_response(
        request, status=status, code=code, detail=detail, errors=errors or None, headers=headers, **members
    )


def _next_step(request: HttpRequest, body: Mapping[str, Any]) -> str | None:
    """The detail for a 401 of allauth that is not an error: in the middle of a log-in, and after a log-out."""
    if any(flow.get("is_pending") for flow in (body.get("data") or {}).get("flows", ())):
        return _("One more step is needed to log in; `data.flows` names it.")
    logs_out = request.method == "DELETE" and request.path_info.endswith("/auth/session")
    return _("You are logged out.") if logs_out and "data" in body else None


def _needs_reauthentication(body: Mapping[str, Any]) -> bool:
    """Whether the user is logged in, but too long ago for this operation."""
    flows = {flow.get("id") for flow in (body.get("data") or {}).get("flows", ())}
    return bool(flows & {"reauthenticate", "mfa_reauthenticate"})


def _admin_page(request: HttpRequest, status: int, code: str = "") -> HttpResponseBase:
    """The error as an HTML page of the admin; empty if the error came before the middleware that sets the user."""
    site: Any = admin.site
    if not hasattr(request, "user"):
        return HttpResponse(status=status)
    page: HttpResponseBase = site.refused(request, status, code or status)
    return page


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if _is_admin(request):
        return _admin_page(request, 400)
    problem = problem_of(exception)
    return problem.response(request) if problem else problem_response(request, status=400, code="bad_request")


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if _is_admin(request):
        return _admin_page(request, 403)
    return problem_response(request, status=403, code="forbidden")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if _is_admin(request):
        return _admin_page(request, 404)
    return problem_response(request, status=404, code="not_found")


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Django calls this for exceptions of middleware too, which may be an outage rather than a bug."""
    error = sys.exc_info()[1]
    problem = problem_of(error) if error is not None else None
    if problem is not None:
        return problem.response(request)
    if _is_admin(request):
        return defaults.server_error(request)
    return problem_response(request, status=500, code="internal_error")


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponseBase:
    if _is_admin(request):
        return _admin_page(request, 403, "csrf_failed")
    return problem_response(request, status=403, code="csrf_failed")
