"""Runs in real processes that die: workers killed, Redis and PostgreSQL restarted, readers who come and go.

One stack with a PostgreSQL and a Redis of its own, so that they may be ended and started again.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest
from redis import Redis

from backend.agents.tests.conftest import models_toml
from backend.http.ids import decode
from tests.http_client import ApiClient, Event, deltas, text_of
from tests.live import Stack, stack
from tests.providers import FakeProvider, Reply
from tests.servers import Servers, own_servers

WORDS = [f"word{number}" for number in range(100)]  # What fake-slow says, 20 a second.


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with own_servers() as made:
        yield made


@pytest.fixture(scope="module")
def live(servers: Servers, provider_server: FakeProvider) -> Iterator[Stack]:
    settings = {
        **servers.settings(),
        "MODELS_FILE": str(models_toml(provider_server, servers.folder)),
        "RUN_LEASE_SECONDS": "8",
        "RUN_SWEEP_SECONDS": "1",
        "RUN_NOTIFY_SECONDS": "3",
        "RUN_DRAIN_SECONDS": "1",
    }
    with stack(settings=settings) as running:
        try:
            yield running
        finally:
            if folder := os.environ.get("LIVE_LOGS"):
                for name in running.commands:
                    Path(folder, f"{name}.log").write_text(running.log(name))


@pytest.fixture
def person(live: Stack) -> Iterator[ApiClient]:
    client = ApiClient.sign_up(live.base_url)
    yield client
    client.close()


def slow_run(person: ApiClient) -> dict[str, Any]:
    return person.start(person.agent(model="fake-slow")["id"], "Count, please.")


class Watcher:
    """Reads a run's events in a thread, coming back with the last id when the connection is lost."""

    def __init__(self, person: ApiClient, run: str) -> None:
        self.events: list[Event] = []
        self._person, self._run = person, run
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self.ended:
            after = self.events[-1].id if self.events else None
            try:
                with self._person.stream(f"/api/v1/runs/{self._run}/events", after=after) as events:
                    for event in events:
                        self.events.append(event)
            except (httpx2.HTTPError, AssertionError):
                time.sleep(0.2)

    @property
    def ended(self) -> bool:
        return bool(self.events) and self.events[-1].event in ("run.completed", "run.failed", "run.cancelled")

    def wait_for_words(self, count: int, seconds: float = 20) -> None:
        wait_until(lambda: len(self.text.split()) >= count, seconds)

    def wait(self, seconds: float = 30) -> list[Event]:
        wait_until(lambda: self.ended, seconds)
        return self.events

    @property
    def text(self) -> str:
        """What a page would show now: a snapshot replaces, a delta adds."""
        text = ""
        for event in list(self.events):
            if event.event == "text.delta":
                text += event.data["delta"]
            elif event.event in ("snapshot", "message.completed"):
                messages = event.data.get("messages") or [event.data["message"]]
                text = text_of(messages[-1])
        return text


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def assert_truth(person: ApiClient, live: Stack, run_id: str) -> dict[str, Any]:
    """The run has ended, its message agrees, no hold is open, and the ledger took what the run says."""
    run: dict[str, Any] = person.call("GET", f"/api/v1/runs/{run_id}")
    assert run["status"] in ("completed", "failed", "cancelled")
    balance = person.call("GET", "/api/v1/billing/balance")
    assert Decimal(balance["held"]) == 0
    assert Decimal(balance["posted"]) == Decimal("5.00") - Decimal(run["cost"])
    transactions = person.call("GET", "/api/v1/billing/transactions")["results"]
    assert sum(Decimal(entry["amount"]) for entry in transactions) == Decimal(balance["posted"])
    assert live.rows("SELECT * FROM ledger_discrepancies") == []
    return run


def answer_text(person: ApiClient, run: dict[str, Any]) -> str:
    messages = person.call("GET", f"/api/v1/conversations/{run['conversation']}/messages")["results"]
    return text_of(messages[-1])


