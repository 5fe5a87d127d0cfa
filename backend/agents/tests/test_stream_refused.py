"""A Redis that takes no writes: full, read-only or unable to save. Runs continue, and their writers can be closed."""

import asyncio
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django import Settings
from redis import Redis

from backend.agents.answers.answer import replay
from backend.agents.stream import event_sender, writer
from backend.agents.stream.events import key_of
from backend.agents.stream.publish import publish, recorded
from backend.agents.stream.writer import StreamWriter
from backend.agents.tests.test_stream import SNAPSHOT, run_async, until, writer_for
from backend.db import redis as connections
from backend.http.ids import new_id
from tests.servers import Servers


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    servers = Servers(tmp_path_factory.mktemp("redis"))
    servers.start_redis()
    (servers.folder / "dump.rdb" / "in the way").mkdir(parents=True)  # It cannot save.
    yield servers
    servers.end("redis", kill=True)


@pytest.fixture
def redis(server: Servers, settings: Settings) -> Iterator["Redis"]:
    """Ours alone, so that it may be configured."""
    settings.REDIS_URL = f"redis://127.0.0.1:{server.redis_port}/0"
    connections.client.cache_clear()
    with Redis.from_url(settings.REDIS_URL) as client:
        yield client
        take_writes(client)
        client.flushall()
    connections.client.cache_clear()


def refuse_writes(redis: "Redis", how: str) -> None:
    if how == "full":
        redis.config_set("maxmemory", "1")
    elif how == "replica":
        redis.replicaof("127.0.0.1", 9)
    else:
        redis.bgsave()
        deadline = time.monotonic() + 10
        while redis.info("persistence")["rdb_last_bgsave_status"] != "err":
            assert time.monotonic() < deadline
            time.sleep(0.02)
        redis.config_set("save", "3600 1", "stop-writes-on-bgsave-error", "yes")


