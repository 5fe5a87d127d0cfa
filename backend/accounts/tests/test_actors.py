from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from redis import ConnectionPool, Redis

from backend.accounts import operations
from backend.accounts.actors import Actor
from backend.accounts.models import Membership, Session
from backend.db import redis
from backend.errors import Forbidden
from backend.http import ids, limits
from tests.actors import PASSWORD, Person

pytestmark = pytest.mark.urls("backend.accounts.tests.routes")
ROUTES = ["/api/v1/whoami", "/whoami"]  # Through REST framework and through Django alone.


def ask(person: Person, path: str, workspace: str | None) -> Any:
    headers = {"Authorization": f"Bearer {person.access_token}"}
    if workspace is not None:
        headers["Orquestra-Workspace"] = workspace
    return Client(raise_request_exception=False).get(path, headers=headers)


@pytest.mark.parametrize("path", ROUTES)
def test_without_the_header_the_actor_acts_at_home(member: Person, path: str) -> None:
    response = ask(member, path, None)

    assert response.json() == {
        "user": str(member.user.pk),
        "workspace": str(member.user.personal_workspace.pk),
        "role": "owner",
        "session": str(Session.objects.get(user=member.user).pk),
    }


@pytest.mark.parametrize("path", ROUTES)
def test_the_header_names_the_workspace(owner: Person, member: Person, viewer: Person, path: str) -> None:
    for person, role in ((owner, "owner"), (member, "member"), (viewer, "viewer")):
        body = ask(person, path, owner.workspace.public_id).json()
        assert (body["workspace"], body["role"]) == (str(owner.workspace.pk), role)


@pytest.mark.parametrize("path", ROUTES)
def test_foreign_unknown_and_malformed_workspaces_are_the_same_nothing(
    owner: Person, stranger: Person, path: str
) -> None:
    names = [
        owner.workspace.public_id,
        ids.encode("wsp", uuid4()),
        "",
        "nonsense",
        "wsp_nonsense",
        owner.user.public_id,
        str(owner.workspace.pk),
        owner.workspace.public_id.upper(),
        "x" * 5000,
        "wsp_'; drop table accounts_user; --",
    ]
    answers = [ask(stranger, path, name) for name in names]

    assert [answer.status_code for answer in answers] == [404] * len(names)
    problems = [{**answer.json(), "request_id": ""} for answer in answers]
    assert all(problem == problems[0] for problem in problems)
    assert problems[0]["code"] == "not_found"


@pytest.mark.parametrize("path", ROUTES)
def test_a_removed_member_loses_access_at_once(owner: Person, member: Person, path: str) -> None:
    Membership.objects.filter(user=member.user, workspace=owner.workspace).delete()

    assert ask(member, path, owner.workspace.public_id).status_code == 404
    assert ask(member, path, None).status_code == 200


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("named", [True, False])
def test_finding_the_actor_takes_one_query(
    owner: Person, path: str, named: bool, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(1):  # The membership.
        assert ask(owner, path, owner.workspace.public_id if named else None).status_code == 200


@pytest.mark.parametrize("path", ROUTES)
def test_without_a_token_there_is_no_actor(db: None, path: str) -> None:
    response = Client().get(path)

    assert response.status_code == 401
    assert response.json()["code"] == "not_authenticated"
    assert response["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("role", "scopes", "scope", "allowed"),
    [
        ("owner", None, "documents:write", True),
        ("member", None, "agents:run", True),
        ("viewer", None, "documents:read", True),
        ("viewer", None, "documents:write", False),
        ("viewer", None, "agents:run", False),
        ("owner", {"documents:read"}, "documents:read", True),
        ("owner", {"documents:read"}, "documents:write", False),
        ("viewer", {"documents:write"}, "documents:write", False),
    ],
)
def test_what_an_actor_may_do(role: str, scopes: set[str] | None, scope: str, allowed: bool) -> None:
    actor = Actor(uuid4(), uuid4(), role, scopes=None if scopes is None else frozenset(scopes))
    if allowed:
        actor.require(scope)
    else:
        with pytest.raises(Forbidden):
            actor.require(scope)


@pytest.fixture
def no_redis(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Redis refuses connections, as when it is down; the people of the test signed up before."""
    working = redis.client()
    options = {**working.connection_pool.connection_kwargs, "port": 1}
    down = Redis(connection_pool=ConnectionPool(**options))
    monkeypatch.setattr(redis, "client", lambda: down)
    monkeypatch.setattr(limits, "client", lambda: down)
    yield
    down.close()


class TestWithoutRedis:
    @pytest.fixture(autouse=True)
    def _people_first(self, owner: Person, no_redis: None) -> None:
        """``owner`` signs up before Redis goes."""

    @pytest.mark.parametrize("path", ["/api/v1/whoami", "/whoami", "/api/v1/users/me", "/api/v1/auth/session"])
    def test_reads_go_on(self, owner: Person, path: str) -> None:
        assert owner.get(path).status_code == 200

    @pytest.mark.parametrize("path", ["/api/v1/whoami", "/api/v1/teams"])
    def test_writes_wait(self, owner: Person, path: str) -> None:
        response = owner.post(path, {})

        assert response.status_code == 503
        assert response.json()["code"] == "service_unavailable"
        assert response["Retry-After"]

    def test_money_is_not_even_read(self, owner: Person) -> None:
        assert owner.get("/api/v1/billing/whoami").status_code == 503

    def test_a_bad_token_is_still_refused(self, owner: Person) -> None:
        response = Client().get("/api/v1/whoami", headers={"Authorization": "Bearer nonsense"})
        assert response.status_code == 401

    def test_a_revocation_is_still_committed(self, owner: Person, django_capture_on_commit_callbacks: Any) -> None:
        with django_capture_on_commit_callbacks(execute=True):
            operations.revoke_sessions(user_id=owner.user.pk, reason="logged_out")

        assert not Session.objects.live().exists()


def test_logging_in_without_redis_is_refused_clearly(owner: Person, no_redis: None) -> None:
    response = Client(raise_request_exception=False).post(
        "/api/v1/auth/login", {"email": "owner@example.com", "password": PASSWORD}, "application/json"
    )

    assert response.status_code == 503
    assert response.json()["code"] == "service_unavailable"
    assert Session.objects.count() == 1
