"""Guesses at an account are bounded, and its owner is not locked out by them."""

from dataclasses import replace
from typing import Any

import pytest
from django.core.mail import EmailMessage
from django.test import Client, RequestFactory

from backend.accounts import operations, throttles
from backend.accounts.models import Session, User
from backend.http.limits import Rate, RateLimited
from tests.actors import PASSWORD, Person

AUTH = "/api/v1/auth"


def post(path: str, body: dict[str, Any], address: str = "127.0.0.1") -> Any:
    return Client(raise_request_exception=False).post(f"{AUTH}/{path}", body, "application/json", REMOTE_ADDR=address)


def guess(address: str, email: str = "owner@example.com", password: str = "a wrong pass phrase") -> str:
    response = post("login", {"email": email, "password": password}, address)
    return "in" if response.status_code == 200 else str(response.json()["errors"][0]["code"])


@pytest.fixture(autouse=True)
def cheap_hashes(settings: Any) -> None:
    settings.AUTH_RATE_LIMIT = "off"
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher", *settings.PASSWORD_HASHERS]


@pytest.mark.parametrize("email", ["owner@example.com", "unknown@example.com"])
def test_guesses_from_one_address_stop_there_and_nowhere_else(owner: Person, email: str) -> None:
    guesses = [guess("192.0.2.1", email) for _ in range(12)]

    assert guesses == ["email_password_mismatch"] * 10 + ["too_many_login_attempts"] * 2
    assert guess("192.0.2.1", email, PASSWORD) == "too_many_login_attempts"
    assert guess("192.0.2.1", "stranger@example.com") == "email_password_mismatch"
    assert guess("192.0.2.2") == "email_password_mismatch"
    assert guess("192.0.2.3", password=PASSWORD) == "in"


def test_the_addresses_of_one_network_count_as_one(owner: Person) -> None:
    guesses = [guess(f"2001:db8:1:2::{number:x}") for number in range(11)]

    assert guesses[-1] == "too_many_login_attempts"
    assert guess("2001:db8:1:3::1", password=PASSWORD) == "in"


def test_guesses_from_many_addresses_stop_but_for_those_the_owner_came_from(owner: Person) -> None:
    Session.objects.update(ip_address="2001:db8:1:2::1")
    for number in range(10):
        assert {guess(f"192.0.2.{number}") for _ in range(10)} == {"email_password_mismatch"}
    guesses = [guess(f"198.51.100.{number}") for number in range(102)]

    assert guesses == ["email_password_mismatch"] * 100 + ["too_many_login_attempts"] * 2
    assert guess("203.0.113.200", password=PASSWORD) == "too_many_login_attempts"
    assert guess("2001:db8:1:2:3::4", password=PASSWORD) == "in"
    assert guess("203.0.113.200", "stranger@example.com") == "email_password_mismatch"


def test_guesses_that_go_on_leave_a_new_address_of_the_owner_two(
    owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttles, "PASSWORDS", replace(throttles.PASSWORDS, per_account=Rate(6, 600)))
    for _ in range(3):
        for address in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
            guess(address)

    assert guess("192.0.2.1") == "too_many_login_attempts"
    assert guess("198.51.100.1") == "email_password_mismatch"
    assert guess("198.51.100.1", password=PASSWORD) == "in"


def test_right_passwords_count_for_nothing(owner: Person) -> None:
    assert [guess("192.0.2.1", password=PASSWORD) for _ in range(12)] == ["in"] * 12


def test_the_new_password_of_a_reset_opens_what_guesses_had_closed(
    owner: Person, mailoutbox: list[EmailMessage]
) -> None:
    for _ in range(11):
        guess("192.0.2.1")
    post("password/request", {"email": "owner@example.com"}, "192.0.2.1")
    key = str(mailoutbox[-1].body).split("/#/reset-password/")[1].split()[0]
    assert post("password/reset", {"key": key, "password": "another horse entirely"}, "192.0.2.1").status_code == 200

    assert guess("192.0.2.1", password="another horse entirely") == "in"


@pytest.mark.parametrize("path", ["password/request", "code/request"])
@pytest.mark.parametrize("email", ["owner@example.com", "unknown@example.com"])
def test_mails_are_bounded_and_the_owner_still_gets_one(
    owner: Person, path: str, email: str, mailoutbox: list[EmailMessage], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RESETS", "CODES"):
        monkeypatch.setattr(throttles, name, replace(getattr(throttles, name), per_account=Rate(30, 3600)))
    answers = [post(path, {"email": email}, "192.0.2.1") for _ in range(11)]
    assert [answer.status_code == 429 for answer in answers] == [False] * 10 + [True]
    assert answers[-1].json()["code"] == "rate_limited"
    assert int(answers[-1]["Retry-After"]) > 0

    for number in (2, 3):
        for _ in range(11):
            post(path, {"email": email}, f"192.0.2.{number}")
    assert post(path, {"email": email}, "198.51.100.1").status_code != 429
    assert post(path, {"email": email}, "198.51.100.1").status_code != 429
    assert post(path, {"email": email}, "198.51.100.1").status_code == 429
    for number in range(4, 40):
        post(path, {"email": email}, f"192.0.2.{number}")
    assert len(mailoutbox) <= 60
    assert post(path, {"email": email}, "192.0.2.99").status_code == 429
    mailoutbox.clear()
    assert post(path, {"email": "owner@example.com"}).status_code != 429  # From where the owner signed up.
    assert len(mailoutbox) == 1


@pytest.mark.parametrize("throttle", [throttles.RESETS, throttles.CODES, throttles.LINKS])
def test_one_patient_address_gets_a_fifth_of_the_mails_of_an_hour(
    throttle: throttles.Throttle, rf: RequestFactory
) -> None:
    def ask(address: str) -> bool:
        try:
            throttles.use(throttle, email="unknown@example.com", request=rf.post("/", REMOTE_ADDR=address))
        except RateLimited:
            return False
        return True

    short, long = throttle.per_address
    patient = replace(throttle, per_address=(replace(short, limit=1000), long))  # As with pauses of five minutes.

    assert sum(ask("192.0.2.1") for _ in range(11)) == 10
    throttle = patient
    assert sum(ask("192.0.2.1") for _ in range(100)) == 10
    assert ask("192.0.2.2")


def refresh(token: str, address: str = "127.0.0.1") -> Any:
    client = Client(raise_request_exception=False)
    return client.post("/api/v1/tokens/refresh", {"refresh_token": token}, "application/json", REMOTE_ADDR=address)


def test_refreshes_of_one_address_are_limited(owner: Person, settings: Any) -> None:
    settings.REFRESH_RATE_LIMIT = "3/min"

    answers = [refresh("nonsense") for _ in range(4)]

    assert [answer.status_code for answer in answers] == [401, 401, 401, 429]
    assert answers[-1].json()["code"] == "rate_limited"
    assert int(answers[-1]["Retry-After"]) > 0
    assert refresh(owner.refresh_token).status_code == 429
    assert refresh(owner.refresh_token, "192.0.2.1").status_code == 200


def test_refreshes_of_one_session_are_limited_wherever_they_come_from(
    owner: Person, stranger: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "REFRESHES", Rate(3, 60))

    answers = [refresh(owner.refresh_token, f"192.0.2.{number}").status_code for number in range(4)]

    assert answers == [200, 200, 200, 429]
    assert refresh(stranger.refresh_token).status_code == 200
    assert Session.objects.get(user=owner.user).revoked_at is None
    assert User.objects.count() == 2
