"""System checks on settings."""

import subprocess
import sys
from typing import Any

import pytest

from backend.http.checks import production, values

GOOD = {
    "DEBUG": False,
    "SECRET_KEY": "x" * 50,
    "ALLOWED_HOSTS": ["api.example.com"],
    "CORS_ALLOWED_ORIGINS": ["https://app.example.com"],
    "PUBLIC_URL": "https://api.example.com",
}


@pytest.fixture(autouse=True)
def good(settings: Any) -> None:
    for name, value in GOOD.items():
        setattr(settings, name, value)


def test_good_settings_pass() -> None:
    assert production(None) == []
    assert values(None) == []


@pytest.mark.parametrize(
    ("name", "value", "id"),
    [
        ("SECRET_KEY", "development-only-secret-key-never-for-production", "http.E001"),
        ("SECRET_KEY", "short", "http.E001"),
        ("DEBUG", True, "http.E002"),
        ("ALLOWED_HOSTS", ["*"], "http.E003"),
        ("ALLOWED_HOSTS", [], "http.E003"),
        ("CORS_ALLOWED_ORIGINS", ["*"], "http.E004"),
        ("PUBLIC_URL", "http://api.example.com", "http.W005"),
        ("AUTH_RATE_LIMIT", "off", "http.W006"),
    ],
)
def test_production_refuses(settings: Any, name: str, value: Any, id: str) -> None:
    setattr(settings, name, value)
    assert [message.id for message in production(None)] == [id]


@pytest.mark.parametrize(
    "addresses", ["*", "10.0.0.1, *", "0.0.0.0/0", "::/0", "1.2.3.4/0", "127.0.0.1,0.0.0.0/1,128.0.0.0/1"]
)
def test_production_refuses_to_trust_every_address(monkeypatch: pytest.MonkeyPatch, addresses: str) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", addresses)
    assert [message.id for message in production(None)] == ["http.E007"]


@pytest.mark.parametrize("addresses", ["", "127.0.0.1,::1", "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16", "unix:"])
def test_production_trusts_named_gateways(monkeypatch: pytest.MonkeyPatch, addresses: str) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", addresses)
    assert production(None) == []


@pytest.mark.parametrize(
    ("name", "value", "id"),
    [
        ("AUTH_RATE_LIMIT", "often", "http.E101"),
        ("REFRESH_RATE_LIMIT", "often", "http.E101"),
        ("LOG_FORMAT", "xml", "http.E102"),
        ("LOG_LEVEL", "LOUD", "http.E103"),
        ("LOG_FILE", "/no/such/folder/log", "http.E104"),
        ("WEB_THREADS", 0, "http.E105"),
        ("PUBLIC_URL", "api.example.com", "http.E106"),
        ("PUBLIC_URL", "https://api.example.com/path", "http.E106"),
    ],
)
def test_invalid_values_are_refused(settings: Any, name: str, value: Any, id: str) -> None:
    setattr(settings, name, value)
    assert [message.id for message in values(None)] == [id]


def test_an_old_name_of_a_setting_is_read_and_warned_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUN_DOORBELL_SECONDS", "7.5")
    read = "from backend import settings; print(settings.RUN_NOTIFY_SECONDS)"
    printed = subprocess.run([sys.executable, "-c", read], capture_output=True, text=True, check=True).stdout
    assert float(printed) == 7.5
    assert [message.id for message in values(None)] == ["http.W107"]
