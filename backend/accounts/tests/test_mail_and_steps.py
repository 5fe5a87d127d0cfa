"""Log-ins of several steps: by a mailed link, by a mailed code, with a second factor."""

import re
import time
from typing import Any
from urllib.parse import unquote

from allauth.account.models import EmailAddress
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from django.core.cache import cache
from django.core.mail import EmailMessage
from django.test import Client

from backend.accounts.models import Session
from tests.actors import PASSWORD, Person

AUTH = "/api/v1/auth"
NEW_PASSWORD = "another horse entirely"


def post(path: str, body: dict[str, Any], session_token: str | None = None, **headers: str) -> Any:
    if session_token is not None:
        headers["X-Session-Token"] = session_token
    return Client(raise_request_exception=False).post(f"{AUTH}/{path}", body, "application/json", headers=headers)


def without_request(problem: dict[str, Any]) -> dict[str, Any]:
    meta = {**problem.get("meta", {}), "session_token": ""}
    return {**problem, "request_id": "", "meta": meta}


def totp(secret: str) -> str:
    """The code of this moment, good for ten seconds more at least."""
    if (left := 30 - time.time() % 30) < 10:
        time.sleep(left)
    counter = next(iter(yield_hotp_counters_from_time()))
    return str(format_hotp_value(hotp_value(secret, counter)))


def test_a_forgotten_password_is_set_anew_by_a_mailed_link(
    owner: Person, mailoutbox: list[EmailMessage], django_capture_on_commit_callbacks: Any
) -> None:
    assert post("password/request", {"email": "Owner@example.com"}).status_code == 200
    (mail,) = mailoutbox
    assert mail.to == ["owner@example.com"]
    found = re.search(r"http://localhost:8000/#/reset-password/(\S+)", str(mail.body))
    assert found is not None
    key = found[1]

    with django_capture_on_commit_callbacks(execute=True):
        response = post("password/reset", {"key": key, "password": NEW_PASSWORD})

    assert response.status_code == 200, response.content
    access_token = response.json()["meta"]["access_token"]
    me = Client().get("/api/v1/users/me", headers={"Authorization": f"Bearer {access_token}"})
    assert me.json()["id"] == owner.user.public_id
    assert owner.get("/api/v1/users/me").json()["code"] == "session_revoked"
    assert Session.objects.live().count() == 1
    assert post("login", {"email": "owner@example.com", "password": PASSWORD}).status_code == 422
    assert post("login", {"email": "owner@example.com", "password": NEW_PASSWORD}).status_code == 200
    assert post("password/reset", {"key": key, "password": "once more with it"}).status_code == 422


def test_mails_name_the_product_and_not_the_host_of_the_request(
    owner: Person, mailoutbox: list[EmailMessage], settings: Any
) -> None:
    settings.DEFAULT_FROM_EMAIL, settings.FRONTEND_URL = "Acme <hi@acme.example>", "https://app.acme.example"
    settings.ALLOWED_HOSTS = ["inner.example"]
    asked = Client(headers={"host": "inner.example"}).post(
        "/api/v1/auth/password/request", {"email": owner.user.email}, content_type="application/json"
    )
    assert asked.status_code == 200
    (mail,) = mailoutbox
    body = str(mail.body)
    assert body.startswith("Hello from Acme!")
    assert body.rstrip().endswith("Thank you for using Acme!\nhttps://app.acme.example")
    assert "inner.example" not in body + mail.subject


def test_a_password_is_not_reset_by_a_guess_or_to_a_weak_one(owner: Person, mailoutbox: list[EmailMessage]) -> None:
    post("password/request", {"email": "owner@example.com"})
    key = re.findall(r"reset-password/(\S+)", str(mailoutbox[0].body))[0]

    for guess in ("", "x", "1-abc-def", key[:-1], "😀", key + "x"):
        response = post("password/reset", {"key": guess, "password": NEW_PASSWORD})
        assert response.status_code == 422, guess
        assert response.json()["errors"][0]["pointer"] == "/key"
    assert post("password/reset", {"key": key, "password": "short"}).json()["errors"][0]["pointer"] == "/password"
    owner.user.refresh_from_db()
    assert owner.user.check_password(PASSWORD)


