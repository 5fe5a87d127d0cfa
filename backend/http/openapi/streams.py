"""Event streams in the OpenAPI document: asynchronous views that drf-spectacular does not know.

OpenAPI 3.1 cannot describe the items of a stream, so the schema of ``text/event-stream`` describes one event, as
schemathesis and others read it: ``id``, ``event`` and ``data``, whose text is JSON of ``contentSchema``. For clients
there is also a component for each event after its ``data`` was parsed, and a union of them with ``event`` as its
discriminator: ``RunEvent`` and ``DocumentEvent``.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.urls import URLPattern, URLResolver, get_resolver
from drf_spectacular.generators import SchemaGenerator

from backend.http.openapi.operations import id_schema

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Events:
    """The events of a stream.

    :ivar union: the name of the component for any of them, such as ``RunEvent``.
    :ivar prefix: the prefix of the id in the path.
    :ivar payloads: by name of the event, its meaning and the schema of its ``data``.
    :ivar id_pattern: the pattern of the ids of events.
    :ivar resumable: whether a reader can continue after ``Last-Event-ID``.
    """

    union: str
    prefix: str
    payloads: Mapping[str, tuple[str, Schema]]
    id_pattern: str
    resumable: bool = True

    def component(self, name: str) -> str:
        """The component's name of one event, such as ``RunTextDeltaEvent`` for ``text.delta``."""
        subject = self.union.removesuffix("Event")
        words = name.removeprefix(f"{subject.lower()}.").replace(".", "_").split("_")
        return subject + "".join(word.title() for word in words) + "Event"


def streams(events: Events) -> Callable[[Any], Any]:
    """A decorator for the view of a stream."""

    def mark(view: Any) -> Any:
        view.events = events
        return view

    return mark


def add_streams(result: Schema, generator: SchemaGenerator, request: HttpRequest | None, public: bool) -> Schema:
    """A postprocessing hook of drf-spectacular."""
    for route, callback in _views(generator.patterns or get_resolver().url_patterns):
        events: Events | None = getattr(callback, "events", None)
        if events is not None and iscoroutinefunction(callback):
            path = "/" + re.sub(r"<(?:\w+:)?\w+>", "{id}", route)
            result["paths"][path] = {"get": _operation(path, events)}
            result["components"]["schemas"].update(_components(events))
    return result


def _views(patterns: Iterable[URLPattern | URLResolver], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for entry in patterns:
        if isinstance(entry, URLResolver):
            yield from _views(entry.url_patterns, prefix + str(entry.pattern))
        else:
            yield prefix + str(entry.pattern), entry.callback


def _operation(path: str, events: Events) -> Schema:
    subject = path.split("/")[3]
    resume = "The `id` of the last event that was read; the stream goes on after it. Another text means the start."
    parameters = [{"in": "path", "name": "id", "required": True, "schema": id_schema(events.prefix)}]
    if events.resumable:
        parameters += [
            {"in": "header", "name": "Last-Event-ID", "description": resume, "schema": {"type": "string"}},
            {"in": "query", "name": "after", "description": resume, "schema": {"type": "string"}},
        ]
    return {
        "operationId": f"{subject}_events",
        "tags": [subject],
        "security": [{"bearer": []}],
        "parameters": parameters,
        "responses": {"200": response_of(events)},
        "x-workspace": True,
    }


def response_of(events: Events, note: str = "") -> Schema:
    """The response with the stream. ``note``: when an operation that also has another response streams."""
    text = f"Server-sent events, a comment every 15 seconds. With `data` parsed, each is one of `{events.union}`."
    return {
        "description": f"{note} {text}".strip(),
        "content": {
            "text/event-stream": {
                "schema": {"oneOf": [_frame(events, name) for name in events.payloads]},
                "x-event-schema": {"$ref": f"#/components/schemas/{events.union}"},
            }
        },
    }


def _frame(events: Events, name: str) -> Schema:
    """The schema of one event as it is sent."""
    meaning, payload = events.payloads[name]
    return {
        "type": "object",
        "description": meaning,
        "required": ["id", "event", "data"],
        "properties": {
            "id": {"type": "string", "pattern": events.id_pattern},
            "event": {"type": "string", "const": name},
            "data": {"type": "string", "contentMediaType": "application/json", "contentSchema": payload},
        },
    }


def _components(events: Events) -> Schema:
    """One component for each event with its ``data`` parsed, and their union."""
    references = {name: f"#/components/schemas/{events.component(name)}" for name in events.payloads}
    made: Schema = {
        events.component(name): {
            "type": "object",
            "description": meaning,
            "required": ["id", "event", "data"],
            "properties": {
                "id": {"type": "string", "pattern": events.id_pattern},
                "event": {"type": "string", "const": name},
                "data": payload,
            },
        }
        for name, (meaning, payload) in events.payloads.items()
    }
    made[events.union] = {
        "description": "An event of the stream after its `data` was parsed; `event` says which one.",
        "oneOf": [{"$ref": reference} for reference in references.values()],
        "discriminator": {"propertyName": "event", "mapping": references},
    }
    return made
