from datetime import timedelta
from typing import Any

import jwt
import pytest
from django.test import Client
from django.utils import timezone

from backend.accounts import tokens
from backend.accounts.keys import key_ring
from backend.accounts.models import Session, User
from backend.accounts.tests.threads import at_once
from tests.actors import Person

REFRESH = "/api/v1/tokens/refresh"


def refresh(token: Any, **headers: str) -> Any:
    client = Client(raise_request_exception=False)
    return client.post(REFRESH, {"refresh_token": token}, "application/json", headers=headers)


def works(access_token: str) -> bool:
    return Client().get("/api/v1/users/me", headers={"Authorization": f"Bearer {access_token}"}).status_code == 200


def age_the_generation(seconds: float) -> None:
    Session.objects.update(generation_at=timezone.now() - timedelta(seconds=seconds))


def test_each_use_moves_the_generation_on(owner: Person) -> None:
    before = Session.objects.get()
    token = owner.refresh_token
    for generation in (2, 3, 4):
        response = refresh(token)

        assert response.status_code == 200, response.content
        data = response.json()["data"]
        assert data.keys() == {"access_token", "refresh_token", "expires_in"}
        assert works(data["access_token"])
        assert data["refresh_token"] != token
        token = data["refresh_token"]
        assert Session.objects.get().generation == generation
    session = Session.objects.get()
    assert session.pk == before.pk
    assert session.expires_at > before.expires_at
    assert session.last_used_at > before.last_used_at
    assert "no-store" in response["Cache-Control"]


def test_a_refresh_takes_few_queries(owner: Person, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(4):  # The savepoint, the locked session with its user, the update, the release.
        assert refresh(owner.refresh_token).status_code == 200


def test_an_expired_access_token_that_comes_along_does_not_matter(owner: Person) -> None:
    assert refresh(owner.refresh_token, Authorization="Bearer nonsense").status_code == 200


def test_the_generation_before_gets_the_current_tokens_for_a_while(owner: Person) -> None:
    first = refresh(owner.refresh_token).json()["data"]

    second = refresh(owner.refresh_token)  # The other tab, or the answer that was lost.

    assert second.status_code == 200
    assert Session.objects.get().generation == 2
    pair = second.json()["data"]
    assert works(pair["access_token"])
    assert works(first["access_token"])
    age_the_generation(31)
    assert refresh(pair["refresh_token"]).status_code == 200  # Both tabs hold the current generation.


@pytest.mark.parametrize("seconds", [29, 31])
def test_the_while_is_thirty_seconds(owner: Person, seconds: int) -> None:
    refresh(owner.refresh_token)
    age_the_generation(seconds)

    assert refresh(owner.refresh_token).status_code == (200 if seconds < 30 else 401)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_replayed_token_ends_the_session_for_every_holder(
    owner: Person, steps: int, django_capture_on_commit_callbacks: Any
) -> None:
    stolen = owner.refresh_token
    newest = {"refresh_token": stolen}
    for _ in range(steps):
        newest = refresh(newest["refresh_token"]).json()["data"]
    age_the_generation(31)

    with django_capture_on_commit_callbacks(execute=True):
        response = refresh(stolen)

    assert response.status_code == 401
    assert response.json()["code"] == "session_revoked"
    session = Session.objects.get()
    assert session.revoked_at is not None
    assert session.revoked_reason == "replayed"
    assert refresh(newest["refresh_token"]).json()["code"] == "session_revoked"
    assert not works(newest["access_token"])
    assert not works(owner.access_token)


def test_a_token_two_generations_old_is_a_replay_even_at_once(owner: Person) -> None:
    newest = refresh(refresh(owner.refresh_token).json()["data"]["refresh_token"]).json()["data"]

    assert refresh(owner.refresh_token).json()["code"] == "session_revoked"
    assert refresh(newest["refresh_token"]).json()["code"] == "session_revoked"


def test_a_generation_that_was_never_given_out_ends_the_session(owner: Person) -> None:
    session = Session.objects.get()
    session.generation = 7
    assert refresh(tokens.issue(session).refresh_token).json()["code"] == "session_revoked"
    assert Session.objects.get().revoked_reason == "replayed"


def test_one_replay_ends_one_session(owner: Person, stranger: Person) -> None:
    other = Client().post(
        "/api/v1/auth/login",
        {"email": "owner@example.com", "password": "correct horse battery staple"},
        "application/json",
    )
    refresh(refresh(owner.refresh_token).json()["data"]["refresh_token"])
    refresh(owner.refresh_token)

    assert refresh(other.json()["meta"]["refresh_token"]).status_code == 200
    assert refresh(stranger.refresh_token).status_code == 200


def test_an_unused_session_expires(owner: Person) -> None:
    Session.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    response = refresh(owner.refresh_token)

    assert response.status_code == 401
    assert response.json()["code"] == "token_expired"


def test_a_token_past_its_end_is_expired(owner: Person) -> None:
    payload = jwt.decode(owner.refresh_token, options={"verify_signature": False}) | {"exp": 1}
    stale = jwt.encode(payload, key_ring().private, "RS256", headers={"typ": "rt+jwt", "kid": key_ring().kid})

    assert refresh(stale).json()["code"] == "token_expired"


def test_a_locked_out_user_gets_no_new_tokens(owner: Person) -> None:
    User.objects.filter(pk=owner.user.pk).update(is_active=False)

    assert refresh(owner.refresh_token).json()["code"] == "session_revoked"


def test_an_access_token_is_no_refresh_token(owner: Person) -> None:
    response = refresh(owner.access_token)

    assert response.status_code == 401
    assert response.json()["code"] == "not_authenticated"
    assert Session.objects.get().generation == 1


@pytest.mark.parametrize("token", ["nonsense", "a.b.c", "é", "x" * 4096])
def test_garbage_is_refused(owner: Person, token: str) -> None:
    response = refresh(token)

    assert response.status_code == 401
    assert response.json()["code"] == "not_authenticated"


@pytest.mark.parametrize("token", [None, "", 7, [], {}, True, "x" * 4097])
def test_what_cannot_be_a_token_is_an_invalid_field(owner: Person, token: Any) -> None:
    response = refresh(token)

    assert response.status_code in (401, 422)
    if response.status_code == 422:
        assert [error["pointer"] for error in response.json()["errors"]] == ["/refresh_token"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"\xff"])
