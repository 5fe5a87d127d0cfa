"""Health checks and metrics."""

import threading
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from backend.server import health

ALL = {"database": "ok", "redis": "ok", "storage": "ok"}


@pytest.fixture
def api(settings: Any) -> Client:
    settings.ROOT_URLCONF = "backend.http.urls"
    return Client(raise_request_exception=False)


def test_healthz_is_200(api: Client) -> None:
    response = api.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_readyz_lists_each_dependency(api: Client) -> None:
    response = api.get("/readyz")
    assert (response.status_code, response.json()) == (200, {"status": "ok", "checks": ALL})


@pytest.mark.parametrize("name", list(ALL))
def test_readyz_names_a_dependency_that_fails(api: Client, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def broken() -> None:
        raise RuntimeError("postgres://orquestra:hidden@db refused")

    monkeypatch.setitem(health.CHECKS, name, broken)
    response = api.get("/readyz")
    assert response.status_code == 503
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == "service_unavailable"
    assert response.json()["checks"] == ALL | {name: "error"}
    assert b"hidden" not in response.content


def test_readyz_does_not_wait_for_a_dependency_that_hangs(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    monkeypatch.setattr(health, "TIMEOUT_SECONDS", 0.2)
    monkeypatch.setitem(health.CHECKS, "storage", lambda: answered.wait(60))
    monkeypatch.setitem(health.CHECKS, "redis", lambda: answered.wait(60))
    response = api.get("/readyz")
    answered.set()  # Both would have been "ok" from here on.
    assert response.json()["checks"] == ALL | {"storage": "error", "redis": "error"}


def test_the_checks_connect_to_each_dependency(settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings.MEDIA_ROOT = tmp_path / "file" / "files"
    with pytest.raises(NotADirectoryError):
        health.CHECKS["storage"]()
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    with pytest.raises(Exception, match="refused"):
        health.CHECKS["redis"]()
    monkeypatch.setitem(connection.settings_dict, "PORT", 1)
    with pytest.raises(Exception, match="refused"):
        health.CHECKS["database"]()


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/api/schema", "/api/docs"])
def test_probes_are_read_only(api: Client, path: str) -> None:
    response = api.post(path)
    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")


@pytest.mark.parametrize(
    ("peer", "headers", "part", "token", "status"),
    [
        ("127.0.0.1", {}, False, "", 200),
        ("::1", {}, False, "", 200),
        ("::ffff:127.0.0.1", {}, False, "", 200),
        ("203.0.113.9", {}, False, "", 403),
        ("10.0.0.9", {}, False, "", 403),
        ("10.0.0.9", {}, True, "", 200),
        ("8.8.8.8", {}, True, "", 403),
        ("", {}, False, "", 403),
        ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, False, "", 403),
        ("10.0.0.9", {"Forwarded": "for=10.0.0.1"}, True, "", 403),
        ("127.0.0.1", {"X-Real-IP": "10.0.0.1"}, True, "", 403),
        ("8.8.8.8", {"Authorization": "Bearer figures-1"}, False, "figures-1", 200),
        ("8.8.8.8", {"Authorization": "Bearer figures-2"}, False, "figures-1", 403),
        ("127.0.0.1", {"Authorization": "Bearer é"}, False, "figures-1", 403),
        ("127.0.0.1", {}, False, "figures-1", 403),
    ],
)
def test_metrics_are_not_public(
    api: Client, settings: Any, *, peer: str, headers: dict[str, str], part: bool, token: str, status: int
) -> None:
    settings.SERVICES = ["agents"] if part else list(settings.EVERY_SERVICE)
    settings.METRICS_TOKEN = token

    response = api.get("/metrics", headers=headers, REMOTE_ADDR=peer)

    assert response.status_code == status
    assert status == 200 or response.json()["code"] == "forbidden"


def test_metrics_are_text(api: Client) -> None:
    response = api.get("/metrics")
    assert response["Content-Type"].startswith("text/plain")
    assert b"# TYPE http_requests_total counter" in response.content
