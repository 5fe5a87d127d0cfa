from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.test import Client

from backend.accounts.keys import key_ring

SMALL_KEY = """-----BEGIN PRIVATE KEY-----
MIIBVAIBADANBgkqhkiG9w0BAQEFAASCAT4wggE6AgEAAkEAvY2sCEI4RUd7K2sa
-----END PRIVATE KEY-----"""


def ids(**options: Any) -> set[str]:
    return {message.id or "" for message in run_checks(**options) if (message.id or "").startswith("accounts.")}


def test_the_settings_of_the_tests_are_sound() -> None:
    assert ids() == set()


def test_production_needs_a_key(settings: Any) -> None:
    settings.JWT_PRIVATE_KEY = ""

    assert ids() == set()
    assert "accounts.E003" in ids(include_deployment_checks=True)
    with pytest.raises(ImproperlyConfigured):
        key_ring()


@pytest.mark.parametrize("pem", ["nonsense", SMALL_KEY])
def test_what_is_no_key_is_refused_at_once(settings: Any, pem: str) -> None:
    settings.JWT_PRIVATE_KEY = pem

    assert "accounts.E001" in ids()


def test_previous_keys_must_be_keys(settings: Any) -> None:
    settings.JWT_PREVIOUS_PUBLIC_KEYS = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"

    assert "accounts.E001" in ids()


def test_debug_makes_a_key_that_dies_with_the_process(settings: Any) -> None:
    settings.JWT_PRIVATE_KEY = ""
    settings.DEBUG = True

    assert key_ring() is key_ring()
    assert Client().get("/.well-known/jwks.json").json()["keys"][0]["kid"] == key_ring().kid


def test_a_cheaper_hasher_is_refused_in_production(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

    assert "accounts.E004" in ids(include_deployment_checks=True)


def test_e_mail_verification_is_one_of_three(settings: Any) -> None:
    settings.EMAIL_VERIFICATION = "yes"

    assert "accounts.E002" in ids()
