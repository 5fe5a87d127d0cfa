from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core.management import CommandError, call_command

from backend.accounts.models import Session, User
from backend.accounts.operations import ensure_operator, set_password
from backend.accounts.tests.threads import at_once
from tests.actors import PASSWORD, Person


@pytest.mark.django_db
def test_an_operator_is_made_once() -> None:
    assert ensure_operator(email="Op@Example.com", password=PASSWORD) is True
    assert ensure_operator(email="op@example.com", password="another") is False

    user = User.objects.get()
    assert (user.email, user.is_staff, user.is_superuser) == ("op@example.com", True, True)
    assert user.check_password(PASSWORD)
    assert user.personal_workspace.memberships.get().role == "owner"
    assert EmailAddress.objects.get().verified


def test_somebody_who_signed_up_becomes_one(owner: Person) -> None:
    assert ensure_operator(email="owner@example.com", password="another") is False

    user = User.objects.get()
    assert user.is_staff
    assert user.check_password(PASSWORD)
    assert owner.get("/api/v1/users/me").status_code == 200


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
def test_the_command_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, given: dict[str, Any]) -> None:
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
