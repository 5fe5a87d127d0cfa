"""No request, however bad, gets a 500 or a page: every operation of the contract, with whatever a client could send."""

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import Resolver404, resolve

from backend.http.ids import encode, new_id
from backend.http.schema import document
from tests.actors import Person

NUL, LONG, HALF = "\0", "x" * 100_000, "\ud800"
IDS = ["x", "%00", "%ff", "a" * 3000, "..", "-1", "9" * 40, "doc_00000000000000000000000000"]
QUERIES = [
    "limit=-1",
    "limit=%00",
    "cursor=%00",
    "cursor=cD0lMDA%3D",
    "page=99999999999999999999",
    "q=%00",
    "q=%ff",
    "q=" + "a" * 5000,
    "status=%00&status=x",
    "kind=%00",
    "collection=%00&agent=%00&reference=%00&content_type=%00&tag=%00",
    "from=9999999999999-99-99&to=%00",
    "from=-1&to=0001-01-01T00:00:00Z",
    "group_by=%00",
    "archived=maybe",
    "branch=%00",
    "after=%00",
    "ordering=password",
    "format=html",
    "lang=../../etc",
]
VALUES: list[Any] = [
    None,
    "",
    True,
    -1,
    0,
    1.5,
    2**63 - 1,
    "ação 😀",
    "a" * 20_000,
    [],
    {},
    [[]],
    [None],
    {"a": {"b": [1]}},
]
BODIES = [b"", b"{", b"null", b"[]", b'"x"', b"1", b"\xff", b'{"a": NaN}', b"[" * 3000, b'{"": ""}']
KINDS = ["application/json", "text/plain", "multipart/form-data", "application/x-www-form-urlencoded", "x", ""]
METHODS = {"get", "put", "post", "patch", "delete"}
ENDING_THE_LOG_IN = {(f"/api/v1/{path}", "delete") for path in ("auth/session", "sessions", "users/me")}

pytestmark = pytest.mark.django_db


@cache
def contract() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(document())
    return found


def operations() -> list[tuple[str, str]]:
    return sorted((path, method) for path, item in contract()["paths"].items() for method in METHODS & item.keys())


def fields(path: str, method: str) -> list[str]:
    """The names of the operation's own body."""
    operation: dict[str, Any] = contract()["paths"][path][method]
    schema: dict[str, Any] = {}
    for content in operation.get("requestBody", {}).get("content", {}).values():
        schema = content.get("schema", {})
    if "$ref" in schema:
        schema = contract()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return sorted(schema.get("properties", {}))


def bodies(path: str, method: str) -> Iterator[bytes]:
    yield from BODIES
    names = fields(path, method)
    for value in VALUES:
        yield json.dumps(dict.fromkeys(names, value)).encode()
    for name in names:
        for bad in (NUL, HALF, LONG, 10**30):
            yield json.dumps({name: bad}).encode()


def fill(path: str, id: str) -> str:
    return re.sub(r"\{[^}]*\}", id, path.replace("{page}", "1"))


def examine(response: Any, what: object) -> None:
    assert response.status_code < 500 or response.status_code == 503, (what, response.content[:500])
    if response.status_code >= 400:
        assert response["Content-Type"] == "application/problem+json", (what, response.content[:500])
        problem = response.json()
        assert problem["status"] == response.status_code, what
        assert problem["code"], what
        assert problem["request_id"] == response["X-Request-ID"], what
    elif not getattr(response, "streaming", False):
        assert "html" not in response.headers.get("Content-Type", ""), what


@pytest.fixture(autouse=True)
def without_limit(settings: Any) -> None:
    settings.AUTH_RATE_LIMIT = "off"


@pytest.fixture
def anonymous() -> Client:
    return Client(raise_request_exception=False)


@pytest.mark.parametrize(("path", "method"), operations())
def test_no_anonymous_request_gets_a_page_or_a_500(anonymous: Client, path: str, method: str) -> None:
    address = fill(path, encode("doc", new_id()))
    for kind in KINDS:
        examine(anonymous.generic(method.upper(), address, b"{}", content_type=kind), (method, path, kind))
    for token in (
        "",
        "Bearer",
        "Bearer x",
        "Bearer a.b.c",
        "Bearer \xff",
        "Basic x",
        "Bearer orq_x",
        "Bearer " + "a" * 9000,
    ):
        response = anonymous.generic(
            method.upper(), address, b"{}", "application/json", headers={"Authorization": token}
        )
        examine(response, (method, path, token))
        if contract()["paths"][path][method].get("security") and any(contract()["paths"][path][method]["security"]):
            assert response.status_code == 401, (method, path, token)


