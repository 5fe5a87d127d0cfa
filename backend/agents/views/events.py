"""The events of a run as a stream: for ``GET /api/v1/runs/{id}/events``, and as the response of POSTs that start a run.

The event loop sends them; a stream holds neither a thread nor a database connection.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_GET

from backend.accounts.actors import Actor
from backend.accounts.authentication import actor_of
from backend.accounts.streams import still_allowed
from backend.agents import queries
from backend.agents.models import Run
from backend.agents.representations import message_data, run_data
from backend.agents.schema import EVENTS
from backend.agents.stream.events import START, Position, position_of
from backend.agents.stream.reader import RunState, follow
from backend.db.connection import release_connection
from backend.http.concurrency import Slot, hold_stream_slot, renew_slot, start_release
from backend.http.ids import decode
from backend.http.openapi.streams import streams
from backend.http.sse import StillAllowed, continued_stream, event_stream

logger = logging.getLogger(__name__)


@streams(EVENTS)
@require_GET
async def run_events(request: HttpRequest, pk: str) -> HttpResponseBase:
    """Everything that happens in a run, from the start or after ``Last-Event-ID`` (or ``?after=``)."""
    actor, run_id, status = await sync_to_async(_authorize, thread_sensitive=False)(request, pk)
    after = position_of(request.headers.get("Last-Event-ID") or request.GET.get("after"))
    response = event_stream(_frames(run_id, status, after), still_allowed=_still_allowed(actor, run_id))
    return await hold_stream_slot(response, str(actor.user_id))


def events_of_started(
    *, actor: Actor, run_id: UUID, status: str, slot: Slot, headers: dict[str, str]
) -> StreamingHttpResponse:
    """The events of a run from its first one, as the response of the request that started it.

    :param status: the run's, a moment ago.
    :param slot: one of the user's STREAMS_PER_USER; released when the stream ends.
    """

    async def frames() -> AsyncIterator[bytes]:
        renew_slot(slot)
        async for block in _frames(run_id, status, START):
            yield block

    return continued_stream(
        frames(),
        still_allowed=_still_allowed(actor, run_id),
        headers=headers,
        closed=lambda: asyncio.shield(start_release(slot)),
    )


def _still_allowed(actor: Actor, run_id: UUID) -> StillAllowed:
    return still_allowed(actor, scope="agents:read", sees=lambda actor: bool(queries.run_status(actor, run_id)))


async def _frames(run_id: UUID, status: str, after: Position) -> AsyncIterator[bytes]:
    read_state = sync_to_async(_read_state, thread_sensitive=False)
    async for events in follow(run_id=run_id, status=status, after=after, read_state=lambda: read_state(run_id)):
        yield b"".join([event.frame for event in events])


def _authorize(request: HttpRequest, pk: str) -> tuple[Actor, UUID, str]:
    try:
        actor = actor_of(request)
        actor.require("agents:read")
        run_id = decode(Run.id_prefix, pk)
        return actor, run_id, queries.run_status(actor, run_id)
    finally:
        release_connection()


def _read_state(run_id: UUID) -> RunState | None:
    """The run as PostgreSQL has it; None while PostgreSQL does not answer."""
    try:
        run = queries.run_for_events(run_id)
        run.output_message.run = run
        return RunState(
            run=run_data(run),
            messages=[message_data(run.input_message), message_data(run.output_message)],
        )
    except (DatabaseError, InterfaceError) as error:
        logger.warning("run_not_readable run=%s error=%s", run_id, str(error).strip())
        return None
    finally:
        release_connection()