def test_a_malformed_body_is_refused(db: None, body: bytes) -> None:
    response = Client(raise_request_exception=False).post(REFRESH, body, "application/json")

    assert response.status_code in (400, 422)
    assert response["Content-Type"] == "application/problem+json"


@pytest.mark.django_db(transaction=True)
def test_concurrent_refreshes_all_get_tokens_that_work(owner: Person) -> None:
    responses = at_once(*[lambda: refresh(owner.refresh_token)] * 4)

    assert [response.status_code for response in responses] == [200] * 4
    assert Session.objects.get().generation == 2
    for response in responses:
        assert works(response.json()["data"]["access_token"])
        generation = jwt.decode(response.json()["data"]["refresh_token"], options={"verify_signature": False})["gen"]
        assert generation == 2


@pytest.mark.django_db(transaction=True)
def test_a_replay_is_committed_before_it_is_refused(owner: Person) -> None:
    pair = refresh(refresh(owner.refresh_token).json()["data"]["refresh_token"]).json()["data"]

    responses = at_once(*[lambda: refresh(owner.refresh_token)] * 2, lambda: refresh(pair["refresh_token"]))

    assert [response.status_code for response in responses[:2]] == [401, 401]
    assert Session.objects.get().revoked_reason == "replayed"
    assert not works(pair["access_token"])
    if responses[2].status_code == 200:  # It came first; its tokens die with the session all the same.
        assert not works(responses[2].json()["data"]["access_token"])
        assert refresh(responses[2].json()["data"]["refresh_token"]).status_code == 401
