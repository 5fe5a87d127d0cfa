from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from backend.accounts.models import Membership, Workspace
from backend.http import ids
from tests.actors import Person

WORKSPACES = "/api/v1/workspaces"


def test_i_see_the_workspaces_that_i_belong_to(member: Person, owner: Person, stranger: Person) -> None:
    results = member.get(WORKSPACES).json()["results"]

    assert {(workspace["id"], workspace["role"], workspace["personal"]) for workspace in results} == {
        (member.user.personal_workspace.public_id, "owner", True),
        (owner.workspace.public_id, "member", False),
    }
    assert [workspace["id"] for workspace in stranger.get(WORKSPACES).json()["results"]] == [
        stranger.workspace.public_id
    ]
    assert Client().get(WORKSPACES).status_code == 401


def test_each_sees_one_with_their_own_role(owner: Person, member: Person, viewer: Person, stranger: Person) -> None:
    path = f"{WORKSPACES}/{owner.workspace.public_id}"

    assert [person.get(path).json()["role"] for person in (owner, member, viewer)] == ["owner", "member", "viewer"]
    foreign = stranger.get(path)
    unknown = stranger.get(f"{WORKSPACES}/{ids.encode('wsp', uuid4())}")
    assert foreign.status_code == unknown.status_code == 404
    assert foreign.json().keys() == unknown.json().keys()
    assert foreign.json()["code"] == unknown.json()["code"] == "not_found"
    assert Client().get(path).status_code == 401


@pytest.mark.parametrize("id", ["x", "wsp_1", "usr_01h455vb4pex5vsknk084sn02q", "%F0%9F%98%80"])
def test_a_malformed_id_is_not_found(owner: Person, id: str) -> None:
    assert owner.get(f"{WORKSPACES}/{id}").status_code == 404


@pytest.mark.parametrize("size", [1, 20])
def test_listing_workspaces_takes_one_query_however_many(
    owner: Person, size: int, django_assert_num_queries: Any
) -> None:
    for number in range(size - 1):
        workspace = Workspace.objects.create(name=f"Team {number}")
        Membership.objects.create(workspace=workspace, user=owner.user)

    with django_assert_num_queries(1):  # The page with its workspaces.
        response = owner.get(WORKSPACES)

    assert len(response.json()["results"]) == size


def test_pages_follow_one_another(owner: Person) -> None:
    for number in range(4):
        workspace = Workspace.objects.create(name=f"Team {number}")
        Membership.objects.create(workspace=workspace, user=owner.user)
    seen: list[str] = []
    page = owner.get(WORKSPACES, {"limit": "2"}).json()
    while True:
        seen += [workspace["id"] for workspace in page["results"]]
        if page["next"] is None:
            break
        page = owner.get(page["next"]).json()

    assert len(seen) == len(set(seen)) == 5
