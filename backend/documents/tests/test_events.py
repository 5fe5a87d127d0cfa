"""The event stream of a document, as a client reads it."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.test import AsyncClient

from backend.documents.ingestion import runner
from backend.documents.models import Document
from backend.documents.tests.cast import make_document, pdf, upload, uuid_of
from tests.actors import Person

pytestmark = pytest.mark.django_db(transaction=True)


def events(person: Person, document: str, *meanwhile: Callable[[], Any]) -> list[tuple[str, Any]]:
    """Everything that the stream says until it ends; after its first event, what else happens happens."""

    async def followed() -> list[tuple[str, Any]]:
        return await asyncio.wait_for(follow(), 20)

    async def follow() -> list[tuple[str, Any]]:
        client = AsyncClient()
        response: Any = await client.get(f"/api/v1/documents/{document}/events", headers=person.headers())
        assert response.status_code == 200
        assert response["Content-Type"] == "text/event-stream"
        said: list[tuple[str, Any]] = []
        todo = list(meanwhile)
        async for chunk in response.streaming_content:
            fields = dict(line.split(": ", 1) for line in chunk.decode().strip().split("\n"))
            said.append((fields["event"], json.loads(fields["data"])["document"]))
            if todo:
                await sync_to_async(todo.pop(0))()
        return said

    return async_to_sync(followed)()


def test_a_document_is_followed_to_its_end(owner: Person, settings: Any) -> None:
    settings.INGESTION_BATCH_PAGES = 1
    document = upload(owner, pdf("One page.", "Another page.", "The last page."), "three.pdf").json()["id"]

    def work() -> None:
        ingestion = Document.objects.get(pk=uuid_of(document)).latest_ingestion_id
        assert ingestion is not None
        runner.execute(ingestion_id=ingestion)

    said = events(owner, document, work)

    assert said[0][0] == "document.progress"
    assert said[0][1]["status"] == "queued"
    assert said[-1][0] == "document.ready"
    assert said[-1][1] == owner.get(f"/api/v1/documents/{document}").json()


def test_what_has_ended_is_said_at_once(owner: Person) -> None:
    document = make_document(owner, "Ready long ago.")

    assert [event for event, _ in events(owner, document.public_id)] == ["document.ready"]


def test_a_deletion_ends_the_stream(owner: Person) -> None:
    document = upload(owner, "Going away.").json()["id"]

    said = events(owner, document, lambda: owner.delete(f"/api/v1/documents/{document}"))

    assert said[-1] == ("document.deleted", None)


def test_strangers_and_nobody_follow_nothing(owner: Person, stranger: Person) -> None:
    document = upload(owner, "Private.").json()["id"]
    path = f"/api/v1/documents/{document}/events"

    assert stranger.get(path).status_code == 404
    assert stranger.get("/api/v1/documents/doc_x/events").status_code == 404
    assert owner.client.get(path).status_code == 401
    assert owner.post(path).status_code == 405
