from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from backend.accounts import operations, tokens
from backend.accounts.models import Session
from backend.db.redis import client as redis
from backend.http import ids
from tests.actors import PASSWORD, Person

SESSIONS = "/api/v1/sessions"


def log_in(person: Person) -> dict[str, str]:
    response = Client().post(
        "/api/v1/auth/login", {"email": person.user.email, "password": PASSWORD}, content_type="application/json"
    )
    meta: dict[str, str] = response.json()["meta"]
    return meta


def status_of(access_token: str) -> int:
    return Client().get("/api/v1/users/me", headers={"Authorization": f"Bearer {access_token}"}).status_code


def make_sessions(person: Person, count: int) -> None:
    expires_at = timezone.now() + timedelta(days=1)
    Session.objects.bulk_create(Session(user=person.user, expires_at=expires_at) for _ in range(count))


def test_i_see_where_i_am_logged_in(owner: Person, stranger: Person) -> None:
    log_in(owner)
    mine = Session.objects.filter(user=owner.user).order_by("-id")

    response = owner.get(SESSIONS)

    assert response.status_code == 200
    results = response.json()["results"]
    assert [session["id"] for session in results] == [session.public_id for session in mine]
    assert [session["current"] for session in results] == [False, True]
    assert results[0].keys() == {
        "id",
        "current",
        "amr",
        "user_agent",
        "ip_address",
        "created_at",
        "last_used_at",
        "expires_at",
    }


def test_what_has_ended_is_not_shown(owner: Person) -> None:
    make_sessions(owner, 2)
    revoked, expired = Session.objects.order_by("-id")[:2]
    Session.objects.filter(pk=revoked.pk).update(revoked_at=timezone.now())
    Session.objects.filter(pk=expired.pk).update(expires_at=timezone.now())

    assert [session["current"] for session in owner.get(SESSIONS).json()["results"]] == [True]


@pytest.mark.parametrize("size", [1, 40])
def test_listing_sessions_takes_one_query_however_many(
    owner: Person, size: int, django_assert_num_queries: Any
) -> None:
    make_sessions(owner, size - 1)

    with django_assert_num_queries(1):  # The page.
        response = owner.get(SESSIONS)

    assert len(response.json()["results"]) == size


def test_i_end_one(owner: Person, django_capture_on_commit_callbacks: Any) -> None:
    other = log_in(owner)
    session = Session.objects.order_by("-id")[0]

    with django_capture_on_commit_callbacks(execute=True):
        response = owner.delete(f"{SESSIONS}/{session.public_id}")

    assert response.status_code == 204
    session.refresh_from_db()
    assert session.revoked_reason == "logged_out"
    assert status_of(other["access_token"]) == 401
    assert status_of(owner.access_token) == 200
    assert owner.delete(f"{SESSIONS}/{session.public_id}").status_code == 404
    assert 0 < redis().ttl(f"rev:sid:{session.pk}") <= 600


def test_i_end_all_others(owner: Person, stranger: Person, django_capture_on_commit_callbacks: Any) -> None:
    others = [log_in(owner), log_in(owner)]

    with django_capture_on_commit_callbacks(execute=True):
        response = owner.delete(SESSIONS)

    assert response.status_code == 204
    assert [status_of(other["access_token"]) for other in others] == [401, 401]
    assert status_of(owner.access_token) == 200
    assert status_of(stranger.access_token) == 200
    assert Session.objects.live().filter(user=owner.user).count() == 1


def test_only_its_user_ends_a_log_in(owner: Person, member: Person, viewer: Person, stranger: Person) -> None:
    session = Session.objects.get(user=owner.user)
    unknown = ids.encode("ses", uuid4())

    for person in (member, viewer, stranger):
        foreign = person.delete(f"{SESSIONS}/{session.public_id}")
        nothing = person.delete(f"{SESSIONS}/{unknown}")
        assert foreign.status_code == nothing.status_code == 404
        assert same(foreign.json()) == same(nothing.json())
        assert person.delete(SESSIONS).status_code == 204
    assert Client().delete(SESSIONS).status_code == 401
    assert Client().delete(f"{SESSIONS}/{session.public_id}").status_code == 401
    assert Session.objects.live().filter(user=owner.user).exists()


def same(problem: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in problem.items() if name not in ("instance", "request_id")}


@pytest.mark.parametrize(
    "id", ["x", "ses_", "ses_1", "wsp_01h455vb4pex5vsknk084sn02q", "ses_" + "z" * 26, "%00", "ses_😀"]
)
def test_a_malformed_id_is_not_found(owner: Person, id: str) -> None:
    assert owner.delete(f"{SESSIONS}/{id}").status_code == 404


def test_locking_a_user_out_ends_every_log_in_at_once(
    owner: Person, stranger: Person, django_capture_on_commit_callbacks: Any
) -> None:
    other = log_in(owner)
    with django_capture_on_commit_callbacks(execute=True):
        operations.deactivate_user(user_id=owner.user.pk)

    assert status_of(owner.access_token) == status_of(other["access_token"]) == 401
    assert not Session.objects.live().filter(user=owner.user).exists()
    assert redis().exists(f"rev:sub:{owner.user.pk}")
    assert status_of(stranger.access_token) == 200

    with django_capture_on_commit_callbacks(execute=True):
        operations.activate_user(user_id=owner.user.pk)
    assert status_of(owner.access_token) == 401  # What was ended stays ended.
    assert status_of(log_in(owner)["access_token"]) == 200


def test_a_log_in_that_raced_a_lock_out_is_refused_by_the_users_name(
    owner: Person, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        operations.deactivate_user(user_id=owner.user.pk)
        session = Session.objects.create(
            user=owner.user, amr=["pwd"], expires_at=timezone.now() + timedelta(days=1)
        )  # As if nothing had kept it from beginning.
        pair = tokens.issue(session)

    assert status_of(pair.access_token) == 401


def test_nothing_is_announced_when_the_revocation_is_not_committed(owner: Person) -> None:
    operations.revoke_sessions(user_id=owner.user.pk, reason="logged_out")  # This test's transaction never commits.

    assert redis().keys("rev:*") == []


def test_changing_the_password_ends_the_other_log_ins(owner: Person, django_capture_on_commit_callbacks: Any) -> None:
    other = log_in(owner)
    with django_capture_on_commit_callbacks(execute=True):
        response = owner.post(
            "/api/v1/account/password/change", {"current_password": PASSWORD, "new_password": "another horse entirely"}
        )

    assert response.status_code == 200, response.content
    assert status_of(other["access_token"]) == 401
    assert status_of(owner.access_token) == 200
    assert owner.get("/api/v1/auth/session").status_code == 200
    assert Session.objects.live().count() == 1


def test_the_old_password_must_be_right_to_change_it(owner: Person) -> None:
    response = owner.post(
        "/api/v1/account/password/change", {"current_password": "wrong", "new_password": "another horse entirely"}
    )

    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == "/current_password"
    owner.user.refresh_from_db()
    assert owner.user.check_password(PASSWORD)
