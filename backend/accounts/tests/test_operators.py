import json
import re
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.core.management import CommandError, call_command
from django.db.models import Q
from django.test import Client

from backend.accounts.models import Session, User
from backend.accounts.operations import set_password
from backend.accounts.operators.operations import ensure_operator
from backend.accounts.states import SessionStore
from backend.accounts.tests.threads import at_once
from tests.actors import PASSWORD, Person
from tests.operators import clerk


@pytest.mark.django_db
def test_an_operator_is_made_once() -> None:
    assert ensure_operator(email="Op@Example.com", password=PASSWORD) is True
    assert ensure_operator(email="op@example.com", password="another") is False

    user = User.objects.get()
    assert (user.email, user.is_staff, user.is_superuser) == ("op@example.com", True, True)
    assert user.check_password(PASSWORD)
    assert user.personal_workspace.memberships.get().role == "owner"
    assert EmailAddress.objects.get().verified


def admin_opens(password: str) -> bool:
    browser = Client()
    browser.post("/admin/login/", {"username": "owner@example.com", "password": password})
    return browser.get("/admin/accounts/user/add/").status_code == 200


def test_who_registered_the_address_first_loses_the_account(
    owner: Person, stranger: Person, django_capture_on_commit_callbacks: Any
) -> None:
    """Password, tokens, second factor, another address, a code on its way: nothing of the first owner's works."""
    TOTP.activate(owner.user, generate_totp_secret())
    EmailAddress.objects.create(user=owner.user, email="eva@example.net", verified=True)
    EmailAddress.objects.create(user=stranger.user, email="owner@example.com", verified=False)
    code = Client().post("/api/v1/auth/code/request", {"email": "eva@example.net"}, content_type="application/json")
    on_its_way = {"X-Session-Token": code.json()["meta"]["session_token"]}
    number = re.search(r'"code": "([^"]+)"', json.dumps(SessionStore(on_its_way["X-Session-Token"]).load()))
    assert number is not None  # What was mailed to eva@example.net.

    with django_capture_on_commit_callbacks(execute=True):
        assert ensure_operator(email="Owner@example.com", password="given to the operator 1") is True

    assert owner.get("/api/v1/users/me").json()["code"] == "session_revoked"
    refreshed = owner.post("/api/v1/tokens/refresh", {"refresh_token": owner.refresh_token})
    assert (refreshed.status_code, refreshed.json()["code"]) == (401, "session_revoked")
    confirmed = Client().post(
        "/api/v1/auth/code/confirm", {"code": number[1]}, content_type="application/json", headers=on_its_way
    )
    assert confirmed.status_code == 401
    assert not admin_opens(PASSWORD)
    assert admin_opens("given to the operator 1")
    assert not Authenticator.objects.exists()
    kept = EmailAddress.objects.filter(Q(user=owner.user) | Q(email__iexact="owner@example.com"))
    assert list(kept.values_list("user_id", "email", "verified", "primary")) == [
        (owner.user.pk, "owner@example.com", True, True)
    ]
    assert stranger.get("/api/v1/users/me").status_code == 200


def test_an_operator_of_few_rights_becomes_one_of_all_the_same_way(db: None) -> None:
    limited = clerk()

    assert ensure_operator(email=limited.email, password="given to the operator 1") is True

    limited.refresh_from_db()
    assert limited.is_superuser
    assert limited.check_password("given to the operator 1")


def test_an_operator_stays_as_they_are(owner: Person) -> None:
    User.objects.update(is_staff=True, is_superuser=True)
    TOTP.activate(owner.user, generate_totp_secret())

    assert ensure_operator(email="owner@example.com", password="another") is False

    assert owner.get("/api/v1/users/me").status_code == 200
    assert Authenticator.objects.exists()
    assert User.objects.get().check_password(PASSWORD)


def test_another_password_ends_every_log_in(
    owner: Person, stranger: Person, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        set_password(user_id=owner.user.pk, password="another horse entirely")

    assert owner.get("/api/v1/users/me").json()["code"] == "session_revoked"
    refreshed = owner.post("/api/v1/tokens/refresh", {"refresh_token": owner.refresh_token})
    assert (refreshed.status_code, refreshed.json()["code"]) == (401, "session_revoked")
    assert Session.objects.get(user=owner.user).revoked_reason == "password_changed"
    assert stranger.get("/api/v1/users/me").status_code == 200
    owner.user.refresh_from_db()
    assert owner.user.check_password("another horse entirely")


@pytest.mark.django_db(transaction=True)
def test_two_starts_at_once_make_one() -> None:
    made = at_once(*[lambda: ensure_operator(email="op@example.com", password=PASSWORD)] * 3)

    assert sorted(made) == [False, False, True]
    assert User.objects.count() == EmailAddress.objects.count() == 1


@pytest.mark.django_db
def test_the_command_reads_its_arguments_or_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("create_operator", email="a@example.com", password=PASSWORD)
    monkeypatch.setenv("OPERATOR_EMAIL", "b@example.com")
    monkeypatch.setenv("OPERATOR_PASSWORD", PASSWORD)
    call_command("create_operator")
    call_command("create_operator")

    assert list(User.objects.order_by("email").values_list("email", "is_superuser")) == [
        ("a@example.com", True),
        ("b@example.com", True),
    ]
    assert PASSWORD not in capsys.readouterr().out


@pytest.mark.django_db
@pytest.mark.parametrize("given", [{}, {"email": "a@example.com"}, {"email": "nonsense", "password": PASSWORD}])
def test_the_command_names_missing_options(monkeypatch: pytest.MonkeyPatch, given: dict[str, Any]) -> None:
    monkeypatch.delenv("OPERATOR_EMAIL", raising=False)
    monkeypatch.delenv("OPERATOR_PASSWORD", raising=False)

    with pytest.raises(CommandError):
        call_command("create_operator", **given)
    assert not User.objects.exists()


@pytest.mark.django_db
def test_an_operator_logs_in_to_the_api_too(client: Any) -> None:
    ensure_operator(email="op@example.com", password=PASSWORD)

    response = client.post("/api/v1/auth/login", {"email": "op@example.com", "password": PASSWORD}, "application/json")

    assert response.status_code == 200
    assert Session.objects.get().user.email == "op@example.com"
