"""Publishes events of a run from outside its worker: the request that queues it, the sweep that ends it."""

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
MAX_STREAM_SECONDS = 24 * 3600  # The life of a stream whose run does not end.


def publish(
    *,
    run_id: UUID,
    epoch: int,
    events: Sequence[tuple[str, Mapping[str, Any]]],
    ended: bool = False,
    more: bool = False,
) -> bool:
    """Append events to the run's stream, and return whether Redis took them.

    A failure is only logged: the run's state is in PostgreSQL, where every reader looks when its stream is silent.

    :param more: append after events of the same epoch; else these are its first.
    :param ended: the run has ended, and so its stream expires after RUN_STREAM_SECONDS.
    """
    key = key_of(run_id)
    try:
        pipeline = client().pipeline(transaction=False)
        for seq, (name, data) in enumerate(events, start=1):
            pipeline.xadd(key, fields_of(name, json_of(data)), id=f"{epoch}-{'*' if more else seq}")  # type: ignore[arg-type]  # str is a field value.
        pipeline.expire(key, settings.RUN_STREAM_SECONDS if ended else MAX_STREAM_SECONDS)
        pipeline.execute()
    except RedisError as error:
        if epoch == 0 and "equal or smaller" in str(error):  # A worker claimed the run first: readers see run.started.
            logger.info("run_queued_not_published run=%s reason=already_started", key)
            return False
        logger.warning("run_events_not_published run=%s error=%s", key, error)
        return False
    return True


def publish_cancel(run_id: UUID) -> None:
    """Notify the worker that holds the run, which stops it now; it also looks at the row every second."""
    try:
        client().publish(CANCEL_CHANNEL, str(run_id))
    except RedisError as error:
        logger.warning("cancel_not_published run=%s error=%s", run_id, error)


def recorded(run_id: UUID) -> list[Event]:
    """Return every event of the run that Redis still has; none when it does not answer."""
    try:
        entries: Any = client().xrange(key_of(run_id))
    except RedisError:
        return []
    return [event_of(entry) for entry in entries]
