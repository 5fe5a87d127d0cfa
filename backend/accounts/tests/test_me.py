from typing import Any

import pytest
from django.test import Client

from backend.accounts.models import Membership, User, Workspace
from tests.actors import Person

ME = "/api/v1/users/me"


def test_i_see_myself_and_where_i_may_act(member: Person, owner: Person) -> None:
    response = member.get(ME)

    assert response.status_code == 200
    mine = member.user.personal_workspace
    assert response.json() == {
        "id": member.user.public_id,
        "email": "member@example.com",
        "name": "",
        "language": "",
        "workspace": mine.public_id,
        "workspaces": [
            {"id": mine.public_id, "name": "member", "role": "owner", "personal": True, "created_at": time(mine)},
            {
                "id": owner.workspace.public_id,
                "name": "owner",
                "role": "member",
                "personal": False,
                "created_at": time(owner.workspace),
            },
        ],
        "created_at": time(member.user),
    }


def time(row: User | Workspace) -> str:
    return row.created_at.isoformat().replace("+00:00", "Z")


def test_each_user_sees_only_themselves(owner: Person, member: Person, viewer: Person, stranger: Person) -> None:
    for person in (owner, member, viewer, stranger):
        assert person.get(ME).json()["id"] == person.user.public_id
    assert Client().get(ME).status_code == 401


@pytest.mark.parametrize("others", [0, 20])
def test_users_me_takes_one_query_for_any_number_of_workspaces(
    owner: Person, others: int, django_assert_num_queries: Any
) -> None:
    for number in range(others):
        workspace = Workspace.objects.create(name=f"Team {number}")
        Membership.objects.create(workspace=workspace, user=owner.user)

    with django_assert_num_queries(1):  # The user with the memberships and their workspaces.
        response = owner.get(ME)

    assert len(response.json()["workspaces"]) == others + 1


def test_i_change_my_name_and_language(owner: Person, stranger: Person) -> None:
    response = owner.patch(ME, {"name": "Ana 😀 Conceição", "language": "pt-br"})

    assert response.status_code == 200, response.content
    assert response.json()["name"] == "Ana 😀 Conceição"
    user = User.objects.get(pk=owner.user.pk)
    assert (user.name, user.language) == ("Ana 😀 Conceição", "pt-br")
    assert User.objects.get(pk=stranger.user.pk).name == ""
    assert owner.patch(ME, {"language": ""}).json()["language"] == ""
    assert User.objects.get(pk=owner.user.pk).name == "Ana 😀 Conceição"


def test_a_viewer_may_change_their_own_name(viewer: Person) -> None:
    assert viewer.patch(ME, {"name": "Eva"}).json()["name"] == "Eva"


def test_what_i_may_not_change_stays(owner: Person) -> None:
    before = User.objects.values().get(pk=owner.user.pk)

    response = owner.patch(
        ME,
        {
            "email": "eva@example.com",
            "is_staff": True,
            "is_superuser": True,
            "id": "usr_1",
            "password": "x",
            "role": "x",
        },
    )

    assert response.status_code == 422
    pointers = {error["pointer"] for error in response.json()["errors"]}
    assert pointers == {"/email", "/is_staff", "/is_superuser", "/id", "/password", "/role"}
    assert User.objects.values().get(pk=owner.user.pk) == before


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"name": "x" * 151}, "/name"),
        ({"name": None}, "/name"),
        ({"name": ["Ana"]}, "/name"),
        ({"language": "tlh"}, "/language"),
        ({"language": None}, "/language"),
        ({"language": 7}, "/language"),
    ],
)
def test_a_bad_change_is_an_invalid_field(owner: Person, change: dict[str, Any], pointer: str) -> None:
    response = owner.patch(ME, change)

    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"7", b'{"name": "\\u0000"}', b'{"name": "\\ud800"}'])
def test_a_malformed_change_is_refused(owner: Person, body: bytes) -> None:
    response = owner.client.patch(ME, body, "application/json", headers=owner.headers())

    assert response.status_code in (400, 422), response.content
    assert User.objects.get(pk=owner.user.pk).name == ""


@pytest.mark.parametrize("method", ["post", "put"])
def test_other_methods_are_refused(owner: Person, method: str) -> None:
    assert getattr(owner, method)(ME, {}).status_code == 405
