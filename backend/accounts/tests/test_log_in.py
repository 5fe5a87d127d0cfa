from typing import Any

import pytest
from django.contrib.sessions.models import Session as State
from django.test import Client

from backend.accounts.models import Session, User
from tests.actors import PASSWORD, Person
from tests.operators import SECRET, admin_browser, superuser

LOGIN = "/api/v1/auth/login"
CURRENT = "/api/v1/auth/session"


def log_in(email: str = "owner@example.com", password: str = PASSWORD, **headers: str) -> Any:
    client = Client(raise_request_exception=False)
    return client.post(LOGIN, {"email": email, "password": password}, "application/json", headers=headers)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("email", ["owner@example.com", "Owner@EXAMPLE.com", " owner@example.com "])
def test_logging_in_begins_another_session(owner: Person, email: str) -> None:
    response = log_in(email, **{"User-Agent": "test/1"})

    assert response.status_code == 200, response.content
    session = Session.objects.order_by("-id")[0]
    assert Session.objects.count() == 2
    assert (session.user, session.user_agent, session.ip_address) == (owner.user, "test/1", "127.0.0.1")
    assert session.amr == ["pwd"]
    me = Client().get("/api/v1/users/me", headers=bearer(response.json()["meta"]["access_token"]))
    assert me.json()["id"] == owner.user.public_id


def test_a_token_that_comes_along_does_not_stop_a_log_in(owner: Person, stranger: Person) -> None:
    response = log_in(**bearer(stranger.access_token))

    assert response.status_code == 200
    assert response.json()["data"]["user"]["email"] == "owner@example.com"
    assert log_in(**bearer("nonsense")).status_code == 200


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("owner@example.com", "wrong horse battery staple"),
        ("owner@example.com", PASSWORD.upper()),
        ("nobody@example.com", PASSWORD),
        ("owner@example.com", "x" * 5000),
        ("owner@example.com", "😀馬"),
    ],
)
def test_all_wrong_credentials_get_the_same_response(owner: Person, email: str, password: str) -> None:
    response = log_in(email, password)

    assert response.status_code == 422
    problem = response.json()
    assert problem["errors"] == [
        {
            "pointer": "/password",
            "code": "email_password_mismatch",
            "detail": "The email address and/or password you specified are not correct.",
        }
    ]
    assert "meta" not in problem
    assert Session.objects.count() == 1


def test_guessing_at_one_account_is_stopped(owner: Person, settings: Any) -> None:
    settings.AUTH_RATE_LIMIT = "off"
    answers = [log_in(password=f"guess {number} of many") for number in range(11)]

    assert [answer.json()["errors"][0]["code"] for answer in answers[:10]] == ["email_password_mismatch"] * 10
    assert answers[10].json()["errors"][0]["code"] == "too_many_login_attempts"
    assert log_in().json()["errors"][0]["code"] == "too_many_login_attempts"


def test_a_locked_out_user_cannot_log_in(owner: Person) -> None:
    User.objects.filter(pk=owner.user.pk).update(is_active=False)

    response = log_in()

    assert response.status_code == 401
    assert "access_token" not in response.json().get("meta", {})
    assert Session.objects.count() == 1


def test_the_access_token_names_the_session(owner: Person) -> None:
    response = owner.get(CURRENT)

    assert response.status_code == 200, response.content
    assert response.json()["data"]["user"]["id"] == owner.user.public_id
    assert response.json()["meta"]["is_authenticated"] is True
    assert "access_token" not in response.json()["meta"]


def test_without_a_log_in_there_is_no_session(db: None) -> None:
    response = Client().get(CURRENT)

    assert response.status_code == 401
    assert response.json()["code"] == "not_authenticated"
    assert "login" in [flow["id"] for flow in response.json()["data"]["flows"]]