def take_writes(redis: "Redis") -> None:
    redis.config_set("maxmemory", "0", "save", "", "stop-writes-on-bgsave-error", "no")
    redis.replicaof("NO", "ONE")


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many writers each send had."""
    made: list[int] = []
    real = event_sender.EventSender._send

    async def send(self: event_sender.EventSender, writers: list[event_sender.Writer]) -> None:
        made.append(len(writers))
        await real(self, writers)

    monkeypatch.setattr(event_sender.EventSender, "_send", send)
    return made


async def refused_for(seconds: float) -> None:
    await asyncio.sleep(seconds)


def test_a_run_that_a_worker_claimed_before_it_was_published_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    run_id = new_id()
    assert publish(run_id=run_id, epoch=1, events=[("run.started", {})])

    with caplog.at_level("INFO"):
        assert not publish(run_id=run_id, epoch=0, events=[("run.queued", {})])

    assert [(record.levelname, record.getMessage().split()[0]) for record in caplog.records] == [
        ("INFO", "run_queued_not_published")
    ]
    assert [event.name for event in recorded(run_id)] == ["run.started"]


@pytest.mark.parametrize("how", ["full", "replica", "unsaved"])
@pytest.mark.parametrize("begun", [True, False])
def test_refused_writes_are_tried_again_in_growing_pauses(
    redis: "Redis", attempts: list[int], how: str, begun: bool
) -> None:
    run_id = new_id()
    publish(run_id=run_id, epoch=0, events=[("run.queued", {})])

    async def work() -> None:
        sender = writer_for(run_id)
        if begun:
            sender.put("message.started", {})
            await until(lambda: len(recorded(run_id)) == 2)
        refuse_writes(redis, how)
        attempts.clear()
        for letter in "abc":
            sender.delta("text.delta", message="m", part=0, text=letter)
            await refused_for(0.3)
        assert len(attempts) <= 6  # After 0, 0.1, 0.3, 0.7 seconds; a spin makes hundreds.
        take_writes(redis)
        sender.put("run.completed", {})
        await sender.close()

    run_async(work)

    found = recorded(run_id)
    text = "".join(event.payload["delta"] for event in found if event.name == "text.delta")
    assert (text, found[-1].name) == ("abc", "run.completed")
    assert 0 < redis.ttl(key_of(run_id)) <= 3600


def test_what_waits_is_bounded_and_becomes_one_snapshot(redis: "Redis", attempts: list[int]) -> None:
    run_id = new_id()

    async def work() -> None:
        sender = writer_for(run_id)
        sender.put("run.started", {"run": 1})
        await until(lambda: len(recorded(run_id)) == 1)
        refuse_writes(redis, "full")
        for number in range(5000):
            sender.put("citation.added", {"message": "m", "citation": number})
            sender.delta("text.delta", message="m", part=number, text="x" * 100)
            if number % 500 == 0:
                await asyncio.sleep(0.05)
            assert len(sender._waiting) + len(sender._sending) <= writer.MAX_BACKLOG
        sender.put("message.completed", {"message": 1})
        take_writes(redis)
        await sender.close()

    run_async(work)

    found = recorded(run_id)
    assert [event.name for event in found] == ["run.started", "snapshot", "message.completed"]
    assert found[1].payload == SNAPSHOT
    assert replay(found) is not None


def test_a_writer_is_closed_in_time_and_sends_no_more(
    redis: "Redis", attempts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "DRAIN_SECONDS", 0.3)
    run_id = new_id()

    async def work() -> None:
        refuse_writes(redis, "full")
        writers = [writer_for(run_id, epoch) for epoch in (1, 2, 3)]
        for sender in writers:
            sender.put("run.started", {})
        async with asyncio.timeout(2):
            await asyncio.gather(*(sender.close() for sender in writers))
        await asyncio.sleep(0.3)
        attempts.clear()
        writers[0].put("run.completed", {})
        await asyncio.sleep(1)
        assert attempts == []
        take_writes(redis)
        await asyncio.sleep(0.3)

    run_async(work)

    assert recorded(run_id) == []


def test_a_run_that_is_refused_holds_up_no_other(redis: "Redis", caplog: pytest.LogCaptureFixture) -> None:
    """Only its own key takes no stream: the other's text arrives meanwhile, and nothing is logged without end."""
    broken, other = new_id(), new_id()
    redis.set(key_of(broken), "no stream")

    async def work() -> None:
        bad, good = writer_for(broken), writer_for(other)
        bad.put("message.started", {})
        good.put("message.started", {})
        with caplog.at_level(logging.WARNING):
            for number in range(20):
                bad.delta("text.delta", message="m", part=0, text="a")
                good.delta("text.delta", message="m", part=0, text=f"{number} ")
                await asyncio.sleep(0.05)
        assert len(recorded(other)) > 5
        await good.close()
        bad.fenced = True
        await bad.close()

    run_async(work)

    text = "".join(event.payload["delta"] for event in recorded(other) if event.name == "text.delta")
    assert text.split() == [str(number) for number in range(20)]
    assert 1 <= len([line for line in caplog.messages if "run_events_delayed" in line]) <= 6


def test_no_word_is_lost_or_doubled_around_a_snapshot(redis: "Redis") -> None:
    run_id, said = new_id(), ["early"]

    def snapshot() -> dict[str, Any]:
        return {"messages": [{"role": "assistant", "parts": [{"type": "text", "text": said[-1]}], "citations": []}]}

    async def work() -> None:
        sender = StreamWriter(run_id=run_id, epoch=1, snapshot=snapshot)
        refuse_writes(redis, "full")
        for _ in range(writer.MAX_BACKLOG + 1):
            sender.put("citation.added", {})
        await asyncio.sleep(0.2)
        for word in (" and late", " and last"):
            said.append(said[-1] + word)
            sender.delta("text.delta", message="m", part=0, text=word)
            await asyncio.sleep(0.2)
        take_writes(redis)
        await sender.close()

    run_async(work)

    answer = replay(recorded(run_id))
    assert answer is not None
    assert answer.parts() == [{"type": "text", "text": "early and late and last"}]
