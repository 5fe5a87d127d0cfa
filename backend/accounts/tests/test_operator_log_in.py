"""Operators log in to the admin: password, second factor, limits, and the ends of their cookies."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from django.contrib.sessions.models import Session as State
from django.test import Client

from backend.accounts import operations, throttles
from backend.accounts.checks import check_second_factor
from backend.accounts.hashers import Argon2id
from backend.accounts.models import Session, User
from backend.accounts.tests.threads import at_once
from backend.http.limits import Rate
from tests.actors import PASSWORD, Person
from tests.operators import SECRET, admin_browser, superuser

LOGIN = "/admin/login/?next=/admin/accounts/user/"


@pytest.fixture
def operator(db: None) -> User:
    return superuser()


@pytest.fixture
def secret(operator: User) -> str:
    """Of the operator's app."""
    made: str = generate_totp_secret()
    TOTP.activate(operator, made)
    RecoveryCodes.activate(operator)
    return made


def code_of(secret: str) -> str:
    """What the app shows; for at least five seconds more."""
    if (left := 30 - time.time() % 30) < 5:
        time.sleep(left)
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // 30)))


def recovery_codes(user: User) -> list[str]:
    instance = Authenticator.objects.get(user=user, type=Authenticator.Type.RECOVERY_CODES)
    codes: list[str] = RecoveryCodes(instance).get_unused_codes()
    return codes


def with_password(password: str = SECRET, address: str = "127.0.0.1", email: str = "operator@example.com") -> Any:
    """A browser after the first step, and the answer."""
    browser = Client(raise_request_exception=False, REMOTE_ADDR=address)
    return browser, browser.post(LOGIN, {"username": email, "password": password})


def is_in(browser: Client) -> bool:
    return browser.get("/admin/").status_code == 200


def test_a_password_is_enough_without_a_second_factor(operator: User) -> None:
    browser, response = with_password()

    assert (response.status_code, response["Location"]) == (302, "/admin/accounts/user/")
    assert is_in(browser)
    session = Session.objects.get()
    assert (session.user, session.amr, session.ip_address) == (operator, ["pwd"], "127.0.0.1")
    cookie = browser.cookies["sessionid"]
    assert (cookie["path"], cookie["httponly"]) == ("/admin/", True)
    assert not State.objects.filter(session_key=cookie.value).exists()


def test_the_second_factor_is_asked_for(operator: User, secret: str) -> None:
    browser, response = with_password()

    assert (response.status_code, response["Location"]) == (302, LOGIN)
    assert not is_in(browser)
    assert not Session.objects.exists()
    page = browser.get(LOGIN).content
    assert b'name="code"' in page
    assert b'name="password"' not in page

    response = browser.post(LOGIN, {"code": code_of(secret)})

    assert (response.status_code, response["Location"]) == (302, "/admin/accounts/user/")
    assert is_in(browser)
    assert Session.objects.get().amr == ["pwd", "mfa", "otp"]


def test_a_code_is_good_once(operator: User, secret: str) -> None:
    code = code_of(secret)
    first, _ = with_password()
    second, _ = with_password()

    assert first.post(LOGIN, {"code": code}).status_code == 302
    assert second.post(LOGIN, {"code": code}).status_code == 200
    assert not is_in(second)


@pytest.mark.django_db(transaction=True)
def test_a_recovery_code_is_good_once_also_at_the_same_moment(operator: User, secret: str) -> None:
    code = recovery_codes(operator)[0]
    browsers = [with_password()[0] for _ in range(3)]

    def enter(browser: Client) -> Callable[[], int]:
        return lambda: browser.post(LOGIN, {"code": code}).status_code

    assert sorted(at_once(*[enter(browser) for browser in browsers])) == [200, 200, 302]
    assert code not in recovery_codes(operator)


def test_wrong_codes_lead_back_to_the_password(operator: User, secret: str) -> None:
    browser, _ = with_password()
    for _ in range(5):
        assert b"Incorrect code" in browser.post(LOGIN, {"code": "000000x"}).content

    assert b'name="password"' in browser.get(LOGIN).content
    browser.post(LOGIN, {"code": code_of(secret)})
    assert not is_in(browser)


def test_a_code_without_the_password_before_it_is_nothing(operator: User, secret: str) -> None:
    browser = Client()

    assert browser.post(LOGIN, {"code": code_of(secret)}).status_code == 302
    assert not is_in(browser)


