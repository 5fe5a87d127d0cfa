"""Adds to every operation what no view repeats: headers and error responses. A postprocessing hook."""

from typing import Any

from django.http import HttpRequest
from drf_spectacular.generators import SchemaGenerator

from backend.http.openapi import examples, headers, problems
from backend.http.openapi.descriptions import Schema, operations
from backend.http.openapi.fields import JSON_OBJECT, JSON_VALUE

# Extensions that other modules set for this one, which removes them.
NOTES = ("x-workspace", "x-idempotent", "x-errors", "x-headers", "x-rate-limited")


def add_conventions(result: Schema, generator: SchemaGenerator, request: HttpRequest | None, public: bool) -> Schema:
    components: Schema = result.setdefault("components", {})
    components.setdefault("schemas", {}).update(JsonValue=JSON_VALUE, JsonObject=JSON_OBJECT)
    headers.add_components(components)
    problems.add_components(components)
    for path, method, operation in operations(result):
        operation.setdefault("parameters", [])
        if not _secured(operation):
            operation["security"] = []
        operation["parameters"] += [
            {"$ref": f"#/components/parameters/{name}"} for name in _parameters(operation, secured=_secured(operation))
        ]
        _add_responses(path, method, operation, components)
    examples.add(result)
    for _, _, operation in operations(result):
        for note in NOTES:
            operation.pop(note, None)
    result["paths"] = dict(sorted(result["paths"].items()))
    return result


def _secured(operation: Schema) -> bool:
    return any(operation.get("security") or ())


def _parameters(operation: Schema, *, secured: bool) -> list[str]:
    names = ["Workspace"] if secured and operation.get("x-workspace") else []
    if operation.get("x-idempotent"):
        names.append("IdempotencyKey")
    return [*names, "RequestId", "Language"]


def _add_responses(path: str, method: str, operation: Schema, components: Schema) -> None:
    responses: dict[str, Any] = operation["responses"]
    resolved = [parameter for parameter in operation["parameters"] if "in" in parameter]
    for status, response in problems.responses_of(path, method, {**operation, "parameters": resolved}):
        responses.setdefault(status, response)
    for status, response in responses.items():
        if "$ref" not in response:
            for name in headers.of_response(status, operation):
                response.setdefault("headers", {})[name] = headers.reference(name)
    default = components["responses"]["ProblemDefault"]
    default["headers"] = {"X-Request-ID": headers.reference("X-Request-ID")}
    operation["responses"] = dict(sorted(responses.items()))
