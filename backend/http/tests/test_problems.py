"""Every error response is a problem document, whichever layer sends it."""

from http import HTTPStatus
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import DataError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.test import Client
from django.urls import include, path
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_GET
from redis.exceptions import ConnectionError as RedisConnectionError
from rest_framework import serializers
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from backend.errors import Conflict, DomainError, FieldError

MEMBERS = {"type", "title", "status", "detail", "instance", "code", "request_id"}
FAILURES: dict[str, Exception] = {
    "bug": ZeroDivisionError("the secret inside"),
    "missing": Http404("the secret inside"),
    "denied": PermissionDenied("the secret inside"),
    "suspicious": SuspiciousOperation("the secret inside"),
    "conflict": Conflict(run="run_1"),
    "database": OperationalError("the secret inside"),
    "redis": RedisConnectionError("the secret inside"),
    "value": DataError("the secret inside"),
}


def fail(request: HttpRequest, name: str) -> HttpResponse:
    raise FAILURES[name]


@require_GET
def only_get(request: HttpRequest) -> HttpResponse:
    return HttpResponse("<p>")


@csrf_protect
def protected(request: HttpRequest) -> HttpResponse:
    return HttpResponse("<p>")


def allauth(request: HttpRequest, status: int) -> HttpResponse:
    body: dict[str, Any] = {"status": status}
    if status == 400:
        body["errors"] = [{"message": "Enter a valid email address.", "code": "invalid", "param": "email"}]
    if status == 401:
        body |= {"data": {"flows": [{"id": "login"}]}, "meta": {"is_authenticated": False}}
    return JsonResponse(body, status=status, headers={"X-Kept": "yes"})


def openai(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"error": {"message": "no", "type": "invalid_request_error"}}, status=404)


class Open(APIView):
    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []


class Line(serializers.Serializer[Any]):
    price = serializers.IntegerField(min_value=1)


class Order(serializers.Serializer[Any]):
    name = serializers.CharField()
    lines = Line(many=True)
    tags = serializers.DictField(child=serializers.IntegerField(), required=False)

    def validate(self, attrs: Any) -> Any:
        if attrs["name"] == "whole":
            raise serializers.ValidationError("They do not fit together.")
        return attrs


class Orders(Open):
    def post(self, request: Request) -> Response:
        order = Order(data=request.data)
        order.is_valid(raise_exception=True)
        return Response(order.validated_data)


class Failing(Open):
    def get(self, request: Request, name: str) -> Response:
        raise FAILURES[name]


class Busy(Open):
    def get(self, request: Request) -> Response:
        raise Throttled(wait=7.5)


class Unknown(DomainError):
    """This is a refusal of an app."""

    code = "of_an_app"
    status = HTTPStatus.CONFLICT


class Own(Open):
    def get(self, request: Request) -> Response:
        raise Unknown(errors=[{"pointer": "", "code": "x", "detail": ""}])


class Field(Open):
    def get(self, request: Request) -> Response:
        raise FieldError("/from", "This is not a date.")


urlpatterns = [
    path("api/v1/fail/<name>", fail),
    path("api/v1/rest/<name>", Failing.as_view()),
    path("api/v1/only-get", only_get),
    path("api/v1/protected", protected),
    path("api/v1/allauth/<int:status>", allauth),
    path("api/v1/orders", Orders.as_view()),
    path("api/v1/busy", Busy.as_view()),
    path("api/v1/field", Field.as_view()),
    path("api/v1/own", Own.as_view()),
    path("v1/openai", openai),
    path("", include("backend.http.urls")),
]
handler400 = "backend.http.errors.bad_request"
handler403 = "backend.http.errors.permission_denied"
handler404 = "backend.http.errors.not_found"
handler500 = "backend.http.errors.server_error"


@pytest.fixture(autouse=True)
def routes(settings: Any) -> None:
    settings.ROOT_URLCONF = __name__


@pytest.fixture
def api() -> Client:
    return Client(raise_request_exception=False)