def test_readers_come_and_go_without_a_lost_or_doubled_word(person: ApiClient, live: Stack) -> None:
    run = slow_run(person)
    seen: list[Event] = []
    for _ in range(4):
        after = seen[-1].id if seen else None
        with person.stream(f"/api/v1/runs/{run['id']}/events", after=after) as events:
            for count, event in enumerate(events):
                seen.append(event)
                if count == 12:
                    break
    with person.http.stream("GET", f"/api/v1/runs/{run['id']}/events?after={seen[-1].id}") as response:
        rest = response.read().decode()

    everything = person.events(run["id"])
    assert [event.id for event in seen] == [event.id for event in everything][: len(seen)]
    assert rest.count("\nid: ") + 1 == len(everything) - len(seen)
    assert deltas(everything).split() == WORDS
    assert assert_truth(person, live, run["id"])["status"] == "completed"


@pytest.mark.parametrize("position", ["nonsense", "999-999", "0-0", "-", "١-٢"])
def test_odd_positions_do_no_harm(person: ApiClient, position: str) -> None:
    run, _, _ = person.ask(person.agent(model="fake-echo")["id"], "Hello?")

    with person.http.stream("GET", f"/api/v1/runs/{run['id']}/events", params={"after": position}) as response:
        assert response.status_code == 200
        body = response.read().decode()

    assert "event: run.completed" in body


def test_stopping_takes_a_fifth_of_a_second_and_closes_upstream(
    person: ApiClient, live: Stack, provider_server: FakeProvider
) -> None:
    run = slow_run(person)
    watcher = Watcher(person, run["id"])
    watcher.wait_for_words(5)
    upstream = provider_server.requests[-1]
    began = time.monotonic()
    person.call("POST", f"/api/v1/runs/{run['id']}/cancel")
    assert upstream.disconnected.wait(2)
    took = time.monotonic() - began
    events = watcher.wait()

    assert took < 1.0  # 0.2 s on a machine that has nothing else to do.
    assert events[-1].event == "run.cancelled"
    after = assert_truth(person, live, run["id"])
    assert 0 < after["usage"]["output_tokens"] < 100
    assert answer_text(person, after) == watcher.text


def test_a_killed_worker_leaves_the_truth_and_the_text(person: ApiClient, live: Stack) -> None:
    run = slow_run(person)
    watcher = Watcher(person, run["id"])
    watcher.wait_for_words(10)
    live.kill("agents")
    live.start("agents")
    events = watcher.wait()

    assert events[-1].event == "run.failed"
    after = assert_truth(person, live, run["id"])
    assert after["error"]["code"] == "worker_lost"
    text = answer_text(person, after)
    assert text.split() == WORDS[: len(text.split())]
    assert len(text.split()) >= 10
    assert deltas(events) == text  # The tail came from the stream: no reader saw a word that is not kept.
    assert Decimal(after["cost"]) > 0
    again = person.call("POST", f"/api/v1/runs/{run['id']}/retry")
    assert person.events(again["id"])[-1].event == "run.completed"


def test_a_worker_that_shuts_down_ends_a_run_with_a_request_in_flight(person: ApiClient, live: Stack) -> None:
    run = slow_run(person)
    watcher = Watcher(person, run["id"])
    watcher.wait_for_words(5)
    worker = live.processes["agents"]
    began = time.monotonic()
    worker.terminate()
    worker.wait(15)
    took = time.monotonic() - began
    live.start("agents")
    events = watcher.wait()

    assert took < 10
    assert events[-1].event == "run.failed"
    after = assert_truth(person, live, run["id"])
    assert after["error"]["code"] == "worker_lost"
    assert answer_text(person, after) == watcher.text


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_ends_between_two_steps_is_continued_by_the_next(
    person: ApiClient, live: Stack, provider_server: FakeProvider, number: signal.Signals
) -> None:
    """It waits before it asks a provider again that was busy: nothing is in flight, so no work is lost."""
    agent = person.agent(model="fake-long")["id"]
    provider_server.script(Reply(status=429, retry_after=25), Reply(text="Here I am."), model="fake-long")
    run = person.start(agent, "Are you there?")
    watcher = Watcher(person, run["id"])
    wait_until(lambda: "step.finished" in [event.event for event in watcher.events], 20)
    os.killpg(live.processes["agents"].pid, number)
    live.processes["agents"].wait(15)
    live.start("agents")
    events = watcher.wait()

    assert [event.event for event in events if event.event in ("run.started", "run.completed")] == [
        *["run.started"] * 2,
        "run.completed",
    ]
    assert (events[-1].event, watcher.text) == ("run.completed", "Here I am.")
    assert [event.id for event in person.events(run["id"])] == [event.id for event in events]  # As a second reader.
    after = assert_truth(person, live, run["id"])
    assert after["attempt"] == (2 if number is signal.SIGKILL else 1)
    steps = person.call("GET", f"/api/v1/runs/{run['id']}/steps")["results"]
    assert [(step["index"], bool(step["error"])) for step in steps] == [(1, True), (2, False)]


