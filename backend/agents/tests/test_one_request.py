"""POSTs that start a run and respond with its events: what they negotiate, refuse, count and replay."""

from typing import Any

import pytest
from pytest_django import Settings

from backend.agents.models import Run
from backend.db.redis import client
from backend.server.scope import CONTINUES
from tests.actors import Person

STREAM = "text/event-stream"


def ask(
    person: Person,
    path: str,
    body: dict[str, Any] | None = None,
    *,
    accept: str = STREAM,
    loop: bool = True,
    **more: str,
) -> Any:
    """POST as a server with an event loop passes it on, or one without."""
    headers = person.headers(Accept=accept, **more)
    extra: dict[str, Any] = {CONTINUES: True} if loop else {}
    body = {"input": "How are you?", "when_busy": "queue"} if body is None else body
    return person.client.post(path, body, content_type="application/json", headers=headers, **extra)


def runs_of(conversation: dict[str, Any]) -> str:
    return f"/api/v1/conversations/{conversation['id']}/runs"


def places_taken() -> int:
    return sum(int(client().zcard(key)) for key in client().keys("held:streams:*"))


def test_accept_decides_between_the_run_and_its_events(owner: Person, conversation: dict[str, Any]) -> None:
    expected = {
        STREAM: 200,
        "TEXT/event-stream": 200,
        f"{STREAM}, application/json;q=0.9": 200,
        f"{STREAM}, */*": 200,
        f"{STREAM}; charset=utf-8": 200,
        f"{STREAM};charset=utf-8;q=0.5, application/json;q=0.4": 200,
        f"{STREAM}, application/json;q=-1": 200,
        f"{STREAM};q=1.000, application/json;q=nan": 200,
        "text/*, application/json;q=0.9": 200,
        f"{STREAM}, */*;q=0.1": 200,
        f"application/json;q=0.2, {STREAM};q=0.5": 200,
        "*/*": 202,
        "": 202,
        "application/json": 202,
        "application/json, text/plain, */*": 202,
        f"application/json, {STREAM};q=0.5": 202,
        f"{STREAM};q=0": 202,
        **{f"{STREAM};q={quality}": 202 for quality in ("-1", "2", "nan", "abc", "0.1234", "")},
        f"{STREAM};q=abc, application/json;q=0.1": 202,
        f"{STREAM};charset=utf-8;q=0.2, application/json;q=0.4": 202,
        f"{STREAM};q=0, */*": 202,
        "image/png": 202,
    }

    answers = {accept: ask(owner, runs_of(conversation), accept=accept) for accept in expected}

    assert {accept: answer.status_code for accept, answer in answers.items()} == expected
    for answer in answers.values():
        run = answer.headers.get("Orquestra-Run") or answer.json()["id"]
        assert answer.headers["Location"] == f"/api/v1/runs/{run}"
        assert ("Orquestra-Run" in answer.headers) == (answer.status_code == 200)
        kind = STREAM if answer.status_code == 200 else "application/json"
        assert answer.headers["Content-Type"] == kind
        assert {"Accept", "Authorization"} <= set(answer.headers["Vary"].split(", "))
        assert answer.headers.get("X-Accel-Buffering") == ("no" if kind == STREAM else None)
        assert "Content-Length" in answer.headers or kind == STREAM


def test_a_server_without_an_event_loop_responds_with_the_run(owner: Person, conversation: dict[str, Any]) -> None:
    answer = ask(owner, runs_of(conversation), loop=False)

    assert (answer.status_code, answer.json()["status"]) == (202, "queued")


def test_a_conversation_streams_the_answer_to_its_first_question(owner: Person, agent: dict[str, Any]) -> None:
    empty = ask(owner, "/api/v1/conversations", {"agent": agent["id"]})
    begun = ask(owner, "/api/v1/conversations", {"agent": agent["id"], "input": "How are you?"})

    assert (empty.status_code, empty.headers["Content-Type"]) == (201, "application/json")
    assert (begun.status_code, begun.headers["Content-Type"]) == (200, STREAM)
    run = owner.get(f"/api/v1/runs/{begun.headers['Orquestra-Run']}").json()
    assert begun.headers["Location"] == f"/api/v1/conversations/{run['conversation']}"
    assert places_taken() == 1  # Of the second: the first one gave its own back.


