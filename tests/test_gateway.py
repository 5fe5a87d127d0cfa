"""The gateway in front of the four services: which service gets a request, and what nginx refuses itself."""

import json
import re
from collections.abc import Iterator

import httpx2
import pytest
from django.test import Client
from django.urls import Resolver404, resolve

from backend.embedded.gateway import SERVICES
from backend.urls import MODULES, routes
from tests import contract
from tests.contract import EXAMPLES
from tests.gateway import PROTECTION, Nginx, Site, eventually, needs_nginx
from tests.http_client import ApiClient, deltas, text_of
from tests.pages import pdf
from tests.raw_http import JSON, request

pytestmark = [needs_nginx, pytest.mark.timeout(180)]  # The first test starts everything.


@pytest.fixture(scope="module")
def behind(house: Site) -> Nginx:
    """A second nginx, behind a proxy that it trusts."""
    return house.add_nginx("behind", GATEWAY_TRUSTED_PROXY="127.0.0.1/32")


@pytest.fixture(scope="module")
def person(house: Site) -> Iterator[ApiClient]:
    client = ApiClient.sign_up(house.url)
    yield client
    client.close()


# Routes ---------------------------------------------------------------------------------------------------------------


def examples() -> list[str]:
    """A path for every one in the OpenAPI document."""
    return [re.sub(r"\{[^}]*\}", "1", path) for path in Client().get("/api/schema").json()["paths"]]


def owner_of(path: str) -> str:
    """The service whose URL module knows the path, by Django's own resolver."""
    for service in SERVICES:
        module = type("urls", (), {"urlpatterns": routes([service])})
        try:
            found = resolve(path, urlconf=module)  # type: ignore[arg-type]  # A class is as good as a module.
        except Resolver404:
            continue
        if not found.route.startswith(("healthz", "readyz", "metrics", "api/schema", "api/docs")):
            return service
    return "accounts"  # What every process has comes from there.


def test_every_path_of_the_contract_reaches_its_service(house: Site) -> None:
    expected = {path: owner_of(path) for path in examples()}
    expected |= dict.fromkeys(("/", "/admin/", "/api/docs", "/.well-known/jwks.json", "/nothing"), "accounts")
    assert set(expected.values()) == set(SERVICES) == set(MODULES)
    with httpx2.Client(base_url=house.url) as client:
        for path in expected:
            assert client.options(path).status_code < 500, path
    eventually(lambda: expected.keys() <= {line["path"] for line in house.front.lines()})

    reached = {line["path"]: line["service"] for line in house.front.lines()}
    straight = {f"127.0.0.1:{port}": service for service, port in house.ports.items()}
    upstreams = {line["path"]: straight.get(line["upstream"]) for line in house.front.lines()}

    assert {path: reached[path] for path in expected} == expected
    assert {path: upstreams[path] for path in expected} == expected


@pytest.mark.timeout(3600 if EXAMPLES else 600)
def test_the_product_does_what_its_contract_says(house: Site) -> None:
    """All checks of schemathesis; few requests of each operation, the same ones each time."""
    few = ("--max-examples=1", "--seed=1", "--phases=examples,coverage,fuzzing,stateful")
    many = (f"--max-examples={EXAMPLES}",)

    done = contract.run(house.url, *(many if EXAMPLES else few), sample=1 if EXAMPLES else 60)

    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]
    if EXAMPLES:
        print(done.stdout)  # noqa: T201  # With -s: how many there were.


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_only_its_own_routes(house: Site, person: ApiClient, service: str) -> None:
    own = {"accounts": "users/me", "agents": "agents", "documents": "documents", "billing": "billing/balance"}
    with httpx2.Client(base_url=house.straight(service), headers=person.http.headers) as client:
        for name, path in own.items():
            answer = client.get(f"/api/v1/{path}")
            assert answer.status_code == (200 if name == service else 404), path
            assert name == service or answer.json()["code"] == "not_found"
        for path in ("/admin/login/", "/", "/static/console/mark.svg"):
            assert client.get(path).status_code == (200 if service == "accounts" else 404), path
        for path in ("/healthz", "/readyz", "/metrics", "/api/docs"):
            assert client.get(path).status_code == 200, path
        assert client.get("/api/schema").json() == person.call("GET", "/api/schema")


def test_the_main_job_through_the_gateway(person: ApiClient) -> None:
    document = person.upload("Lagoa.pdf", pdf("A licença de pesca da lagoa Itaperema custa 318 cruzados."))
    assert document["status"] == "ready", document
    agent = person.agent(document["id"])

    run, answer, events = person.ask(agent["id"], "Quanto custa a licença de pesca?")

    assert run["status"] == "completed"
    assert "318 cruzados" in text_of(answer) == deltas(events)
    assert answer["citations"][0]["document"] == document["id"]
    assert person.call("GET", "/api/v1/billing/balance")["posted"] != "5.00"

    path = f"/api/v1/conversations/{run['conversation']}/runs"
    with person.asking(path, {"input": "Quanto custa a licença de pesca?"}) as (again, streamed):
        events = list(streamed)
    assert (events[0].event, events[-1].event) == ("run.queued", "run.completed")
    assert events == person.events(again)