@pytest.mark.parametrize("what", ["password", "lock-out", "no operator", "late"])
def test_the_first_step_does_not_outlive_what_it_was_about(
    operator: User, secret: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser, _ = with_password()
    if what == "password":
        operations.set_password(user_id=operator.pk, password="another horse entirely")
    elif what == "lock-out":
        operations.deactivate_user(user_id=operator.pk)
    elif what == "no operator":
        User.objects.update(is_staff=False)
    else:
        now = time.time
        monkeypatch.setattr("backend.accounts.operators.login.time.time", lambda: now() + 301)

    browser.post(LOGIN, {"code": recovery_codes(operator)[0]})

    assert not is_in(browser)


def test_another_account_begins_again(operator: User, secret: str) -> None:
    browser, _ = with_password()

    assert browser.post(LOGIN, {"restart": "1"})["Location"] == LOGIN
    assert b'name="password"' in browser.get(LOGIN).content


def test_a_required_second_factor(operator: User, settings: Any) -> None:
    before, _ = with_password()
    assert is_in(before)
    settings.OPERATOR_SECOND_FACTOR = "required"

    assert not is_in(before)
    browser, response = with_password()
    assert b"/api/v1/account/authenticators/totp" in response.content
    assert not is_in(browser)

    made = generate_totp_secret()
    TOTP.activate(operator, made)
    browser, _ = with_password()
    browser.post(LOGIN, {"code": code_of(made)})
    assert is_in(browser)


def test_the_setting_is_one_of_two(settings: Any) -> None:
    assert check_second_factor() == []
    settings.OPERATOR_SECOND_FACTOR = "yes"
    assert [problem.id for problem in check_second_factor()] == ["accounts.E005"]


def test_guesses_from_one_address_lock_the_operator_out_nowhere_else(operator: User) -> None:
    for _ in range(12):
        with_password("wrong", address="198.51.100.1")

    _, response = with_password(address="198.51.100.1")
    assert b"Too many attempts" in response.content
    new, _ = with_password(address="203.0.113.7")
    assert is_in(new)


def test_guesses_from_many_addresses_do_not_lock_the_operator_out_of_a_known_one(
    operator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttles, "PASSWORDS", replace(throttles.PASSWORDS, per_account=Rate(3, 600)))
    with_password(address="203.0.113.7")
    for number in range(6):
        with_password("wrong", address=f"198.51.100.{number}")

    _, response = with_password(address="198.51.100.200")
    assert b"Too many attempts" in response.content
    known, _ = with_password(address="203.0.113.7")
    assert is_in(known)


def test_wrong_codes_from_one_address_lock_the_operator_out_nowhere_else(operator: User, secret: str) -> None:
    for _ in range(3):
        thief, _ = with_password(address="198.51.100.1")
        for _ in range(4):
            response = thief.post(LOGIN, {"code": "000000"})
    assert b"Too many attempts" in response.content

    browser, _ = with_password(address="203.0.113.7")
    browser.post(LOGIN, {"code": code_of(secret)})
    assert is_in(browser)


def test_no_address_guesses_on(operator: User) -> None:
    with_password(address="203.0.113.7")
    for _ in range(10):
        with_password("wrong", address="203.0.113.7")

    _, response = with_password(address="203.0.113.7")
    assert b"Too many attempts" in response.content


@pytest.mark.parametrize("email", ["operator@example.com", "unknown@example.com"])
def test_a_wrong_password_costs_one_hash_for_any_address(operator: User, email: str) -> None:
    with (
        patch.object(Argon2id, "encode", autospec=True, side_effect=Argon2id.encode) as encode,
        patch.object(Argon2id, "verify", autospec=True, side_effect=Argon2id.verify) as verify,
    ):
        with_password("wrong", email=email)
        with_password("x" * 2000, email=email)  # Too long for any account: no hash.

    assert encode.call_count + verify.call_count == 1


@pytest.mark.parametrize("end", ["session", "others", "lock-out", "password", "log-out", "admin", "own password"])
def test_a_cookie_ends_at_once(operator: User, end: str) -> None:
    browser = admin_browser(operator)
    own = Session.objects.get()
    api = Client().post(
        "/api/v1/auth/login", {"email": operator.email, "password": SECRET}, content_type="application/json"
    )
    bearer = {"Authorization": f"Bearer {api.json()['meta']['access_token']}"}
    assert is_in(browser)

    if end == "session":
        assert Client().delete(f"/api/v1/sessions/{own.public_id}", headers=bearer).status_code == 204
    elif end == "others":
        assert Client().delete("/api/v1/sessions", headers=bearer).status_code == 204
    elif end == "lock-out":
        operations.deactivate_user(user_id=operator.pk)
        operations.activate_user(user_id=operator.pk)  # What was ended stays ended.
    elif end == "password":
        operations.set_password(user_id=operator.pk, password="another horse entirely")
    elif end == "log-out":
        cookie = browser.cookies["sessionid"].value
        assert browser.post("/admin/logout/").status_code == 200
        browser.cookies["sessionid"] = cookie
    elif end == "admin":
        data = {"action": "revoke", "_selected_action": [str(own.pk)]}
        admin_browser(superuser("other@example.com")).post("/admin/accounts/session/", data)
    else:
        new = {"old_password": SECRET, "new_password1": "another horse 1", "new_password2": "another horse 1"}
        other = admin_browser(operator)
        assert other.post("/admin/password_change/", new).status_code == 302
        assert is_in(other)

    assert not is_in(browser)
    own.refresh_from_db()
    assert own.revoked_at is not None


def test_an_operators_password_change_in_the_admin_ends_the_api_log_ins(owner: Person) -> None:
    User.objects.update(is_staff=True)
    owner.user.refresh_from_db()
    new = {"old_password": PASSWORD, "new_password1": "another horse 1", "new_password2": "another horse 1"}
    assert admin_browser(owner.user).post("/admin/password_change/", new).status_code == 302

    assert Session.objects.get(amr=["pwd"], user_agent="").revoked_reason == "password_changed"


def test_no_other_path_reads_the_cookie_or_sets_one(operator: User) -> None:
    browser = admin_browser(operator)

    for path in ("/", "/api/v1/auth/session", "/api/v1/users/me", "/api/docs"):
        response = browser.get(path)
        assert "sessionid" not in response.cookies
    assert browser.get("/api/v1/users/me").status_code == 401
    assert is_in(browser)