def test_a_retry_streams(owner: Person, conversation: dict[str, Any]) -> None:
    run = ask(owner, runs_of(conversation), accept="*/*").json()
    assert owner.post(f"/api/v1/runs/{run['id']}/cancel").status_code == 202

    again = ask(owner, f"/api/v1/runs/{run['id']}/retry", {})

    assert (again.status_code, again.headers["Content-Type"]) == (200, STREAM)
    assert owner.get(f"/api/v1/runs/{again.headers['Orquestra-Run']}").json()["retry_of"] == run["id"]


def test_refusals_are_problems_and_take_no_place(
    owner: Person, member: Person, stranger: Person, agent: dict[str, Any], conversation: dict[str, Any]
) -> None:
    member.workspace.memberships.filter(user=member.user).update(role="viewer")
    path = runs_of(conversation)
    assert ask(owner, path, accept="*/*").status_code == 202

    refused = {
        "not_found": (404, ask(stranger, path)),
        "forbidden": (403, ask(member, "/api/v1/conversations", {"agent": agent["id"], "input": "How are you?"})),
        "conversation_busy": (409, ask(owner, path, {"input": "And you?"})),
        "validation_error": (422, ask(owner, path, {})),
        "malformed_body": (400, ask(owner, path, "{")),  # type: ignore[arg-type]  # Sent as it is.
    }

    for code, (status, answer) in refused.items():
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.headers["Content-Type"] == "application/problem+json"
    assert places_taken() == 0
    assert Run.objects.count() == 1


def test_a_user_without_a_place_for_a_stream_starts_no_run(
    owner: Person, member: Person, conversation: dict[str, Any], settings: Settings
) -> None:
    settings.STREAMS_PER_USER = 1
    assert ask(owner, runs_of(conversation)).status_code == 200

    refused = ask(owner, runs_of(conversation))

    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert "Retry-After" in refused.headers
    assert Run.objects.count() == 1
    assert ask(owner, runs_of(conversation), accept="*/*").status_code == 202


@pytest.mark.parametrize("first", [STREAM, "application/json"])
@pytest.mark.parametrize("begins", [False, True])
def test_a_key_names_one_run_whatever_the_response_is(
    owner: Person, agent: dict[str, Any], conversation: dict[str, Any], first: str, begins: bool
) -> None:
    path = "/api/v1/conversations" if begins else runs_of(conversation)
    body = {"agent": agent["id"], "input": "How are you?"} if begins else {"input": "How are you?"}

    answers = [
        ask(owner, path, body, accept=accept, Idempotency_Key="a-key") for accept in (first, STREAM, "application/json")
    ]

    assert Run.objects.count() == 1
    run = Run.objects.get().public_id
    assert [answer.headers.get("Idempotent-Replayed") for answer in answers] == [None, "true", "true"]
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert answers[1].headers["Orquestra-Run"] == run
    assert run in answers[2].content.decode()
    other = ask(owner, path, {**body, "input": "Another question"}, Idempotency_Key="a-key")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize("begins", [False, True])
def test_a_key_of_a_deleted_conversation_streams_nothing(
    owner: Person, agent: dict[str, Any], conversation: dict[str, Any], begins: bool
) -> None:
    path = "/api/v1/conversations" if begins else runs_of(conversation)
    body = {"agent": agent["id"], "input": "How are you?"} if begins else {"input": "How are you?"}
    assert ask(owner, path, body, Idempotency_Key="a-key").status_code == 200
    begun = owner.get("/api/v1/conversations").json()["results"][0]["id"]
    assert owner.delete(f"/api/v1/conversations/{begun}").status_code == 204

    again = [ask(owner, path, body, accept=accept, Idempotency_Key="a-key") for accept in (STREAM, "application/json")]

    assert [answer.status_code for answer in again] == [404, 201 if begins else 202]