# Headers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/", "/admin/login/", "/api/docs", "/nothing", "/metrics", "/healthz", "/static/console/mark.svg"]
)
def test_every_response_has_each_security_header_once(house: Site, path: str) -> None:
    headers = httpx2.get(house.url + path).headers
    for name, value in PROTECTION.items():
        assert headers.get_list(name) == [value]
    assert len(headers.get_list("x-request-id")) == len(headers.get_list("permissions-policy")) == 1
    assert len(headers.get_list("content-security-policy")) == 1
    assert "strict-transport-security" not in headers
    assert headers["server"] == "nginx"
    if path == "/":
        assert "script-src 'self'" in headers["content-security-policy"]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b"a-good-request-id", True),
        (b"short", False),
        (b"x" * 65, False),
        (b'with"quotes"in-it', False),
        (b"line%0d%0abreaks-in-it", False),
        (b"", False),
    ],
)
def test_a_request_id_is_kept_or_replaced(house: Site, sent: bytes, kept: bool) -> None:
    for path in ("/metrics", "/nothing"):
        status, headers, body = house.front.send(request(f"GET {path}", b"X-Request-ID: " + sent))
        assert status >= 400
        assert (headers["x-request-id"].encode() == sent) is kept
        assert kept or re.fullmatch(r"[0-9a-f]{32}", headers["x-request-id"])
        assert json.loads(body)["request_id"] == headers["x-request-id"]
    eventually(lambda: any(line["request_id"] == headers["x-request-id"] for line in house.front.lines()))
    eventually(lambda: headers["x-request-id"] in house.stack.log("accounts-service"))


FORGED = {
    "X-Forwarded-For": "203.0.113.7",
    "X-Real-IP": "203.0.113.7",
    "Forwarded": "for=203.0.113.7;proto=https;host=evil.example",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Port": "1",
}


def next_page(client: ApiClient) -> str:
    for name in ("one", "two"):
        client.agent(name=name)
    return str(client.call("GET", "/api/v1/agents?limit=1", **FORGED)["next"])


def test_forwarded_headers_of_a_client_are_ignored(house: Site, person: ApiClient) -> None:
    body = {"email": person.email, "password": "a long enough pass phrase"}
    person.call("POST", "/api/v1/auth/login", body, **FORGED)
    addresses = house.stack.rows("SELECT DISTINCT host(ip_address) FROM accounts_session")
    assert addresses == [("127.0.0.1",)]
    assert next_page(person).startswith(f"{house.url}/api/v1/agents?")


def test_forwarded_headers_of_a_trusted_proxy_are_used(house: Site, behind: Nginx, person: ApiClient) -> None:
    body = json.dumps({"email": person.email, "password": "a long enough pass phrase"}).encode()
    headers = [f"{name}: {value}".encode() for name, value in FORGED.items()]
    length = f"Content-Length: {len(body)}".encode()
    answer = behind.send(request("POST /api/v1/auth/login", JSON, length, *headers, body=body))
    assert answer[0] == 200, answer
    assert ("203.0.113.7",) in house.stack.rows("SELECT DISTINCT host(ip_address) FROM accounts_session")
    _, headers_of, body = behind.send(request("GET /.well-known/jwks.json", *headers))
    assert headers_of["strict-transport-security"] == "max-age=31536000"


def test_large_responses_are_compressed_and_static_files_cached(house: Site) -> None:
    assert httpx2.get(f"{house.url}/api/schema").headers["content-encoding"] == "gzip"
    for _ in range(3):
        assert httpx2.get(f"{house.url}/static/console/app.js").status_code == 200
    eventually(lambda: len([line for line in house.front.lines() if line["path"] == "/static/console/app.js"]) == 3)
    asked = [line["upstream"] for line in house.front.lines() if line["path"] == "/static/console/app.js"]
    assert asked == [f"127.0.0.1:{house.ports['accounts']}", "", ""]


def test_an_unknown_path_is_a_page_for_browsers_and_a_problem_document_for_programs(house: Site) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Accept-Language": "pt-BR"}
    with httpx2.Client(base_url=house.url) as client:
        page = client.get("/nope", headers=browser)
        for path, accept in (("/nope", "*/*"), ("/api/v1/nope", browser["Accept"])):
            answer = client.get(path, headers={"Accept": accept})
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")

    assert page.status_code == 404
    assert page.headers["content-type"].startswith("text/html")
    assert "Não há nada neste endereço" in page.text
    assert "script" not in page.headers["content-security-policy"]