def test_a_request_for_a_mail_does_not_reveal_whether_an_account_exists(
    owner: Person, mailoutbox: list[EmailMessage]
) -> None:
    for path in ("password/request", "code/request"):
        mailoutbox.clear()
        known = post(path, {"email": "owner@example.com"})
        assert len(mailoutbox) == 1
        unknown = post(path, {"email": "nobody@example.com"})

        assert known.status_code == unknown.status_code
        assert without_request(known.json()) == without_request(unknown.json())
        assert len(mailoutbox) == 1


def test_a_mailed_code_logs_in(owner: Person, mailoutbox: list[EmailMessage]) -> None:
    asked = post("code/request", {"email": "owner@example.com"})
    assert asked.status_code == 401  # Log-in has begun and is not done: data.flows says what is pending.
    pending = [flow["id"] for flow in asked.json()["data"]["flows"] if flow.get("is_pending")]
    assert pending == ["login_by_code"]
    session_token = asked.json()["meta"]["session_token"]
    code = next(line for line in str(mailoutbox[0].body).splitlines() if re.fullmatch(r"[A-Z0-9-]{6,}", line.strip()))

    assert post("code/confirm", {"code": "WRONG1"}, session_token).status_code == 422
    response = post("code/confirm", {"code": code.strip()}, session_token)

    assert response.status_code == 200, response.content
    assert response.json()["meta"]["access_token"]
    assert Session.objects.order_by("-id")[0].amr == ["otp"]


def test_a_code_needs_the_log_in_it_belongs_to(owner: Person) -> None:
    assert post("code/confirm", {"code": "ABCDEF"}).status_code == 409


def test_a_second_factor_is_set_up_with_the_access_token_and_then_asked_for(owner: Person) -> None:
    assert owner.get("/api/v1/account/authenticators/totp").status_code == 409  # First an address that is theirs.
    EmailAddress.objects.update(verified=True)
    setup = owner.get("/api/v1/account/authenticators/totp")
    assert setup.status_code == 404  # None yet; meta tells the secret to set one up with.
    secret = setup.json()["meta"]["secret"]
    refused = owner.post("/api/v1/account/authenticators/totp", {"code": totp(secret)})
    assert refused.status_code == 401
    assert (refused.status_code, refused.json()["code"]) == (401, "reauthentication_required")
    assert "reauthenticate" in [flow["id"] for flow in refused.json()["data"]["flows"]]
    assert owner.post(f"{AUTH}/reauthenticate", {"password": PASSWORD}).status_code == 200
    assert owner.post("/api/v1/account/authenticators/totp", {"code": "000000"}).status_code == 422
    activated = owner.post("/api/v1/account/authenticators/totp", {"code": totp(secret)})
    assert activated.status_code == 200, activated.content

    half = post("login", {"email": "owner@example.com", "password": PASSWORD})

    assert half.status_code == 401
    assert half.json()["detail"] == "One more step is needed to log in; `data.flows` names it."
    assert "access_token" not in half.json()["meta"]
    assert Session.objects.count() == 1
    session_token = half.json()["meta"]["session_token"]
    assert Client().get("/api/v1/users/me", headers={"X-Session-Token": session_token}).status_code == 401
    assert post("2fa/authenticate", {"code": "000000"}, session_token).status_code == 422
    cache.clear()  # The code was used a moment ago; a person would wait for the next.
    whole = post("2fa/authenticate", {"code": totp(secret)}, session_token)
    assert whole.status_code == 200, whole.content
    assert whole.json()["meta"]["access_token"]
    assert Session.objects.order_by("-id")[0].amr == ["pwd", "mfa", "otp"]


def test_a_verified_address_can_be_demanded(db: None, settings: Any, mailoutbox: list[EmailMessage]) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    response = post("signup", {"email": "ana@example.com", "password": PASSWORD})

    assert response.status_code == 401
    assert "access_token" not in response.json().get("meta", {})
    assert not Session.objects.exists()
    session_token = response.json()["meta"]["session_token"]
    found = re.search(r"/#/verify-email/(\S+)", str(mailoutbox[0].body))
    assert found is not None
    verified = post("email/verify", {"key": unquote(found[1])}, session_token)

    assert verified.status_code == 200, verified.content
    assert verified.json()["meta"]["access_token"]
    again = post("signup", {"email": "ana@example.com", "password": PASSWORD})
    assert without_request(again.json()) == without_request(response.json())  # Nobody learns that ana is here.