@pytest.mark.parametrize(
    ("path", "method"), [operation for operation in operations() if operation not in ENDING_THE_LOG_IN]
)
def test_no_id_or_parameter_gets_a_page_or_a_500(owner: Person, path: str, method: str) -> None:
    for id in [*IDS, encode("doc", new_id()), encode("run", new_id())] if "{" in path else []:
        address = fill(path, id)
        response = owner.client.generic(method.upper(), address, b"{}", "application/json", headers=owner.headers())
        examine(response, (method, address[:200]))
        if resolved(address):
            assert response.status_code in (400, 404, 405, 413, 415, 422), (
                method,
                address[:200],
                response.content[:300],
            )
    for query in QUERIES if method == "get" else QUERIES[:1]:
        address = f"{fill(path, encode('doc', new_id()))}?{query}"
        response = owner.client.generic(method.upper(), address, b"{}", "application/json", headers=owner.headers())
        examine(response, (method, address[:200]))


def resolved(address: str) -> bool:
    try:
        resolve(address)
    except Resolver404:
        return False
    return True


@pytest.mark.parametrize(
    ("path", "method"), [operation for operation in operations() if operation[1] in ("post", "put", "patch")]
)
def test_no_body_gets_a_page_or_a_500(owner: Person, path: str, method: str) -> None:
    address = fill(path, encode("doc", new_id()))
    for body in bodies(path, method):
        response = owner.client.generic(method.upper(), address, body, "application/json", headers=owner.headers())
        examine(response, (method, path, body[:200]))
    for kind in KINDS:
        response = owner.client.generic(method.upper(), address, b"\xff\0{", kind, headers=owner.headers())
        examine(response, (method, path, kind))


@pytest.fixture
def world(owner: Person) -> dict[str, str]:
    """One of each that the owner has, by the name that routes give it."""
    file = SimpleUploadedFile("guide.md", b"# Guide\n\nCats sleep.", "text/markdown")
    ids = {
        "agents": owner.post("/api/v1/agents", {"name": "One", "model": "offline"}).json()["id"],
        "collections": owner.post("/api/v1/collections", {"name": "One"}).json()["id"],
        "documents": owner.upload("/api/v1/documents", {"file": file}).json()["id"],
        "workspaces": owner.workspace.public_id,
    }
    ids["conversations"] = owner.post("/api/v1/conversations", {"agent": ids["agents"]}).json()["id"]
    run = owner.post(f"/api/v1/conversations/{ids['conversations']}/runs", {"input": "Do cats sleep?"}).json()
    messages = owner.get(f"/api/v1/conversations/{ids['conversations']}/messages").json()["results"]
    return ids | {"runs": run["id"], "messages": messages[-1]["id"]}


def test_no_body_gets_a_page_or_a_500_where_there_is_something(owner: Person, world: dict[str, str]) -> None:
    seen = 0
    for path, method in operations():
        subject = path.split("/")[3]
        if "{" not in path or subject not in world or method not in ("post", "put", "patch"):
            continue
        address = fill(path.replace("{id}", world[subject], 1), world["documents"])
        for body in bodies(path, method):
            response = owner.client.generic(method.upper(), address, body, "application/json", headers=owner.headers())
            examine(response, (method, path, body[:200]))
            seen += 1
    assert seen > 100


@pytest.mark.parametrize(
    "header",
    [
        {"Orquestra-Workspace": "x"},
        {"Orquestra-Workspace": "wsp_\0"},
        {"Orquestra-Workspace": "w" * 5000},
        {"Orquestra-Workspace": encode("wsp", new_id())},
        {"Idempotency-Key": ""},
        {"Idempotency-Key": "k" * 300},
        {"Idempotency-Key": "\xff\xfe"},
        {"Accept-Language": "\xff" * 600},
        {"Accept": "text/html"},
        {"Accept": "/;;q=x"},
        {"Last-Event-ID": "\xff"},
        {"If-None-Match": "\xff"},
        {"Range": "bytes=9-1"},
        {"Cookie": "sessionid=\xff; csrftoken=\0; django_language=../x"},
        {"X-Session-Token": "\xff"},
    ],
)
def test_no_header_gets_a_page_or_a_500(owner: Person, header: dict[str, str]) -> None:
    for path, method in operations():
        if method == "delete":
            continue
        address = fill(path, encode("doc", new_id()))
        headers = {**owner.headers(), **header}
        examine(
            owner.client.generic(method.upper(), address, b"{}", "application/json", headers=headers), (method, path)
        )
