"""Reads the events of a run for one client: replays, follows, and ends as the run did even if Redis lost the stream."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from redis.exceptions import RedisError

from backend.agents.stream.events import TERMINAL, Event, Position, event_of, json_of, key_of, text_of
from backend.agents.stream.hub import hub
from backend.db.redis import run_limited

logger = logging.getLogger(__name__)

SILENCE_SECONDS, MAX_SILENCE_SECONDS = 5.0, 15.0  # Without an event; then the reader reads the row.
PUBLISHING_SECONDS = 0.3  # The terminal event is published within this time after its commit.


@dataclass(frozen=True, slots=True)
class RunState:
    """The run as PostgreSQL has it at one moment, with its question and its answer."""

    run: Mapping[str, Any]
    messages: list[Mapping[str, Any]]

    @property
    def ending(self) -> str | None:
        """The name of the terminal event; none while the run has not ended."""
        name = f"run.{self.run['status']}"
        return name if name in TERMINAL else None


# Reads the run from PostgreSQL.
ReadState = Callable[[], Awaitable[RunState | None]]  # None: PostgreSQL does not answer.


async def follow(*, run_id: UUID, status: str, after: Position, read_state: ReadState) -> AsyncIterator[list[Event]]:
    """Yield the run's events after ``after`` until the terminal one, those that are there together as one list.

    1. A run that has ended: yield the rest of its stream, or a snapshot and the terminal event.
    2. Else subscribe. If Redis has no stream of a run that has begun, yield a snapshot first.
    3. Yield events as they come. After a silence, or a failure of Redis, read the row: the terminal event may never
       come, because it is published after the commit that ends the run, and Redis may be away then.
    4. Once the row has ended, continue as in 1.

    Holds no database connection between two reads of the row.

    :param status: of the run, a moment ago.
    """
    key, position = key_of(run_id), after
    if f"run.{status}" in TERMINAL:
        yield await _ending(key, position, read_state)
        return
    async with hub().follow(key, position) as subscription:
        if status != "queued" and await _is_gone(key) and (state := await read_state()) is not None:
            yield [_snapshot(position, state)]
        silence = SILENCE_SECONDS
        while True:
            events = await subscription.next(silence)
            if subscription.overrun:
                return  # The client reconnects with the id of the last event that it has.
            if new := _after(position, events):
                position = new[-1].position
                yield new
                if new[-1].is_terminal:
                    return
            if events and not subscription.failed:
                silence = SILENCE_SECONDS
                continue
            if subscription.failed:
                subscription.failed = False
                await asyncio.sleep(PUBLISHING_SECONDS)
            else:
                silence = min(silence * 1.5, MAX_SILENCE_SECONDS)
            state = await read_state()
            if state is not None and state.ending:
                break
    yield await _ending(key, position, read_state)


def _after(position: Position, events: list[Event]) -> list[Event]:
    """Those that the reader does not have, up to the terminal one."""
    new: list[Event] = []
    for event in events:
        if event.position > position:
            position = event.position
            new.append(event)
            if event.is_terminal:
                break
    return new


async def _ending(key: str, position: Position, read_state: ReadState) -> list[Event]:
    """The rest of a run that has ended: from its stream while that is whole, else a snapshot and the end."""
    for wait in (PUBLISHING_SECONDS, 0.0):
        events = await _range(key, position)
        if events and events[-1].is_terminal:
            return events
        if events is not None and not events and (last := await _last(key)) and last.is_terminal:
            if last.position == position:  # The reader has all of it and reconnected: repeat the end.
                return [last]
            break  # Its position is none of this stream: start again from a snapshot.
        if wait:
            await asyncio.sleep(wait)
    while (state := await read_state()) is None:  # noqa: ASYNC110  # PostgreSQL does not notify when it is back.
        await asyncio.sleep(1)
    return [_snapshot(position, state), Event(_next(position), str(state.ending), json_of({"run": state.run}))]


def _snapshot(position: Position, state: RunState) -> Event:
    return Event(position, "snapshot", json_of({"messages": state.messages}))


def _next(position: Position) -> Position:
    return (position[0], position[1] + 1)


async def _range(key: str, after: Position) -> list[Event] | None:
    try:
        entries = await run_limited(lambda redis: redis.xrange(key, min=f"({text_of(after)}"))
    except (RedisError, OSError) as error:
        logger.warning("run_stream_unreadable run=%s error=%s", key, error)
        return None
    return [event_of(entry) for entry in entries]


async def _last(key: str) -> Event | None:
    try:
        entries = await run_limited(lambda redis: redis.xrevrange(key, count=1))
    except (RedisError, OSError):
        return None
    return event_of(entries[0]) if entries else None


async def _is_gone(key: str) -> bool:
    try:
        return not await run_limited(lambda redis: redis.exists(key))
    except (RedisError, OSError):
        return True
