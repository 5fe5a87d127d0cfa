"""Events written by somebody who is not working on the run: the request that queued it, the reaper that ended it."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.conf import settings
from redis.exceptions import RedisError

from backend.agents.stream.events import Event, event_of, fields_of, json_of, key_of
from backend.db.redis import client

logger = logging.getLogger(__name__)

CANCEL_CHANNEL = "runs:cancel"
LONGEST_LIFE = 24 * 3600  # Seconds that a stream may live when nobody ends its run.


def publish(
    *,
    run_id: UUID,
    epoch: int,
    events: Sequence[tuple[str, Mapping[str, Any]]],
    ended: bool = False,
    more: bool = False,
) -> bool:
    """Append events as the first ones of ``epoch``, or after those with ``more``; whether Redis took them.

    A failure is only logged: what happened is in PostgreSQL, where every reader looks when its stream is silent.
    """
    key = key_of(run_id)
    try:
        pipeline = client().pipeline(transaction=False)
        for seq, (name, data) in enumerate(events, start=1):
            pipeline.xadd(key, fields_of(name, json_of(data)), id=f"{epoch}-{'*' if more else seq}")  # type: ignore[arg-type]  # str is a field value.
        pipeline.expire(key, settings.RUN_STREAM_SECONDS if ended else LONGEST_LIFE)
        pipeline.execute()
    except RedisError as error:
        logger.warning("run_events_not_published run=%s error=%s", key, error)
        return False
    return True


def ask_to_stop(run_id: UUID) -> None:
    """Tell whichever worker holds the run to stop now; it also looks at the row every second."""
    try:
        client().publish(CANCEL_CHANNEL, str(run_id))
    except RedisError as error:
        logger.warning("cancel_not_published run=%s error=%s", run_id, error)


def recorded(run_id: UUID) -> list[Event]:
    """Every event of the run that Redis still has; empty when it has none or does not answer."""
    try:
        entries: Any = client().xrange(key_of(run_id))
    except RedisError:
        return []
    return [event_of(entry) for entry in entries]
