"""The OpenAPI document: valid, whole, made without a warning, and true in its examples."""

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
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]  # It has no types.
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource

from backend.http.codes import TEXTS
from backend.http.openapi.descriptions import operations as each
from backend.http.openapi.problems import STATUSES

PROBLEM = "application/problem+json"


@cache
def document() -> dict[str, Any]:
    response = Client().get("/api/schema")
    assert response["Content-Type"] == "application/json"
    found: dict[str, Any] = json.loads(response.content)
    return found


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    return each(document())


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    """What a reference refers to."""
    while "$ref" in part:
        found: Any = document()
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        part = found
    return part


@cache
def registry() -> Any:
    whole = Resource.from_contents({**document(), "$schema": "https://json-schema.org/draft/2020-12/schema"})
    return Registry().with_resource("urn:document", whole)


def errors_of(schema: dict[str, Any], value: object) -> list[str]:
    """What is wrong with a value by a schema of the document."""
    absolute = json.loads(json.dumps(schema).replace('"#/components', '"urn:document#/components'))
    validator = Draft202012Validator(absolute, registry=registry(), format_checker=FormatChecker())
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


def test_it_is_valid() -> None:
    assert [str(error) for error in OpenAPIV31SpecValidator(document()).iter_errors()] == []


def test_drf_spectacular_guessed_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    GENERATOR_STATS.reset()
    call_command("spectacular", "--fail-on-warn", "--file=/dev/null")
    assert "Warning" not in capsys.readouterr().err


def test_every_operation_declares_its_errors() -> None:
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


def test_every_operation_has_a_summary_a_description_and_a_tag_that_is_described() -> None:
    tags = {tag["name"]: tag["description"] for tag in document()["tags"]}
    ids = [operation["operationId"] for _, _, operation in operations()]
    assert len(ids) == len(set(ids)) > 80
    for _, _, operation in operations():
        name, summary, description = operation["operationId"], operation["summary"], operation["description"]
        assert 5 < len(summary) <= 60, name
        assert not summary.endswith("."), name
        assert description.endswith("."), name
        assert description.rstrip(".") != summary, name
        assert all(len(tags[tag]) > 10 for tag in operation["tags"]), name


def test_every_example_is_valid_and_every_error_has_one_of_each_code() -> None:
    seen = set()
    for _, _, operation in operations():
        name = operation["operationId"]
        bodies = [("request", operation.get("requestBody", {}))]
        bodies += [(status, resolved(answer)) for status, answer in operation["responses"].items()]
        for where, body in bodies:
            for kind, content in body.get("content", {}).items():
                examples = {code: resolved(example)["value"] for code, example in content.get("examples", {}).items()}
                if "example" in content:
                    examples[""] = content["example"]
                assert examples or "json" not in kind, (name, where)
                for code, value in examples.items():
                    assert errors_of(content["schema"], value) == [], (name, where, code)
                    if kind == PROBLEM:
                        assert value["code"] == code, (name, where)
                        assert where in (str(value["status"]), "default"), (name, where, code)
                        assert value["title"] == TEXTS[code][0]
                        seen.add(code)
    # What is left is answered outside of the contract: cookies and CSRF belong to /admin/.
    assert seen == STATUSES.keys() - {"not_acceptable", "internal_error"}


def test_every_response_declares_its_headers() -> None:
    for _, _, operation in operations():
        named = {parameter["name"] for parameter in map(resolved, operation["parameters"])}
        assert {"X-Request-ID", "Accept-Language"} <= named
        for status, answer in operation["responses"].items():
            headers = resolved(answer)["headers"]
            assert "X-Request-ID" in headers
            assert ("Retry-After" in headers) == (status == "429"), operation["operationId"]
            assert ("WWW-Authenticate" in headers) == (status == "401"), operation["operationId"]
            for header in headers.values():
                Draft202012Validator.check_schema(resolved(header)["schema"])
    assert "Location" in operation_of("conversations_runs_create")["responses"]["202"]["headers"]
    assert "RateLimit" in operation_of("auth_login_post")["responses"]["200"]["headers"]


