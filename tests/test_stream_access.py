"""Open event streams end with the right to read them, at the next heartbeat."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing, nullcontext
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.test import AsyncClient
from django.utils import timezone

from backend.accounts import operations, tokens
from backend.accounts.models import Membership, Session
from backend.agents.models import Run
from backend.db.redis import client
from backend.documents.tests.cast import upload
from backend.http import sse
from backend.server.scope import CONTINUES
from tests.actors import Person

pytestmark = pytest.mark.django_db(transaction=True)

Act = Callable[[Person], Any]


@pytest.fixture(autouse=True)
def short_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "HEARTBEAT_SECONDS", 0.2)


def path_of(kind: str, person: Person) -> str:
    """The stream of a run that waits for a worker, or of a document that does: it stays open."""
    if kind == "documents":
        return f"/api/v1/documents/{upload(person, 'Waits to be read.').json()['id']}/events"
    agent = person.post("/api/v1/agents", {"name": "Reader"}).json()["id"]
    begun = person.post("/api/v1/conversations", {"agent": agent, "input": "How are you?"})
    assert begun.status_code == 201, begun.content
    return f"/api/v1/runs/{begun.json()['run']['id']}/events"


def chunks_of(person: Person, path: str, act: Act, seconds: float = 10) -> list[bytes]:
    """What the stream brings until it ends, ``act`` having happened after the first chunk."""

    async def opened() -> Any:
        response: Any = await AsyncClient().get(path, headers=person.headers())
        assert response.status_code == 200
        return response.streaming_content

    return chunks_from(opened, person, act, seconds)


def chunks_from(opened: Callable[[], Awaitable[Any]], person: Person, act: Act, seconds: float = 10) -> list[bytes]:
    async def read() -> list[bytes]:
        chunks: list[bytes] = []
        stream = await opened()
        async with asyncio.timeout(seconds), aclosing(stream) if hasattr(stream, "aclose") else nullcontext():
            async for chunk in stream:
                chunks.append(chunk)
                if len(chunks) == 1:
                    await sync_to_async(act)(person)
        return chunks

    return async_to_sync(read)()


def log_out(person: Person) -> None:
    session = Session.objects.get(user=person.user)
    assert person.delete(f"/api/v1/sessions/{session.public_id}").status_code == 204


def leave_workspace(person: Person) -> None:
    Membership.objects.filter(user=person.user, workspace=person.workspace).delete()


ENDS: dict[str, Act] = {
    "log-out": log_out,
    "deactivation": lambda person: operations.deactivate_user(user_id=person.user.pk),
    "another password": lambda person: operations.set_password(user_id=person.user.pk, password="another one 123"),
    "membership": leave_workspace,
    "expired log-in": lambda person: Session.objects.filter(user=person.user).update(expires_at=timezone.now()),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("kind", ["runs", "documents"])
def test_a_stream_ends_with_the_right_to_read_it(member: Person, kind: str, end: str) -> None:
    path = path_of(kind, member)

    chunks = chunks_of(member, path, ENDS[end])

    assert chunks[-1] == sse.ACCESS_ENDED
    if end != "expired log-in":  # Here its access token outlives it; by the clock it could not.
        assert member.get(path).status_code in (401, 404)


@pytest.mark.parametrize("end", ["log-out", "membership"])
def test_the_response_to_a_question_ends_with_the_right_to_read_it(member: Person, end: str) -> None:
    run = member.get(path_of("runs", member).removesuffix("/events")).json()
    body = {"input": "And you?", "when_busy": "queue"}
    asked: Any = member.client.post(
        f"/api/v1/conversations/{run['conversation']}/runs",
        body,
        content_type="application/json",
        headers=member.headers(Accept="text/event-stream"),
        **{CONTINUES: True},  # type: ignore[arg-type]  # A member of the environment.
    )
    assert asked.status_code == 200

    async def opened() -> Any:
        return asked.continuation

    chunks = chunks_from(opened, member, ENDS[end])

    assert b"event: run.queued" in chunks[0]
    assert chunks[-1] == sse.ACCESS_ENDED
    assert Run.objects.filter(status="queued").count() == 2
    assert not client().keys("held:streams:*")


def test_a_stream_ends_with_its_conversation(owner: Person) -> None:
    def delete(person: Person) -> None:
        conversation = person.get("/api/v1/conversations").json()["results"][0]["id"]
        assert person.delete(f"/api/v1/conversations/{conversation}").status_code == 204

    chunks = chunks_of(owner, path_of("runs", owner), delete)

    assert chunks[-1] == sse.ACCESS_ENDED or b"run.cancelled" in chunks[-1]


@pytest.mark.parametrize("kind", ["runs", "documents"])
def test_other_streams_go_on(member: Person, owner: Person, kind: str) -> None:
    """Another log-in of the same person ends, the other member leaves, a role changes: this stream stays."""

    def happens(person: Person) -> None:
        other, _ = operations.start_session(user=person.user, amr=["pwd"])
        operations.revoke_session(session_id=other.pk, reason="logged_out")
        operations.deactivate_user(user_id=owner.user.pk)
        Membership.objects.filter(user=person.user, workspace=person.workspace).update(role="viewer")

    with pytest.raises(TimeoutError):
        chunks_of(member, path_of(kind, member), happens, seconds=1.5)


def test_the_end_of_the_token_does_not_end_the_stream(owner: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    path = path_of("runs", owner)
    monkeypatch.setattr(tokens.AccessToken, "lifetime", timedelta(seconds=2))
    owner.access_token = tokens.issue(Session.objects.get()).access_token

    with pytest.raises(TimeoutError):
        chunks_of(owner, path, lambda person: None, seconds=3)

    assert owner.get("/api/v1/users/me").json()["code"] == "token_expired"
