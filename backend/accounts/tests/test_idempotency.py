from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
from django.utils import timezone

from backend.accounts.models import IdempotencyKey, Workspace
from backend.accounts.tasks import purge
from backend.accounts.tests.routes import Teams
from backend.accounts.tests.threads import at_once
from tests.actors import Person, join

pytestmark = pytest.mark.urls("backend.accounts.tests.routes")
TEAMS = "/api/v1/teams"
REPLAYED = "Idempotent-Replayed"


def made() -> int:
    return Workspace.objects.filter(personal_owner=None).count()


def file(content: bytes, name: str = "a.txt") -> BytesIO:
    stream = BytesIO(content)
    stream.name = name
    return stream


def test_the_same_request_twice_happens_once_and_gets_the_same_bytes(owner: Person) -> None:
    first = owner.post(TEAMS, {"name": "Ana"}, Idempotency_Key="k1")
    second = owner.post(TEAMS, {"name": "Ana"}, Idempotency_Key="k1")

    assert first.status_code == second.status_code == 201
    assert first.content == second.content
    assert first["Location"] == second["Location"]
    assert first["Content-Type"] == second["Content-Type"] == "application/json"
    assert REPLAYED not in first
    assert second[REPLAYED] == "true"
    assert made() == 1


def test_without_a_key_every_request_happens(owner: Person) -> None:
    assert [owner.post(TEAMS, {"name": "Ana"}).status_code for _ in range(2)] == [201, 201]
    assert made() == 2
    assert not IdempotencyKey.objects.exists()


def test_a_viewset_is_served_alike(owner: Person) -> None:
    answers = [owner.post("/api/v1/team-set", {}, Idempotency_Key="k1") for _ in range(2)]

    assert answers[0].content == answers[1].content
    assert made() == 1


def test_reading_takes_no_notice_of_a_key(owner: Person) -> None:
    assert owner.get(TEAMS, Idempotency_Key="k1").status_code == 200
    assert not IdempotencyKey.objects.exists()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (TEAMS, {"name": "Eva"}),
        (TEAMS, {}),
        ("/api/v1/other-teams", {"name": "Ana"}),
        (f"{TEAMS}?a=1", {"name": "Ana"}),
    ],
)
def test_another_request_with_the_key_is_refused(owner: Person, path: str, body: dict[str, str]) -> None:
    owner.post(TEAMS, {"name": "Ana"}, Idempotency_Key="k1")

    response = owner.post(path, body, Idempotency_Key="k1")

    assert response.status_code == 422
    assert response.json()["code"] == "idempotency_key_reused"
    assert made() == 1


def test_a_key_belongs_to_one_person_in_one_workspace(owner: Person, member: Person, stranger: Person) -> None:
    def post(person: Person) -> Any:
        return person.post(TEAMS, {"name": "Ana"}, Idempotency_Key="k1")

    answers = [post(owner), post(member), post(stranger)]
    member.workspace = member.user.personal_workspace
    answers.append(post(member))
    join(stranger, owner.workspace)
    answers.append(post(stranger))

    assert [answer.status_code for answer in answers] == [201] * 5
    assert not any(REPLAYED in answer for answer in answers)
    assert made() == 5


def test_a_file_counts_by_its_bytes(owner: Person) -> None:
    first = owner.upload(TEAMS, {"name": "Ana", "file": file(b"one")}, Idempotency_Key="k1")
    same = owner.upload(TEAMS, {"name": "Ana", "file": file(b"one")}, Idempotency_Key="k1")
    other = owner.upload(TEAMS, {"name": "Ana", "file": file(b"two")}, Idempotency_Key="k1")

    assert first.json()["size"] == 3  # The view still reads the file from its beginning.
    assert same[REPLAYED] == "true"
    assert same.content == first.content
    assert other.status_code == 422
    assert made() == 1


@pytest.mark.parametrize(("name", "status"), [("raises", 409), ("refuses", 409), ("breaks", 500)])
def test_what_fails_leaves_nothing_and_frees_the_key(owner: Person, name: str, status: int) -> None:
    failed = owner.post(TEAMS, {"name": name}, Idempotency_Key="k1")

    assert failed.status_code == status
    assert made() == 0
    assert not IdempotencyKey.objects.exists()
    assert owner.post(TEAMS, {"name": "Ana"}, Idempotency_Key="k1").status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "schlüssel"])
def test_a_bad_key_is_refused(owner: Person, key: str) -> None:
    response = owner.post(TEAMS, {"name": "Ana"}, Idempotency_Key=key)

    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == "/Idempotency-Key"
    assert made() == 0


def test_a_key_does_not_replace_a_log_in(owner: Person) -> None:
    owner.post(TEAMS, {"name": "Ana"}, Idempotency_Key="k1")
    response = owner.client.post(TEAMS, {"name": "Ana"}, "application/json", headers={"Idempotency-Key": "k1"})

    assert response.status_code == 401


def test_a_malformed_body_with_a_key_is_refused(owner: Person) -> None:
    headers = owner.headers(Idempotency_Key="k1")
    assert owner.client.post(TEAMS, b"{", "application/json", headers=headers).status_code == 400
    assert not IdempotencyKey.objects.exists()


def test_an_answer_is_forgotten_after_a_day(owner: Person) -> None:
    owner.post(TEAMS, {"name": "Ana"}, Idempotency_Key="old")
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=24, seconds=1))
    owner.post(TEAMS, {"name": "Ana"}, Idempotency_Key="new")

    again = owner.post(TEAMS, {"name": "Eva"}, Idempotency_Key="old")
    assert again.status_code == 201
    assert REPLAYED not in again
    assert IdempotencyKey.objects.filter(key="old").count() == 1

    IdempotencyKey.objects.filter(key="old").update(created_at=timezone.now() - timedelta(hours=24, seconds=1))
    purge()
    assert list(IdempotencyKey.objects.values_list("key", flat=True)) == ["new"]


@pytest.fixture
def slow() -> Iterator[None]:
    Teams.seconds = 0.5
    yield
    Teams.seconds = 0


@pytest.mark.django_db(transaction=True)
def test_two_at_once_have_one_effect(owner: Person, slow: None) -> None:
    responses = at_once(*[lambda: owner.post(TEAMS, {"name": "Ana"}, Idempotency_Key="k1")] * 4)

    assert sorted(response.status_code for response in responses) == [201, 409, 409, 409]
    assert {r.json()["code"] for r in responses if r.status_code == 409} == {"idempotency_in_progress"}
    assert made() == 1
    replay = owner.post(TEAMS, {"name": "Ana"}, Idempotency_Key="k1")
    assert replay[REPLAYED] == "true"
    assert replay.content == next(response.content for response in responses if response.status_code == 201)


@pytest.mark.django_db(transaction=True)
def test_other_keys_do_not_wait(owner: Person, stranger: Person, slow: None) -> None:
    responses = at_once(
        lambda: owner.post(TEAMS, {"name": "Ana"}, Idempotency_Key="k1"),
        lambda: owner.post(TEAMS, {"name": "Ana"}, Idempotency_Key="k2"),
        lambda: stranger.post(TEAMS, {"name": "Ana"}, Idempotency_Key="k1"),
    )

    assert [response.status_code for response in responses] == [201] * 3
    assert made() == 3
