"""The event stream of a document, as a client receives it."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.test import AsyncClient

from backend.db.redis import client
from backend.documents.ingestion import runner
from backend.documents.models import Document
from backend.documents.tests.cast import make_document, pdf, upload, uuid_of
from backend.documents.views import events as views
from tests.actors import Person

pytestmark = pytest.mark.django_db(transaction=True)


def events(person: Person, document: str, *meanwhile: Callable[[], Any]) -> list[tuple[str, Any]]:
    """All events of the stream until it ends; after the first event, ``meanwhile`` is called."""

    async def with_timeout() -> list[tuple[str, Any]]:
        return await asyncio.wait_for(received(), 20)

    async def received() -> list[tuple[str, Any]]:
        client = AsyncClient()
        response: Any = await client.get(f"/api/v1/documents/{document}/events", headers=person.headers())
        assert response.status_code == 200
        assert response["Content-Type"] == "text/event-stream"
        events_received: list[tuple[str, Any]] = []
        todo = list(meanwhile)
        async for chunk in response.streaming_content:
            for frame in chunk.decode().strip().split("\n\n"):  # Frames that are ready together are one chunk.
                fields = dict(line.split(": ", 1) for line in frame.split("\n"))
                events_received.append((fields["event"], json.loads(fields["data"])["document"]))
            if todo:
                await sync_to_async(todo.pop(0))()
        return events_received

    return async_to_sync(with_timeout)()


def test_a_document_is_followed_to_its_end(owner: Person, settings: Any) -> None:
    settings.INGESTION_BATCH_PAGES = 1
    document = upload(owner, pdf("One page.", "Another page.", "The last page."), "three.pdf").json()["id"]

    def work() -> None:
        ingestion = Document.objects.get(pk=uuid_of(document)).latest_ingestion_id
        assert ingestion is not None
        runner.execute(ingestion_id=ingestion)

    events_received = events(owner, document, work)

    assert events_received[0][0] == "document.progress"
    assert events_received[0][1]["status"] == "queued"
    assert events_received[-1][0] == "document.ready"
    assert events_received[-1][1] == owner.get(f"/api/v1/documents/{document}").json()


def test_a_stream_of_a_finished_document_ends_at_once(owner: Person) -> None:
    document = make_document(owner, "Ready long ago.")

    assert [event for event, _ in events(owner, document.public_id)] == ["document.ready"]


def test_a_deletion_ends_the_stream(owner: Person) -> None:
    document = upload(owner, "Going away.").json()["id"]

    events_received = events(owner, document, lambda: owner.delete(f"/api/v1/documents/{document}"))

    assert events_received[-1] == ("document.deleted", None)


def test_strangers_and_anonymous_clients_follow_nothing(owner: Person, stranger: Person) -> None:
    document = upload(owner, "Private.").json()["id"]
    path = f"/api/v1/documents/{document}/events"

    assert stranger.get(path).status_code == 404
    assert stranger.get("/api/v1/documents/doc_x/events").status_code == 404
    assert owner.client.get(path).status_code == 401
    assert owner.post(path).status_code == 405


async def opened(person: Person, document: str) -> Any:
    """The stream, after its first event."""
    response: Any = await AsyncClient().get(f"/api/v1/documents/{document}/events", headers=person.headers())
    if response.status_code == 200:
        assert (await anext(aiter(response.streaming_content))).startswith(b"id: 1\nevent: document.progress\n")
    return response


async def closed(*responses: Any) -> None:
    for response in responses:
        await response.streaming_content.aclose()
        response.close()


def subscribers() -> set[str]:
    """The connections to this test's Redis database that are subscribed to something."""
    own = str(client().connection_pool.connection_kwargs["db"])
    listed = [each for each in client().client_list() if each["db"] == own]
    return {str(each["id"]) for each in listed if int(each["sub"]) or int(each["psub"])}


def test_readers_share_one_subscription_and_one_fetch(owner: Person, settings: Any, monkeypatch: Any) -> None:
    documents = [upload(owner, text).json()["id"] for text in ("One.", "Another.")]
    fetches: list[Any] = []
    state = views._state

    def fetch_state(actor: Any, document: Any) -> Any:
        fetches.append(document)
        return state(actor, document)

    monkeypatch.setattr(views, "_state", fetch_state)

    async def follow_many() -> None:
        streams = await asyncio.gather(*(opened(owner, document) for document in documents * 10))
        assert len(subscribers() - earlier) == 1
        before = len(fetches)
        assert before < 12  # And not one for each of twenty readers.
        await sync_to_async(owner.delete)(f"/api/v1/documents/{documents[0]}")
        ends = [anext(aiter(stream.streaming_content)) for stream in streams[::2]]
        assert all(b"event: document.deleted" in end for end in await asyncio.wait_for(asyncio.gather(*ends), 20))
        assert len(fetches) - before < 8
        await closed(*streams)

    settings.STREAMS_PER_USER = 20
    earlier = subscribers()  # Of tests before this one, and of other workers' on the same server.
    async_to_sync(follow_many)()


def test_a_user_has_a_limit_of_simultaneous_streams(owner: Person, member: Person, settings: Any) -> None:
    document = upload(owner, "Waits.").json()["id"]
    settings.STREAMS_PER_USER = 2

    async def follow_many() -> None:
        first, second = await opened(owner, document), await opened(owner, document)
        refused = await opened(owner, document)
        assert (refused.status_code, refused.json()["code"], refused["Retry-After"]) == (429, "rate_limited", "2")
        others = await opened(member, document)
        assert others.status_code == 200
        await closed(first)
        async with asyncio.timeout(10):
            while (third := await opened(owner, document)).status_code == 429:  # noqa: ASYNC110  # Redis is notified in the background.
                await asyncio.sleep(0.02)
        await closed(second, third, others)

    async_to_sync(follow_many)()
