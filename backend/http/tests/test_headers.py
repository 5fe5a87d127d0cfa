"""Security headers and CORS."""

from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import include, path


def answer(request: HttpRequest, kind: str) -> HttpResponse:
    return HttpResponse(
        "<p>", content_type={"html": "text/html", "svg": "image/svg+xml", "pdf": "application/pdf"}[kind]
    )


def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse("<p>", headers={"Content-Security-Policy": "default-src 'self'"})


urlpatterns = [path("kinds/<kind>", answer), path("page", page), path("", include("backend.http.urls"))]
handler404 = "backend.http.errors.not_found"
ORIGIN = "https://front.example.com"


@pytest.fixture
def api(settings: Any) -> Client:
    settings.ROOT_URLCONF = __name__
    settings.CORS_ALLOWED_ORIGINS = [ORIGIN]
    return Client(raise_request_exception=False)


@pytest.mark.parametrize("address", ["/healthz", "/nothing", "/page", "/api/docs", "/kinds/pdf"])
def test_every_response_has_security_headers(api: Client, address: str) -> None:
    headers = api.get(address).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]
    assert headers["Content-Security-Policy"]


@pytest.mark.parametrize(("kind", "sandboxed"), [("html", True), ("svg", True), ("pdf", False)])
def test_responses_that_could_run_scripts_are_sandboxed(api: Client, kind: str, sandboxed: bool) -> None:
    policy = api.get(f"/kinds/{kind}")["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert ("sandbox" in policy) is sandboxed


def test_the_admin_loads_from_its_own_site_alone_and_cannot_be_framed(api: Client) -> None:
    parts = (part.split(" ", 1) for part in api.get("/admin/nothing")["Content-Security-Policy"].split("; "))
    policy = dict(parts)
    assert policy["default-src"] == policy["object-src"] == policy["frame-ancestors"] == "'none'"
    assert policy["base-uri"] == policy["form-action"] == policy["connect-src"] == policy["img-src"] == "'self'"
    assert policy["script-src"] == "'self' 'unsafe-eval'", "no inline script"
    assert not any("//" in sources or "*" in sources for sources in policy.values())


def test_a_page_has_its_own_policy(api: Client) -> None:
    assert api.get("/page")["Content-Security-Policy"] == "default-src 'self'"


def test_the_api_browser_loads_from_its_own_site_alone(api: Client) -> None:
    response = api.get("/api/docs")
    assert response.status_code == 200
    text = response.content.decode()
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "https://" not in text
    assert "<script>" not in text, "its policy allows no inline script"
    assert "script-src 'self';" in response["Content-Security-Policy"]
    script = api.get("/api/docs?script=")
    assert script["Content-Type"].startswith("application/javascript")
    assert b"SwaggerUIBundle" in script.content


def test_a_front_end_of_another_origin_may_read_the_exposed_headers(api: Client) -> None:
    response = api.get("/healthz", headers={"Origin": ORIGIN})
    assert response["Access-Control-Allow-Origin"] == ORIGIN
    assert {"X-Request-ID", "Location", "Retry-After", "RateLimit"} <= set(
        response["Access-Control-Expose-Headers"].split(", ")
    )
    assert api.get("/nothing", headers={"Origin": ORIGIN})["Access-Control-Allow-Origin"] == ORIGIN


def test_a_front_end_of_an_allowed_origin_may_call_the_api(api: Client) -> None:
    asked = "authorization, orquestra-workspace, idempotency-key, last-event-id, content-type"
    response = api.options(
        "/healthz",
        headers={
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "PATCH",
            "Access-Control-Request-Headers": asked,
        },
    )
    assert response.status_code == 200
    assert set(asked.split(", ")) <= set(response["Access-Control-Allow-Headers"].split(", "))
    assert "PATCH" in response["Access-Control-Allow-Methods"]


def test_another_origin_may_not_call_the_api(api: Client) -> None:
    assert "Access-Control-Allow-Origin" not in api.get("/healthz", headers={"Origin": "https://evil.example"}).headers
