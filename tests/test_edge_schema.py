"""The OpenAPI document: valid, whole, and made without a warning."""

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from drf_spectacular.drainage import GENERATOR_STATS
from openapi_spec_validator import OpenAPIV30SpecValidator

METHODS = {"get", "put", "post", "patch", "delete"}


@cache
def document() -> dict[str, Any]:
    response = Client().get("/api/schema")
    assert response["Content-Type"] == "application/json"
    found: dict[str, Any] = json.loads(response.content)
    return found


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document()["paths"].items():
        for method in METHODS & item.keys():
            yield path, method, item[method]


def test_it_is_valid() -> None:
    assert [str(error) for error in OpenAPIV30SpecValidator(document()).iter_errors()] == []


def test_nothing_in_it_was_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    GENERATOR_STATS.reset()
    call_command("spectacular", "--validate", "--fail-on-warn", "--file=/dev/null")
    assert "Warning" not in capsys.readouterr().err


def test_every_operation_says_how_it_refuses() -> None:
    seen = 0
    for path, method, operation in operations():
        answers = operation["responses"]
        assert answers["default"] == {"$ref": "#/components/responses/ProblemDefault"}, (path, method)
        if operation.get("security") and any(operation["security"]):
            assert "401" in answers, (path, method)
        if "{" in path:
            assert "404" in answers, (path, method)
        if "requestBody" in operation:
            assert "422" in answers, (path, method)
        seen += 1
    assert seen > 10


def test_it_knows_how_to_log_in() -> None:
    assert document()["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


def test_public_ids_are_no_uuids() -> None:
    for path, method, operation in operations():
        for parameter in operation.get("parameters", []):
            assert parameter["schema"].get("format") != "uuid", (path, method, parameter["name"])


def patterns(resolver: URLResolver | None = None, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for entry in (resolver or get_resolver()).url_patterns:
        if isinstance(entry, URLResolver):
            yield from patterns(entry, prefix + str(entry.pattern))
        else:
            yield prefix + str(entry.pattern), entry


def test_every_route_of_rest_framework_stands_in_it() -> None:
    described = {re.sub(r"\{[^}]*\}", "{}", path) for path in document()["paths"]}
    for route, pattern in patterns():
        view = getattr(pattern.callback, "cls", None)
        if view is None or not route.startswith("api/v1"):
            continue
        path = "/" + re.sub(r"<[^>]*>", "{}", route)
        if getattr(view, "schema", None) is not None and "(?P" not in path:
            assert path in described, route
