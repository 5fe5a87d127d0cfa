"""A client of the REST API written against its contract alone: HTTP in, JSON and events out, none of our code."""

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import httpx2

ENDINGS = {"run.completed", "run.failed", "run.cancelled"}
SETTLED = {"ready", "failed", "cancelled"}


@dataclass
class Event:
    """One frame of an event stream."""

    id: str
    event: str
    data: dict[str, Any]


@dataclass
class ApiClient:
    """A user who is logged in. Paths are relative to the base URL; every answer of 400 or more is an AssertionError."""

    http: httpx2.Client
    email: str
    tokens: dict[str, str] = field(default_factory=dict)

    @classmethod
    def sign_up(cls, base_url: str, *, password: str = "a long enough pass phrase") -> Self:
        http = httpx2.Client(base_url=base_url, timeout=30)
        person = cls(http, f"{uuid.uuid4().hex}@example.com")
        meta = person.call("POST", "/api/v1/auth/signup", {"email": person.email, "password": password})["meta"]
        person.tokens = {"access": meta["access_token"], "refresh": meta["refresh_token"]}
        http.headers["Authorization"] = f"Bearer {meta['access_token']}"
        return person

    def close(self) -> None:
        self.http.close()

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        response = self.http.request(method, path, json=body, headers=headers)
        assert response.status_code < 400, f"{method} {path}: {response.status_code} {response.text}"
        return response.json() if response.content else None

    def upload(self, name: str, content: bytes, *, wait: bool = True, **fields: str) -> dict[str, Any]:
        """Upload a document and, unless told otherwise, wait until it is ready or has failed."""
        response = self.http.post("/api/v1/documents", files={"file": (name, content)}, data=fields)
        assert response.status_code in (200, 201), response.text
        document: dict[str, Any] = response.json()
        deadline = time.monotonic() + 60
        while wait and document["status"] not in SETTLED:
            assert time.monotonic() < deadline, document
            time.sleep(0.1)
            document = self.call("GET", f"/api/v1/documents/{document['id']}")
        return document

    def agent(self, *documents: str, model: str = "offline", **fields: Any) -> dict[str, Any]:
        knowledge = [{"document": document} for document in documents]
        agent: dict[str, Any] = self.call(
            "POST", "/api/v1/agents", {"name": "Reader", "model": model, "knowledge": knowledge, **fields}
        )
        return agent

    def start(self, agent: str, text: str, *, conversation: str | None = None, **fields: Any) -> dict[str, Any]:
        """Ask in a conversation (a new one, unless named) and return the run."""
        if conversation is None:
            conversation = self.call("POST", "/api/v1/conversations", {"agent": agent})["id"]
        run: dict[str, Any] = self.call("POST", f"/api/v1/conversations/{conversation}/runs", {"input": text, **fields})
        return {"conversation": conversation, **run}

    @contextmanager
    def stream(self, path: str, *, after: str | None = None) -> Iterator[Iterator[Event]]:
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": after} if after else {})}
        with self.http.stream("GET", path, headers=headers, timeout=30) as response:
            assert response.status_code == 200, response.read()
            assert response.headers["content-type"].startswith("text/event-stream")
            yield frames(response.iter_lines())

    @contextmanager
    def asking(self, path: str, body: dict[str, Any], **headers: str) -> Iterator[tuple[str, Iterator[Event]]]:
        """POST what starts a run: its id, and its events as they come in the same response."""
        headers = {"Accept": "text/event-stream", **headers}
        with self.http.stream("POST", path, json=body, headers=headers, timeout=30) as response:
            assert response.status_code == 200, response.read()
            assert response.headers["content-type"] == "text/event-stream"
            yield response.headers["orquestra-run"], frames(response.iter_lines())

    def events(self, run: str, *, after: str | None = None) -> list[Event]:
        """Every event of a run until it has ended."""
        with self.stream(f"/api/v1/runs/{run}/events", after=after) as events:
            return list(events)

    def ask(self, agent: str, text: str, **fields: Any) -> tuple[dict[str, Any], dict[str, Any], list[Event]]:
        """Ask and wait for the end: the run, the answer as the API keeps it, and the events."""
        run = self.start(agent, text, **fields)
        events = self.events(run["id"])
        messages = self.call("GET", f"/api/v1/conversations/{run['conversation']}/messages")["results"]
        answers = [message for message in messages if message["role"] == "assistant"]
        answer = max(answers, key=lambda message: message["id"])
        return {**run, **self.call("GET", f"/api/v1/runs/{run['id']}")}, answer, events


def frames(lines: Iterator[str]) -> Iterator[Event]:
    """Parse an event stream (WHATWG HTML, 9.2.6)."""
    current: dict[str, str] = {}
    for line in lines:
        if not line:
            if "data" in current:
                yield Event(current.get("id", ""), current.get("event", "message"), json.loads(current["data"]))
            current = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            current[name] = f"{current[name]}\n{value}" if name == "data" and "data" in current else value


def text_of(message: dict[str, Any]) -> str:
    """The text parts of a message, joined."""
    return "".join(part.get("text", "") for part in message["parts"] if part.get("type", "text") == "text")


def deltas(events: list[Event]) -> str:
    return "".join(event.data["delta"] for event in events if event.event == "text.delta")