def test_redis_restarted_empty_in_the_middle_of_a_stream(person: ApiClient, live: Stack, servers: Servers) -> None:
    run = slow_run(person)
    watcher = Watcher(person, run["id"])
    watcher.wait_for_words(10)
    servers.end("redis", kill=True)
    time.sleep(0.5)
    servers.start_redis()
    events = watcher.wait()

    assert events[-1].event == "run.completed"
    assert watcher.text.split() == WORDS
    assert "snapshot" in [event.event for event in events]
    after = assert_truth(person, live, run["id"])
    assert answer_text(person, after).split() == WORDS
    late = person.events(run["id"])
    assert (late[-1].event, late[0].event) == ("run.completed", "snapshot")
    next_run, answer, _ = person.ask(person.agent(model="fake-echo")["id"], "Are you well?")
    assert (next_run["status"], text_of(answer)) == ("completed", "Are you well?")


def test_postgres_restarted_in_the_middle_of_a_run(person: ApiClient, live: Stack, servers: Servers) -> None:
    run = slow_run(person)
    watcher = Watcher(person, run["id"])
    watcher.wait_for_words(10)
    servers.end("postgres")
    time.sleep(0.5)
    servers.start_postgres()
    events = watcher.wait(60)

    assert events[-1].event == "run.completed"
    assert watcher.text.split() == WORDS
    wait_until(lambda: person.http.get(f"/api/v1/runs/{run['id']}").status_code == 200, 20)
    after = assert_truth(person, live, run["id"])
    assert answer_text(person, after).split() == WORDS


def test_many_starts_at_once_share_one_wallet_and_one_conversation(person: ApiClient, live: Stack) -> None:
    agent = person.agent(model="fake-echo")["id"]
    shared = person.call("POST", "/api/v1/conversations", {"agent": agent})["id"]
    own = [person.call("POST", "/api/v1/conversations", {"agent": agent})["id"] for _ in range(6)]
    answers: list[httpx2.Response] = []

    def ask(conversation: str) -> None:
        path = f"/api/v1/conversations/{conversation}/runs"
        answers.append(person.http.post(path, json={"input": "Hello?"}))

    threads = [threading.Thread(target=ask, args=[conversation]) for conversation in [*own, *([shared] * 8)]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    codes = [answer.status_code for answer in answers]
    assert set(codes) == {202, 409}
    assert codes.count(202) >= 7
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"conversation_busy"}
    started = [answer.json()["id"] for answer in answers if answer.status_code == 202]
    for run in started:
        assert person.events(run)[-1].event == "run.completed"
    balance = person.call("GET", "/api/v1/billing/balance")
    costs = [Decimal(person.call("GET", f"/api/v1/runs/{run}")["cost"]) for run in started]
    assert Decimal(balance["held"]) == 0
    assert Decimal(balance["posted"]) == Decimal("5.00") - sum(costs)
    assert live.rows("SELECT * FROM ledger_discrepancies") == []


def test_a_full_redis_holds_up_no_run(person: ApiClient, live: Stack) -> None:
    """It refuses every write while the answer streams: the run ends, is paid, and its readers see it whole."""
    run = slow_run(person)
    watcher = Watcher(person, run["id"])
    watcher.wait_for_words(5)
    with Redis.from_url(live.environment["REDIS_URL"]) as redis:
        redis.config_set("maxmemory", "1")
        try:
            ended = "SELECT status FROM agents_run WHERE status = 'completed' AND id = %s"
            wait_until(lambda: bool(live.rows(ended, decode("run", run["id"]))), 30)
        finally:
            redis.config_set("maxmemory", "0")

    assert_truth(person, live, run["id"])
    watcher.wait()
    assert watcher.text.split() == answer_text(person, run).split() == WORDS
    again = Watcher(person, slow_run(person)["id"])  # The worker still answers.
    assert again.wait()[-1].event == "run.completed"