def operation_of(name: str) -> dict[str, Any]:
    return next(operation for _, _, operation in operations() if operation["operationId"] == name)


def test_the_workspace_and_the_idempotency_key_are_declared_where_they_have_an_effect() -> None:
    def takes(name: str, header: str) -> bool:
        return header in {resolved(parameter)["name"] for parameter in operation_of(name)["parameters"]}

    assert takes("documents_list", "Orquestra-Workspace")
    assert takes("runs_events", "Orquestra-Workspace")
    assert not takes("users_me_retrieve", "Orquestra-Workspace")
    assert not takes("auth_session_get", "Orquestra-Workspace")
    assert takes("conversations_runs_create", "Idempotency-Key")
    assert not takes("search", "Idempotency-Key")
    assert not takes("auth_signup_post", "Idempotency-Key")
    assert not takes("documents_list", "Idempotency-Key")


def test_the_document_declares_bearer_tokens_and_no_api_keys() -> None:
    assert document()["components"]["securitySchemes"].keys() == {"bearer"}
    assert document()["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    assert "orq_" not in json.dumps(document())


def test_ids_in_paths_have_the_prefix_of_their_object() -> None:
    prefixes = {}
    for path, _, operation in operations():
        for parameter in map(resolved, operation["parameters"]):
            assert parameter["schema"].get("format") != "uuid", (path, parameter["name"])
            if parameter["in"] == "path" and parameter["name"] != "page":
                prefixes[path, parameter["name"]] = parameter["schema"]["pattern"]
    assert prefixes["/api/v1/runs/{id}", "id"] == "^run_[0-7][0-9a-hjkmnp-tv-z]{25}$"
    assert prefixes["/api/v1/runs/{id}/events", "id"].startswith("^run_")
    assert prefixes["/api/v1/documents/{id}/chunks/{chunk}", "chunk"].startswith("^chk_")
    assert prefixes["/api/v1/conversations/{conversation}/messages", "conversation"].startswith("^cnv_")
    assert all(re.match(r"\^[a-z]{3}_", pattern) for pattern in prefixes.values())


@pytest.mark.parametrize("union", ["RunEvent", "DocumentEvent"])
def test_every_event_of_a_stream_is_typed_before_and_after_its_data_is_parsed(union: str) -> None:
    schemas = document()["components"]["schemas"]
    mapping = schemas[union]["discriminator"]["mapping"]
    assert [entry["$ref"] for entry in schemas[union]["oneOf"]] == list(mapping.values())
    stream = operation_of("runs_events" if union == "RunEvent" else "documents_events")["responses"]["200"]
    frames = stream["content"]["text/event-stream"]["schema"]["oneOf"]
    assert [frame["properties"]["event"]["const"] for frame in frames] == list(mapping)
    for frame, (name, reference) in zip(frames, mapping.items(), strict=True):
        event = resolved({"$ref": reference})
        assert event["properties"]["event"] == {"type": "string", "const": name}
        assert frame["properties"]["data"]["contentSchema"] == event["properties"]["data"]


@pytest.mark.parametrize("name", ["conversations_create", "conversations_runs_create", "runs_retry_create"])
def test_what_starts_a_run_responds_with_it_or_with_its_events(name: str) -> None:
    responses = operation_of(name)["responses"]
    streamed, plain = responses["200"], responses["201" if name == "conversations_create" else "202"]
    assert list(streamed["content"]) == ["text/event-stream"]
    stream = operation_of("runs_events")["responses"]["200"]
    assert streamed["content"]["text/event-stream"] == stream["content"]["text/event-stream"]
    assert set(streamed["headers"]) == {*plain["headers"], "Orquestra-Run"}
    assert "event stream" in operation_of(name)["description"]


def test_a_conversation_that_begins_with_a_question_shows_the_run_that_answers() -> None:
    content = operation_of("conversations_create")["responses"]["201"]["content"]["application/json"]
    begun, example = resolved(content["schema"]), content["example"]
    assert begun["properties"]["run"]["allOf"] == [{"$ref": "#/components/schemas/Run"}]
    assert "run" not in begun["required"]
    assert example["active_run"] == example["run"]["id"]
    assert errors_of(content["schema"], {**example, "run": {}}) != []


def test_public_operations_and_the_server_are_declared() -> None:
    public = {path for path, _, operation in operations() if operation["security"] == []}
    assert {"/api/v1/tokens/refresh", "/api/v1/auth/login", "/api/v1/auth/signup"} <= public
    assert not {"/api/v1/users/me", "/api/v1/documents"} & public
    assert document()["servers"][0]["url"] == "/"


EXPLAINED = ("Box", "CitationBox", "SearchRequest", "SearchResult", "KnowledgeRequest", "Failure", "DocumentError")


def test_members_without_an_obvious_meaning_are_described() -> None:
    schemas = document()["components"]["schemas"]
    for name in (*EXPLAINED, "LimitsRequest", "UploadRequest", "Readiness", "RunRequest"):
        for member, schema in schemas[name]["properties"].items():
            assert schema.get("description"), (name, member)
    for name in ("KnowledgeRequest", "SearchRequest"):
        assert "embedding" in schemas[name]["properties"]["mode"]["description"]
    output = schemas["RunToolResultEvent"]["properties"]["data"]["properties"]["output"]
    assert {"passages", "documents_searched", "degraded"} <= output["properties"].keys()


def test_an_upload_is_bytes_of_a_format_that_is_named() -> None:
    content = operation_of("documents_create")["requestBody"]["content"]["multipart/form-data"]
    assert content["example"]["file"].startswith("%PDF-")
    assert resolved(content["schema"])["properties"]["file"]["format"] == "binary"
    refusal = operation_of("documents_create")["responses"]["415"]["content"][PROBLEM]["examples"]["unsupported_file"]
    assert "DOCX" in resolved(refusal)["value"]["detail"]


def parts_of(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
    if isinstance(schema, dict | list):
        for inner in schema.values() if isinstance(schema, dict) else schema:
            yield from parts_of(inner)


def test_generators_of_clients_find_neither_a_catch_all_nor_an_array_of_itself() -> None:
    """Types of TypeScript refer to themselves within objects only, and an index signature takes misspelt members."""
    for name, component in document()["components"]["schemas"].items():
        for part in parts_of(component):
            assert "patternProperties" not in part, name
            assert {"$ref": f"#/components/schemas/{name}"} != part.get("items"), name
    for _, _, operation in operations():
        for content in operation.get("requestBody", {}).get("content", {}).values():
            body = resolved(content["schema"])
            assert not body.get("additionalProperties"), operation["operationId"]
    document_change = {"$ref": "#/components/schemas/PatchedDocumentChangeRequest"}
    assert errors_of(document_change, {"metadata": {"a": [[{"b": None}]]}}) == []
    assert errors_of(document_change, {"metadata": {"a": [["\x00"]]}}) != []
    agent = {"$ref": "#/components/schemas/AgentRequest"}
    assert errors_of(agent, {"name": "Reader", "variables": {}, "output_schema": None}) == []
    assert errors_of(agent, {"name": "Reader", "variables": {"a": 1}}) != []


def test_json_bodies_take_no_unknown_members() -> None:
    """But those of allauth's routes, which ignore them."""
    for path, _, operation in operations():
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if content is not None and not path.startswith(("/api/v1/auth/", "/api/v1/account/")):
            bodies = resolved(content["schema"]).get("oneOf", [content["schema"]])
            assert any(resolved(body).get("additionalProperties") is False for body in bodies), path


def patterns(resolver: URLResolver | None = None, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for entry in (resolver or get_resolver()).url_patterns:
        if isinstance(entry, URLResolver):
            yield from patterns(entry, prefix + str(entry.pattern))
        else:
            yield prefix + str(entry.pattern), entry


def test_every_route_of_rest_framework_is_in_the_document() -> None:
    described = {re.sub(r"\{[^}]*\}", "{}", path) for path in document()["paths"]}
    for route, pattern in patterns():
        view = getattr(pattern.callback, "cls", None)
        if view is None or not route.startswith("api/v1"):
            continue
        path = "/" + re.sub(r"<[^>]*>", "{}", route)
        if getattr(view, "schema", None) is not None and "(?P" not in path:
            assert path in described, route
