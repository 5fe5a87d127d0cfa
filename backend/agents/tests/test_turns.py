"""Whose run starts next: bounded for each workspace, the least served workspace first."""

from collections.abc import Callable
from typing import Any

import pytest
from pytest_django import Settings

from backend.accounts.tests.threads import at_once
from backend.agents import tasks
from backend.agents.models import Run
from backend.agents.runs import lease, recovery, runner
from backend.agents.tests.conftest import row
from backend.agents.tests.test_reaper import begin_step, expire
from backend.agents.tests.test_runs import balance, start
from backend.http.ids import decode
from tests.actors import Person
from tests.providers import FakeProvider

pytestmark = pytest.mark.django_db
Queue = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def queue(provider: FakeProvider) -> Queue:
    """Ask so many questions, each in a conversation of its own."""

    def asked(person: Person, count: int, **fields: Any) -> list[dict[str, Any]]:
        return [start(person, conversation).json() for conversation in conversations(person, count, **fields)]

    return asked


def conversations(person: Person, count: int, **fields: Any) -> list[dict[str, Any]]:
    agent = person.post("/api/v1/agents", {"name": "Reader", **fields}).json()["id"]
    return [person.post("/api/v1/conversations", {"agent": agent}).json() for _ in range(count)]


def offer_free_model(settings: Settings) -> None:
    """Its runs hold no money, so that no wallet's lock puts them in order."""
    entry = '[[provider]]\nname = "free"\nkind = "offline"\n[[provider.model]]\nname = "free"\ncontext_window = 9000\n'
    path = settings.MODELS_FILE
    path.write_text(f"{path.read_text()}{entry}input_price = 0\noutput_price = 0\n")


def taken() -> list[str]:
    """The ids of the runs that workers take, one after the other, until none may start."""
    found = []
    while (run := lease.claim()) is not None:
        found.append(run.public_id)
    return found


def test_a_flood_of_one_workspace_leaves_room_for_others(
    queue: Queue, owner: Person, stranger: Person, settings: Settings
) -> None:
    settings.RUNS_AT_ONCE_PER_WORKSPACE = 3
    flood, few = queue(owner, 6), queue(stranger, 2)

    assert taken() == [run["id"] for run in (flood[0], few[0], flood[1], few[1], flood[2])]  # By turns, 3 at most.
    assert [row(run).status for run in flood[3:]] == ["queued"] * 3
    later = queue(stranger, 1)
    assert taken() == [later[0]["id"]]


def test_what_waits_starts_when_one_of_its_workspace_ends(
    queue: Queue, owner: Person, stranger: Person, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.RUNS_AT_ONCE_PER_WORKSPACE = 1
    notified: list[str] = []
    monkeypatch.setattr(tasks.execute_run, "delay", lambda run_id: notified.append(run_id))  # noqa: PLW0108  # By name.
    runs = queue(owner, 3)
    other = queue(stranger, 1)
    first = lease.claim()
    assert first is not None
    for run in runs:  # Their notifications come and find no place.
        assert runner.execute(run_id=decode("run", run["id"])) is None
    assert row(other[0]).status == "completed"
    assert [row(run).status for run in runs] == ["running", "queued", "queued"]
    lease.give_back(first)

    tasks.execute_run(run_id=str(decode("run", runs[0]["id"])))

    assert [row(run).status for run in runs] == ["completed", "queued", "queued"]
    assert notified == [str(decode("run", runs[1]["id"]))]
    while notified:
        tasks.execute_run(run_id=notified.pop())
    assert [row(run).status for run in runs] == ["completed"] * 3


def test_a_place_is_free_again_when_its_worker_died(queue: Queue, owner: Person, settings: Settings) -> None:
    settings.RUNS_AT_ONCE_PER_WORKSPACE = 1
    runs = queue(owner, 2)
    dead = lease.claim()
    assert dead is not None
    begin_step(dead)
    expire(dead)
    assert taken() == []

    assert recovery.sweep() == [decode("run", runs[1]["id"])]

    assert taken() == [runs[1]["id"]]


def test_a_run_that_waits_in_its_conversation_is_not_taken(queue: Queue, owner: Person, stranger: Person) -> None:
    [conversation] = conversations(owner, 1)
    first = start(owner, conversation).json()
    start(owner, conversation, when_busy="queue")

    assert taken() == [first["id"]]


@pytest.mark.parametrize("model", ["chat", "free"])
def test_a_workspace_has_so_many_runs_and_no_more(  # noqa: PLR0917  # Fixtures.
    queue: Queue, owner: Person, member: Person, stranger: Person, settings: Settings, model: str
) -> None:
    settings.RUNS_PER_WORKSPACE = 3
    offer_free_model(settings)
    runs = queue(owner, 2, model=model)
    assert lease.claim() is not None
    [another, refused] = conversations(member, 2, model=model)
    assert start(member, another).status_code == 202
    held = balance(owner)["held"]

    response = start(member, refused)

    assert (response.status_code, response.json()["code"]) == (429, "rate_limited")
    assert int(response["Retry-After"]) > 0
    assert Run.objects.filter(conversation=decode("cnv", refused["id"])).count() == 0
    assert balance(owner)["held"] == held
    assert queue(stranger, 1)[0]["status"] == "queued"  # Another workspace's affair.
    assert owner.post(f"/api/v1/runs/{runs[1]['id']}/cancel").status_code == 202
    assert start(member, refused).status_code == 202


@pytest.mark.parametrize("model", ["chat", "free"])
@pytest.mark.django_db(transaction=True)
def test_the_bounds_hold_at_the_same_moment(
    owner: Person, provider: FakeProvider, settings: Settings, model: str
) -> None:
    settings.RUNS_PER_WORKSPACE, settings.RUNS_AT_ONCE_PER_WORKSPACE = 4, 2
    offer_free_model(settings)
    made = conversations(owner, 8, model=model)

    answers = at_once(*(lambda each=each: start(owner, each).status_code for each in made))
    claims = at_once(*(lease.claim for _ in range(6)))

    assert sorted(answers) == [202] * 4 + [429] * 4
    assert Run.objects.count() == 4
    assert len([run for run in claims if run is not None]) == 2
    assert Run.objects.filter(status="running").count() == 2
