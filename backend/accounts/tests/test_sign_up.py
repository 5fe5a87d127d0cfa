import json
from typing import Any
from uuid import UUID

import pytest
from allauth.account.models import EmailAddress
from django.test import Client

from backend import settings as product
from backend.accounts.models import Membership, Session, User, Workspace
from backend.accounts.signals import workspace_created
from backend.accounts.tests.threads import at_once
from tests.actors import PASSWORD, Person, sign_up


def post(email: Any, password: Any = PASSWORD, **more: Any) -> Any:
    client = Client(raise_request_exception=False)
    return client.post("/api/v1/auth/signup", {"email": email, "password": password, **more}, "application/json")


@pytest.mark.django_db
def test_signing_up_makes_a_user_their_workspace_and_a_log_in(settings: Any) -> None:
    settings.PASSWORD_HASHERS = product.PASSWORD_HASHERS  # Tests have a cheaper one.
    response = post("Ana.Souza@Example.COM")

    assert response.status_code == 200, response.content
    user = User.objects.get()
    assert user.email == "ana.souza@example.com"
    assert user.password.startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")
    workspace = Workspace.objects.get()
    assert workspace.personal_owner == user
    assert workspace.name == "ana.souza"
    assert list(Membership.objects.values_list("user_id", "workspace_id", "role")) == [(user.pk, workspace.pk, "owner")]
    assert EmailAddress.objects.get().email == user.email
    session = Session.objects.get()
    assert (session.user, session.generation, session.amr) == (user, 1, ["pwd"])
    body = response.json()
    assert body["data"]["user"] == {
        "id": user.public_id,
        "email": "ana.souza@example.com",
        "display": "ana.souza@example.com",
        "has_usable_password": True,
    }
    assert body["meta"]["is_authenticated"] is True
    assert body["meta"]["expires_in"] == 600
    assert {"access_token", "refresh_token", "session_token"} <= body["meta"].keys()
    assert "no-store" in response["Cache-Control"]


def test_the_new_access_token_opens_the_api(owner: Person) -> None:
    response = owner.get("/api/v1/users/me")

    assert response.status_code == 200, response.content
    assert response.json()["email"] == "owner@example.com"


@pytest.mark.django_db
def test_receivers_get_the_workspace_in_its_transaction() -> None:
    heard: list[tuple[UUID, UUID]] = []

    def receive(*, workspace_id: UUID, owner_id: UUID, **kwargs: Any) -> None:
        heard.append((workspace_id, owner_id))

    workspace_created.connect(receive)
    try:
        person = sign_up("ana@example.com")
    finally:
        workspace_created.disconnect(receive)

    assert heard == [(person.workspace.pk, person.user.pk)]


@pytest.mark.django_db
def test_nothing_is_left_when_an_app_above_refuses() -> None:
    def refuse(**kwargs: Any) -> None:
        raise ZeroDivisionError

    workspace_created.connect(refuse)
    try:
        response = post("ana@example.com")
    finally:
        workspace_created.disconnect(refuse)

    assert response.status_code == 500
    assert not User.objects.exists()
    assert not Workspace.objects.exists()


@pytest.mark.parametrize("email", ["owner@example.com", "OWNER@Example.Com", "  owner@example.com "])
def test_an_address_in_use_is_refused_in_whatever_case(owner: Person, email: str) -> None:
    response = post(email)

    assert response.status_code == 422
    problem = response.json()
    assert problem["code"] == "validation_error"
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [("/email", "email_taken")]
    assert User.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    "email",
    [
        "",
        "ana",
        "ana@",
        "@example.com",
        "ana@example",
        "ana souza@example.com",
        "ana@example.com, eva@example.com",
        "ana@example.com\nBcc: eva@example.com",
        "😀@example.com",
        "a" * 65 + "@" + "b" * 250 + ".com",
        "a" * 243 + "@example.com",
        None,
        7,
        ["ana@example.com"],
        {"a": 1},
        True,
    ],
)
def test_what_is_no_address_is_an_invalid_field(email: Any) -> None:
    response = post(email)

    assert response.status_code == 422, response.content
    assert response["Content-Type"] == "application/problem+json"
    assert [error["pointer"] for error in response.json()["errors"]] == ["/email"]
    assert not User.objects.exists()


@pytest.mark.django_db
def test_the_longest_address_is_kept_whole() -> None:
    email = "a" * 242 + "@example.com"
    assert len(email) == 254

    assert post(email).status_code == 200
    assert User.objects.get().email == email


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("", "required"),
        (None, "required"),
        ("short7!", "password_too_short"),
        ("password123", "password_too_common"),
        ("8301985720", "password_entirely_numeric"),
        ("x" * 1025, "max_length"),
    ],
)
def test_a_weak_password_is_an_invalid_field(password: Any, code: str) -> None:
    response = post("ana@example.com", password)

    assert response.status_code == 422
    assert ("/password", code) in [(error["pointer"], error["code"]) for error in response.json()["errors"]]
    assert not User.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("password", ["correct 馬 battery 😀 staple", "  spaces around  ", "x" * 1024])
def test_any_characters_make_a_password(password: str) -> None:
    assert post("ana@example.com", password).status_code == 200

    login = Client().post("/api/v1/auth/login", {"email": "ana@example.com", "password": password}, "application/json")
    assert login.status_code == 200, login.content


@pytest.mark.django_db
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"ana"',
        b"\xff\xfe",
        b'{"email": "ana\\u0000@example.com", "password": "correct horse battery staple"}',
        b'{"email": "ana@\\ud800.com", "password": "correct horse battery staple"}',
        b'{"email": "ana@example.com", "password": "correct\\u0000horse battery staple"}',
        b'{"email": "ana@example.com", "password": "correct horse \\ud83d staple"}',
        b"[" * 3000,
    ],
)
def test_a_malformed_body_is_refused(body: bytes) -> None:
    response = Client(raise_request_exception=False).post("/api/v1/auth/signup", body, "application/json")

    assert response.status_code in (400, 422), response.content
    assert response["Content-Type"] == "application/problem+json"
    assert not User.objects.exists()


@pytest.mark.django_db
def test_rights_cannot_be_signed_up_for() -> None:
    response = post("ana@example.com", is_staff=True, is_superuser=True, id="1", is_active=False)

    assert response.status_code == 200
    user = User.objects.get()
    assert (user.is_staff, user.is_superuser, user.is_active) == (False, False, True)


@pytest.mark.django_db(transaction=True)
def test_two_sign_ups_with_one_address_make_one_account() -> None:
    responses = at_once(*[lambda: post("ana@example.com")] * 4)

    assert sorted(response.status_code for response in responses) == [200, 422, 422, 422]
    refused = [response.json() for response in responses if response.status_code == 422]
    assert {problem["errors"][0]["code"] for problem in refused} == {"email_taken"}
    assert (
        User.objects.count() == Workspace.objects.count() == Membership.objects.count() == Session.objects.count() == 1
    )


@pytest.mark.django_db
def test_refusals_speak_portuguese_too() -> None:
    response = Client().post(
        "/api/v1/auth/signup",
        json.dumps({"email": "ana@example.com", "password": "short7!"}),
        "application/json",
        headers={"Accept-Language": "pt-BR"},
    )

    assert response["Content-Language"] == "pt-br"
    assert "senha" in response.json()["errors"][0]["detail"].lower()
