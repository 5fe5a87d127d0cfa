"""The writer and the readers of a run's stream, against a real Redis that loses everything."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from redis import Redis

from backend.agents.answers.answer import replay
from backend.agents.stream import hub, reader
from backend.agents.stream.events import START, Event, key_of, position_of
from backend.agents.stream.hub import Hub, Subscription
from backend.agents.stream.publish import publish, recorded
from backend.agents.stream.reader import RunState, follow
from backend.agents.stream.writer import StreamWriter
from backend.db.redis import close_async_client
from backend.http.ids import new_id

SNAPSHOT: dict[str, Any] = {
    "messages": [{"role": "assistant", "parts": [{"type": "text", "text": "all so far"}], "citations": []}]
}


def run_async(work: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        try:
            async with asyncio.timeout(20):
                await work()
        finally:
            await close_async_client()

    asyncio.run(whole())  # Not uvloop: closing its loop beside another one in the process was seen to hang.


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  # What it waits for happens in Redis.
        await asyncio.sleep(0.01)


def writer_for(run_id: UUID, epoch: int = 1) -> StreamWriter:
    return StreamWriter(run_id=run_id, epoch=epoch, snapshot=lambda: SNAPSHOT)


def going_on(**run: Any) -> Callable[[], Awaitable[RunState | None]]:
    async def look() -> RunState | None:
        return RunState(run={"status": "running", **run}, messages=SNAPSHOT["messages"])

    return look


def ended(name: str = "run.completed") -> Callable[[], Awaitable[RunState | None]]:
    async def look() -> RunState | None:
        return RunState(run={"status": name.removeprefix("run.")}, messages=SNAPSHOT["messages"])

    return look


async def collect(batches: AsyncIterator[list[Event]]) -> list[Event]:
    return [event async for batch in batches for event in batch]


def test_what_cannot_be_written_delays_no_other_run() -> None:
    broken, other = new_id(), new_id()

    async def work() -> None:
        for epoch in (1, 2):  # The event sender continues after the first.
            writers = [writer_for(broken, epoch), writer_for(other, epoch), writer_for(new_id())]
            writers[0].put("step.started", {"never": object()})
            writers[1].delta("text.delta", message="msg_1", part=0, text="half \ud83c and whole")
            writers[2].put("step.started", {})
            for writer in writers:
                await writer.close()

    run_async(work)

    assert [event.payload.get("delta") for event in recorded(other)] == ["half ? and whole"] * 2
    assert recorded(broken) == []


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("1-5", (1, 5)),
        ("0-1", (0, 1)),
        (None, START),
        ("", START),
        ("x", START),
        ("1-", START),
        ("-1-2", START),
        ("1-5-6", START),
        ("９-９", START),
        ("9" * 30 + "-1", START),
        ("1-5\n", START),
    ],
)
def test_positions_are_read_or_mean_the_start(text: str | None, position: tuple[int, int]) -> None:
    assert position_of(text) == position


def test_text_that_waits_is_joined_and_the_first_goes_at_once() -> None:
    run_id = new_id()

    async def work() -> None:
        writer = writer_for(run_id)
        writer.delta("text.delta", message="m", part=0, text="a")
        await until(lambda: len(recorded(run_id)) == 1)
        for letter in "bcde":
            writer.delta("text.delta", message="m", part=0, text=letter)
        writer.put("run.completed", {})
        await writer.close()

    run_async(work)

    assert [(event.id, event.name, event.payload.get("delta")) for event in recorded(run_id)] == [
        ("1-1", "text.delta", "a"),
        ("1-2", "text.delta", "bcde"),
        ("1-3", "run.completed", None),
    ]
    with Redis.from_url(settings.REDIS_URL) as redis:
        assert 0 < redis.ttl(key_of(run_id)) <= settings.RUN_STREAM_SECONDS


def test_a_stream_that_vanished_begins_again_with_a_snapshot() -> None:
    run_id = new_id()

    async def work() -> None:
        writer = writer_for(run_id)
        writer.put("message.started", {})
        await until(lambda: len(recorded(run_id)) == 1)
        with Redis.from_url(settings.REDIS_URL) as redis:
            redis.flushdb()
        writer.delta("text.delta", message="m", part=0, text="lost?")
        await until(lambda: len(recorded(run_id)) == 1)
        writer.delta("text.delta", message="m", part=0, text=" more")
        await writer.close()

    run_async(work)

    found = recorded(run_id)
    assert [event.name for event in found] == ["snapshot", "text.delta"]
    assert found[0].position > (1, 1)
    assert found[0].payload == SNAPSHOT
    answer = replay(found)
    assert answer is not None
    assert answer.parts() == [{"type": "text", "text": "all so far more"}]


def test_an_older_epoch_writes_nothing() -> None:
    run_id = new_id()

    async def work() -> None:
        old = writer_for(run_id, epoch=1)
        old.put("message.started", {})
        await until(lambda: len(recorded(run_id)) == 1)
        new = writer_for(run_id, epoch=2)
        new.put("message.started", {})
        await until(lambda: len(recorded(run_id)) == 2)
        old.put("text.delta", {"delta": "late"})
        await until(lambda: old.fenced)
        await old.close()
        await new.close()

    run_async(work)

    assert [event.id for event in recorded(run_id)] == ["1-1", "2-1"]


def test_readers_of_many_runs_share_one_connection() -> None:
    runs = [new_id() for _ in range(60)]
    found: dict[UUID, list[Event]] = {}
    connections: list[int] = []

    async def work() -> None:
        async def read(run_id: UUID) -> None:
            found[run_id] = await collect(follow(run_id=run_id, after=START, status="running", read_state=going_on()))

        with Redis.from_url(settings.REDIS_URL) as redis:
            others = {one["id"] for one in redis.client_list()}  # Of a server that other tests have started.
        readers = [asyncio.create_task(read(run_id)) for run_id in runs for _ in range(2)]
        followed = hub.hub()._followed
        await until(lambda: sum(len(each.subscriptions) for each in followed.values()) == len(readers))
        with Redis.from_url(settings.REDIS_URL) as redis:

            def reading() -> int:
                reads = [one for one in redis.client_list() if one["cmd"].startswith("xread")]
                return len([one for one in reads if one["id"] not in others])

            await until(lambda: reading() > 0)
            connections.append(reading())
        for run_id in runs:
            publish(run_id=run_id, epoch=1, events=[("text.delta", {"delta": "a"}), ("run.completed", {})])
        await asyncio.gather(*readers)

    run_async(work)

    assert connections == [1]
    for run_id in runs:
        assert [event.name for event in found[run_id]][-2:] == ["text.delta", "run.completed"]


def test_a_process_that_follows_many_runs_reads_what_they_write_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "MAX_PAUSE_SECONDS", 0.5)
    monkeypatch.setattr(hub, "PAUSE_SECONDS", 0.05)
    runs = [new_id() for _ in range(40)]

    def reads(redis: Redis) -> int:
        return int(redis.info("commandstats").get("cmdstat_xread", {"calls": 0})["calls"])

    async def work() -> None:
        with Redis.from_url(settings.REDIS_URL) as redis:
            readers = [
                asyncio.create_task(collect(follow(run_id=run_id, after=START, status="queued", read_state=going_on())))
                for run_id in runs
            ]
            await asyncio.to_thread(publish, run_id=runs[0], epoch=1, events=[("run.completed", {})])
            await readers[0]
            before = reads(redis)
            for run_id in runs[1:]:
                await asyncio.to_thread(publish, run_id=run_id, epoch=1, events=[("run.completed", {})])
            await asyncio.gather(*readers)
            assert reads(redis) - before < 20

    run_async(work)


def test_a_reader_that_takes_nothing_is_kept_few_events() -> None:
    subscription = Subscription()
    event = Event((1, 1), "text.delta", b"{}")

    async def work() -> None:
        for _ in range(20):
            subscription.deliver([event] * 1000)
            assert len(subscription._events) <= 6000
        assert subscription.overrun

    run_async(work)


def test_a_reader_who_comes_late_gets_everything_once() -> None:
    run_id = new_id()
    found: list[list[Event]] = []

    async def work() -> None:
        writer = writer_for(run_id)
        writer.put("message.started", {})
        await until(lambda: len(recorded(run_id)) == 1)
        first = asyncio.create_task(
            collect(follow(run_id=run_id, after=START, status="running", read_state=going_on()))
        )
        for number in range(30):
            writer.delta("text.delta", message="m", part=0, text=f"w{number} ")
            await asyncio.sleep(0.01)
            if number == 15:
                second = asyncio.create_task(
                    collect(follow(run_id=run_id, after=START, status="running", read_state=going_on()))
                )
                third = asyncio.create_task(
                    collect(follow(run_id=run_id, after=(1, 2), status="running", read_state=going_on()))
                )
        writer.put("run.completed", {})
        found.extend(await asyncio.gather(first, second, third))
        await writer.close()

    run_async(work)

    stored = recorded(run_id)
    assert found[0] == found[1] == stored
    assert found[2] == stored[2:]


def test_a_run_that_ended_is_replayed_from_where_the_reader_stopped() -> None:
    run_id = new_id()
    publish(
        run_id=run_id, epoch=1, events=[("message.started", {}), ("text.delta", {"delta": "a"}), ("run.failed", {})]
    )

    async def work() -> None:
        everything = await collect(follow(run_id=run_id, after=START, status="failed", read_state=ended("run.failed")))
        rest = await collect(follow(run_id=run_id, after=(1, 2), status="failed", read_state=ended("run.failed")))
        again = await collect(follow(run_id=run_id, after=(1, 3), status="failed", read_state=ended("run.failed")))
        assert [event.id for event in everything] == ["1-1", "1-2", "1-3"]
        assert [event.id for event in rest] == ["1-3"]
        assert [event.id for event in again] == ["1-3"]  # It is over: sent again to a reader that reconnects.

    run_async(work)


@pytest.mark.parametrize("after", [START, (1, 7), (999, 9)])
def test_an_expired_stream_becomes_a_snapshot_and_the_end(after: tuple[int, int]) -> None:
    async def work() -> None:
        events = await collect(follow(run_id=new_id(), after=after, status="completed", read_state=ended()))
        assert [event.name for event in events] == ["snapshot", "run.completed"]
        assert events[0].payload == SNAPSHOT
        assert events[1].payload == {"run": {"status": "completed"}}

    run_async(work)


def test_a_silent_stream_is_checked_against_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """The terminal event was never published: the reader ends all the same."""
    monkeypatch.setattr(reader, "SILENCE_SECONDS", 0.2)
    run_id, looks = new_id(), [going_on(), ended(), ended()]

    async def work() -> None:
        publish(run_id=run_id, epoch=1, events=[("message.started", {})])
        events = await collect(follow(run_id=run_id, after=START, status="running", read_state=lambda: looks.pop(0)()))  # noqa: PLW0108  # Another each time.
        assert [event.name for event in events] == ["message.started", "snapshot", "run.completed"]
        assert events[-1].position > events[0].position

    run_async(work)


def test_a_run_whose_stream_is_gone_is_shown_as_it_is_now() -> None:
    run_id = new_id()

    async def work() -> None:
        events = follow(run_id=run_id, after=(1, 4), status="running", read_state=going_on())
        [first] = await anext(events)
        publish(run_id=run_id, epoch=2, events=[("run.completed", {})])
        [second] = await anext(events)
        assert (first.name, first.id, second.name) == ("snapshot", "1-4", "run.completed")

    run_async(work)


def test_a_reader_who_comes_back_at_once_misses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The read that continues for the one who left must not answer the one who came."""
    run_id = new_id()
    publish(run_id=run_id, epoch=1, events=[("text.delta", {"delta": letter}) for letter in "abc"])
    wake = Hub._wake

    async def late(self: Hub, subscription: Subscription) -> None:
        publish(run_id=run_id, epoch=2, events=[("run.completed", {})])
        await asyncio.sleep(0.1)
        await wake(self, subscription)

    async def work() -> None:
        first = follow(run_id=run_id, after=START, status="running", read_state=going_on())
        assert [event.id for event in await anext(first)] == ["1-1", "1-2", "1-3"]
        await asyncio.sleep(0.1)  # The hub asks for what follows.
        await first.aclose()  # type: ignore[attr-defined]  # A generator.
        monkeypatch.setattr(Hub, "_wake", late)
        second = await collect(follow(run_id=run_id, after=START, status="running", read_state=going_on()))
        assert [event.id for event in second] == ["1-1", "1-2", "1-3", "2-1"]

    run_async(work)