@pytest.mark.parametrize("path", ["/api/v1/users/me", CURRENT, "/api/v1/sessions", "/api/v1/account/email"])
def test_logging_out_ends_the_access_token_at_once(
    owner: Person, path: str, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        response = owner.delete(CURRENT)

    assert response.status_code == 401  # As allauth answers: nobody is logged in any more.
    assert response.json()["detail"] == "You are logged out."
    assert response.json()["meta"]["is_authenticated"] is False
    session = Session.objects.get()
    assert session.revoked_at is not None
    assert session.revoked_reason == "logged_out"
    assert not State.objects.exists()
    again = owner.get(path)
    assert again.status_code == 401
    assert again.json()["code"] == "session_revoked"
    refreshed = Client().post(
        "/api/v1/tokens/refresh", {"refresh_token": owner.refresh_token}, content_type="application/json"
    )
    assert refreshed.json()["code"] == "session_revoked"


def test_logging_out_leaves_other_log_ins_and_people(
    owner: Person, stranger: Person, django_capture_on_commit_callbacks: Any
) -> None:
    second = log_in().json()["meta"]["access_token"]
    with django_capture_on_commit_callbacks(execute=True):
        owner.delete(CURRENT)

    assert Client().get("/api/v1/users/me", headers=bearer(second)).status_code == 200
    assert stranger.get("/api/v1/users/me").status_code == 200


def test_the_session_token_of_the_flows_ends_with_the_session(
    owner: Person, django_capture_on_commit_callbacks: Any
) -> None:
    meta = log_in().json()["meta"]
    token = {"X-Session-Token": meta["session_token"]}
    assert Client().get(CURRENT, headers=token).status_code == 200

    with django_capture_on_commit_callbacks(execute=True):
        Client().delete(CURRENT, headers=bearer(meta["access_token"]))

    response = Client().get(CURRENT, headers=token)
    assert response.status_code == 401
    assert "user" not in response.json().get("data", {})


def test_logging_out_by_the_session_token_ends_the_session(
    owner: Person, django_capture_on_commit_callbacks: Any
) -> None:
    meta = log_in().json()["meta"]
    with django_capture_on_commit_callbacks(execute=True):
        Client().delete(CURRENT, headers={"X-Session-Token": meta["session_token"]})

    response = Client().get("/api/v1/users/me", headers=bearer(meta["access_token"]))
    assert response.json()["code"] == "session_revoked"


@pytest.mark.parametrize("token", ["nonsense", "../../etc/passwd", "0" * 32, "\x00", "x" * 3000])
def test_a_session_token_that_names_nothing_is_refused(owner: Person, token: str) -> None:
    response = Client(raise_request_exception=False).get(CURRENT, headers={"X-Session-Token": token})

    assert response.status_code == 401
    assert response["Content-Type"] == "application/problem+json"


def test_an_operators_cookie_is_no_session_token(db: None) -> None:
    browser = admin_browser(superuser())
    assert browser.get("/admin/").status_code == 200

    response = Client().get(CURRENT, headers={"X-Session-Token": browser.cookies["sessionid"].value})

    assert response.status_code == 401


def test_a_session_token_is_no_operators_cookie(db: None) -> None:
    """Not of an operator's log-in to the API either, and not what the database holds of it."""
    superuser("owner@example.com")
    meta = log_in(password=SECRET).json()["meta"]
    held = [Session.objects.get().state_key, State.objects.get().session_key]
    browser = Client()

    for key in (meta["session_token"], *held):
        browser.cookies["sessionid"] = key
        assert browser.get("/admin/").status_code == 302
        assert Client().get(CURRENT, headers={"X-Session-Token": key}).status_code == (200 if key not in held else 401)


def test_allauths_routes_take_the_access_token_after_their_state_was_cleared(owner: Person) -> None:
    State.objects.all().delete()

    response = owner.get("/api/v1/account/email")

    assert response.status_code == 200, response.content
    assert response.json()["data"] == [{"email": "owner@example.com", "primary": True, "verified": False}]
    assert Session.objects.get().state_key == State.objects.get().session_key
