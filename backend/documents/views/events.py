"""The event stream of a document: its state at once and after each change, until its processing ends."""

import itertools
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_GET

from backend.accounts.actors import Actor
from backend.accounts.authentication import actor_of
from backend.accounts.streams import still_allowed
from backend.db.connection import release_connection
from backend.documents.models import Document, Ingestion
from backend.documents.schema import EVENTS
from backend.documents.serializers import DocumentSerializer
from backend.documents.status_feed import status_feed
from backend.errors import NotFound
from backend.http.concurrency import hold_stream_slot
from backend.http.ids import decode
from backend.http.openapi.streams import streams
from backend.http.sse import event_stream, frame

ENDED = {Ingestion.Status.READY, Ingestion.Status.FAILED, Ingestion.Status.CANCELLED}


@streams(EVENTS)
@require_GET
async def document_events(request: HttpRequest, pk: str) -> HttpResponseBase:
    """``document.progress`` with the whole document while it is read, then ``document.ready``, ``document.failed``,
    ``document.cancelled`` or ``document.deleted``, which ends the stream."""
    actor, document_id = await sync_to_async(_allowed, thread_sensitive=False)(request, pk)
    allowed = still_allowed(actor, scope="documents:read", sees=lambda actor: _sees(actor, document_id))
    response = event_stream(_frames(actor, document_id), still_allowed=allowed)
    return await hold_stream_slot(response, str(actor.user_id))


def _sees(actor: Actor, document_id: UUID) -> bool:
    return Document.objects.visible_to(actor).filter(pk=document_id).exists()


def _allowed(request: HttpRequest, pk: str) -> tuple[Actor, UUID]:
    try:
        actor = actor_of(request)
        actor.require("documents:read")
        document_id = decode(Document.id_prefix, pk)
        if not _sees(actor, document_id):
            raise NotFound
        return actor, document_id
    finally:
        release_connection()


def _state(actor: Actor, document_id: UUID) -> dict[str, Any] | None:
    """The document as the API returns it; None if it is deleted. Releases the database connection."""
    try:
        document = (
            Document.objects.visible_to(actor)
            .select_related("blob", "latest_ingestion", "active_ingestion")
            .prefetch_related("collection_documents")
            .filter(pk=document_id)
            .first()
        )
        if document is None:
            return None
        shown: dict[str, Any] = json.loads(json.dumps(DocumentSerializer(document).data, default=str))
        return shown
    finally:
        release_connection()


async def _frames(actor: Actor, document_id: UUID) -> AsyncIterator[bytes]:
    fetch_state = sync_to_async(_state, thread_sensitive=False)
    with status_feed().subscribe(document_id, lambda: fetch_state(actor, document_id)) as subscriber:
        for number in itertools.count(1):
            state = await subscriber.next()
            event = _event(state)
            yield frame(str(number), event, {"document": state})
            if event != "document.progress":
                return


def _event(state: dict[str, Any] | None) -> str:
    if state is None:
        return "document.deleted"
    return f"document.{state['status']}" if state["status"] in ENDED else "document.progress"