def problem(response: Any, status: int, code: str) -> dict[str, Any]:
    """The document, once everything that all of them share is as it must be."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert document.keys() >= MEMBERS
    assert (document["status"], document["code"]) == (status, code)
    assert document["type"] == f"urn:orquestra:problem:{code}"
    assert document["instance"] == response.wsgi_request.path
    assert document["request_id"] == response["X-Request-ID"] != ""
    assert b"secret inside" not in response.content
    assert b"Traceback" not in response.content
    return document


@pytest.mark.parametrize("kind", ["fail", "rest"])
@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("bug", 500, "internal_error"),
        ("missing", 404, "not_found"),
        ("denied", 403, "forbidden"),
        ("suspicious", 400, "bad_request"),
        ("conflict", 409, "conflict"),
        ("database", 503, "service_unavailable"),
        ("redis", 503, "service_unavailable"),
        ("value", 422, "validation_error"),
    ],
)
def test_an_exception_of_a_view(api: Client, kind: str, name: str, status: int, code: str) -> None:
    document = problem(api.get(f"/api/v1/{kind}/{name}"), status, code)

    assert document.get("run") == ("run_1" if name == "conflict" else None)


@pytest.mark.parametrize("path", ["/api/v1/fail/bug", "/api/v1/rest/bug", "/nothing"])
def test_debugging_shows_no_page_of_its_own(api: Client, settings: Any, path: str) -> None:
    settings.DEBUG = True
    assert api.get(path)["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/nothing", "/api/v1/nothing", "/v1/x", "/.well-known/x", "//", "/api/v1//", "/%00"])
@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "options"])
def test_an_unknown_path_is_404(api: Client, path: str, method: str) -> None:
    problem(getattr(api, method)(path), 404, "not_found")


def test_a_wrong_method_gets_the_allowed_ones(api: Client) -> None:
    response = api.post("/api/v1/only-get")
    problem(response, 405, "method_not_allowed")
    assert response["Allow"] == "GET"

    response = api.get("/api/v1/orders")
    problem(response, 405, "method_not_allowed")
    assert response["Allow"] == "POST, OPTIONS"


def test_an_unknown_host_is_400(api: Client) -> None:
    problem(api.get("/healthz", headers={"Host": "evil.example"}), 400, "bad_request")


def test_a_missing_csrf_token_is_403() -> None:
    problem(Client(enforce_csrf_checks=True).post("/api/v1/protected"), 403, "csrf_failed")


def test_a_throttled_request_has_retry_after(api: Client) -> None:
    response = api.get("/api/v1/busy")
    problem(response, 429, "rate_limited")
    assert response["Retry-After"] == "8"


def test_an_outage_has_retry_after(api: Client) -> None:
    assert api.get("/api/v1/rest/redis")["Retry-After"] == "2"


def test_a_field_error_of_an_operation(api: Client) -> None:
    document = problem(api.get("/api/v1/field"), 422, "validation_error")
    assert document["errors"] == [{"pointer": "/from", "code": "invalid", "detail": "This is not a date."}]


def test_a_code_of_an_app_has_the_title_of_its_status(api: Client) -> None:
    document = problem(api.get("/api/v1/own", headers={"Accept-Language": "pt-br"}), 409, "of_an_app")
    assert (document["title"], document["detail"]) == ("Conflito", "This is a refusal of an app.")
    assert document["errors"] == [{"pointer": "", "code": "x", "detail": ""}]


def test_invalid_fields_are_named_by_json_pointers(api: Client) -> None:
    body = {"lines": [{"price": 1}, {"price": 0}, {}, "x"], "tags": {"a/b~c": "x"}}
    document = problem(api.post("/api/v1/orders", body, content_type="application/json"), 422, "validation_error")

    assert {(error["pointer"], error["code"]) for error in document["errors"]} == {
        ("/name", "required"),
        ("/lines/1/price", "min_value"),
        ("/lines/2/price", "required"),
        ("/lines/3", "invalid"),
        ("/tags/a~1b~0c", "invalid"),
    }


def test_an_error_of_the_whole_body_has_an_empty_pointer(api: Client) -> None:
    body = {"name": "whole", "lines": []}
    document = problem(api.post("/api/v1/orders", body, content_type="application/json"), 422, "validation_error")

    assert document["errors"] == [{"pointer": "", "code": "invalid", "detail": "They do not fit together."}]


@pytest.mark.parametrize("body", ["[]", '"x"', "1", "null"])
def test_a_body_that_is_not_an_object_is_invalid(api: Client, body: str) -> None:
    document = problem(api.post("/api/v1/orders", body, content_type="application/json"), 422, "validation_error")
    assert document["errors"][0]["pointer"] == ""


@pytest.mark.parametrize("language", ["pt-br", "pt-BR,pt;q=0.9", "pt"])
def test_messages_follow_the_language_and_codes_do_not(api: Client, language: str) -> None:
    english = problem(api.post("/api/v1/orders", {}, content_type="application/json"), 422, "validation_error")
    response = api.post("/api/v1/orders", {}, content_type="application/json", headers={"Accept-Language": language})
    portuguese = problem(response, 422, "validation_error")

    assert (english["title"], portuguese["title"]) == ("Invalid fields", "Campos inválidos")
    assert english["errors"][0]["detail"] == "This field is required."
    assert portuguese["errors"][0]["detail"] == "Este campo é obrigatório."
    assert [error["code"] for error in english["errors"]] == [error["code"] for error in portuguese["errors"]]
    assert response["Content-Language"] == "pt-br"


def test_an_error_before_any_view_follows_the_language_too(api: Client) -> None:
    document = problem(api.get("/nothing", headers={"Accept-Language": "pt-BR"}), 404, "not_found")
    assert document["detail"] == "Não há nada aqui que você possa ver."


def test_an_unknown_language_gets_english(api: Client) -> None:
    document = problem(api.get("/nothing", headers={"Accept-Language": "tlh, *;q=0.1"}), 404, "not_found")
    assert document["title"] == "Not found"


def test_an_error_of_allauth_keeps_its_data(api: Client) -> None:
    response = api.get("/api/v1/allauth/401")
    document = problem(response, 401, "not_authenticated")

    assert document["data"] == {"flows": [{"id": "login"}]}
    assert document["meta"] == {"is_authenticated": False}
    assert response["WWW-Authenticate"] == "Bearer"
    assert response["X-Kept"] == "yes"


@pytest.mark.parametrize(
    ("given", "status", "code"),
    [
        (400, 422, "validation_error"),
        (403, 403, "forbidden"),
        (404, 404, "not_found"),
        (409, 409, "conflict"),
        (410, 401, "session_revoked"),
        (429, 429, "rate_limited"),
    ],
)
def test_the_statuses_of_allauth(api: Client, given: int, status: int, code: str) -> None:
    document = problem(api.get(f"/api/v1/allauth/{given}"), status, code)
    if given == 400:
        assert document["errors"] == [
            {"pointer": "/email", "code": "invalid", "detail": "Enter a valid email address."}
        ]


def test_the_openai_wire_format_keeps_its_own_errors(api: Client) -> None:
    response = api.get("/v1/openai")
    assert response.status_code == 404
    assert response.json() == {"error": {"message": "no", "type": "invalid_request_error"}}


@pytest.mark.parametrize("given", ["12345678", "a" * 64, "abc_DEF-123"])
def test_a_request_id_of_the_client_is_echoed(api: Client, given: str) -> None:
    response = api.get("/nothing", headers={"X-Request-ID": given})
    assert response["X-Request-ID"] == response.json()["request_id"] == given


@pytest.mark.parametrize("given", ["short", "a" * 65, "has space!", "12345678\n", "çççççççççç", ""])
def test_another_request_id_is_replaced(api: Client, given: str) -> None:
    response = api.get("/nothing", headers={"X-Request-ID": given})
    assert response["X-Request-ID"] != given
    assert len(response["X-Request-ID"]) == 32
