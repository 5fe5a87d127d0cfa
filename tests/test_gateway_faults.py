"""What happens to the gateway and behind it while people work: services and servers that come and go, reloads."""

import signal
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator

import httpx2
import pytest

from backend.embedded.gateway import SERVICES
from tests.gateway import Nginx, Site, eventually, needs_nginx, problem, site
from tests.http_client import ApiClient, Event
from tests.raw_http import JSON, request
from tests.servers import Servers, own_servers
from tests.services import free_port

pytestmark = [needs_nginx, pytest.mark.timeout(180)]  # The first test starts everything.
OWN = {"accounts": "users/me", "agents": "agents", "documents": "documents", "billing": "billing/balance"}


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with own_servers() as made:
        yield made


@pytest.fixture(scope="module")
def house(servers: Servers) -> Iterator[Site]:
    with site(settings=servers.settings()) as running:
        yield running


@pytest.fixture(scope="module")
def person(house: Site) -> Iterator[ApiClient]:
    client = ApiClient.sign_up(house.url)
    yield client
    client.close()


def works(person: ApiClient, service: str) -> bool:
    return person.http.get(f"/api/v1/{OWN[service]}").status_code == 200


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_that_is_down_does_not_affect_the_others(house: Site, person: ApiClient, service: str) -> None:
    house.kill(service)
    answer = person.http.get(f"/api/v1/{OWN[service]}")
    document = problem((answer.status_code, dict(answer.headers), answer.content))
    assert (document["status"], document["code"]) == (503, "service_unavailable")
    assert document["instance"] == f"/api/v1/{OWN[service]}"
    assert answer.headers["retry-after"] == "2"
    assert person.http.post(f"/api/v1/{OWN[service]}", json={}).status_code == 503
    assert all(works(person, other) for other in SERVICES if other != service)
    assert person.http.get("/healthz").status_code == 200

    house.start(service)
    eventually(lambda: works(person, service), seconds=20)


def test_a_service_that_hangs_does_not_delay_the_others(house: Site, person: ApiClient) -> None:
    house.send_signal("billing", signal.SIGSTOP)
    try:
        with house.front.connect() as waiting:
            waiting.sendall(request("GET /api/v1/billing/balance"))
            assert all(works(person, other) for other in SERVICES if other != "billing")
            waiting.setblocking(False)
            with pytest.raises(BlockingIOError):  # This one still waits.
                waiting.recv(1)
    finally:
        house.send_signal("billing", signal.SIGCONT)
    eventually(lambda: works(person, "billing"))


def test_only_safe_methods_are_retried(house: Site, person: ApiClient) -> None:
    """A service that dies in the middle of its answer: the POST has been sent once and is not sent again."""
    house.send_signal("accounts", signal.SIGSTOP)
    with house.front.connect() as waiting:
        waiting.sendall(request("POST /api/v1/tokens/refresh", JSON, b"Content-Length: 2", body=b"{}"))
        time.sleep(0.5)
        house.kill("accounts")
        assert b" 503 " in waiting.recv(65536)
    eventually(lambda: house.front.lines()[-1]["path"] == "/api/v1/tokens/refresh")
    assert house.front.lines()[-1]["upstream_status"] == "502"
    house.start("accounts")
    eventually(lambda: works(person, "accounts"), seconds=20)


class Reader(threading.Thread):
    """Reads a run's events to their end over one connection that it never renews."""

    def __init__(self, person: ApiClient, run: str) -> None:
        super().__init__(daemon=True)
        self.events: list[Event] = []
        self._person, self._run = person, run
        self.start()

    def run(self) -> None:
        with self._person.stream(f"/api/v1/runs/{self._run}/events") as events:
            for event in events:
                self.events.append(event)


def test_a_reload_ends_no_stream(house: Site, person: ApiClient) -> None:
    agent = person.agent()
    house.stack.kill("agents")  # So that the run waits, and its stream stays open.
    run = person.start(agent["id"], "What is there?")
    readers = [Reader(person, run["id"]) for _ in range(3)]
    eventually(lambda: all(reader.events for reader in readers))
    before = house.front.workers()

    done = house.front.run("reload")

    assert done.returncode == 0, done.stderr
    eventually(lambda: bool(house.front.workers() - before))
    assert works(person, "agents")
    time.sleep(1)
    assert before & house.front.workers(), "an old worker has stayed with the streams"
    house.stack.start("agents")
    for reader in readers:
        reader.join(60)
        assert reader.events[-1].event in ("run.completed", "run.failed")
    eventually(lambda: not before & house.front.workers())


@pytest.mark.parametrize(("name", "check"), [("redis", "redis"), ("postgres", "database")])
def test_a_dependency_that_is_down_is_named_until_it_is_back(
    house: Site, servers: Servers, person: ApiClient, name: str, check: str
) -> None:
    def states(url: str) -> tuple[int, dict[str, str]]:
        answer = httpx2.get(f"{url}/readyz", timeout=10)
        return answer.status_code, answer.json()["checks"]

    addresses = [house.url, *(house.straight(service) for service in SERVICES)]
    servers.end(name, kill=True)
    for address in addresses:
        status, checks = states(address)
        assert (status, checks[check]) == (503, "error")
        assert [other for other, state in checks.items() if state != "ok"] == [check]
    assert person.http.get("/healthz").status_code == 200
    answer = person.http.post("/api/v1/agents", json={"name": "nobody", "model": "offline"})
    assert answer.status_code in (201, 503), answer.text

    if name == "redis":
        servers.start_redis()
    else:
        servers.start_postgres()
    for address in addresses:
        eventually(lambda address=address: states(address)[0] == 200, seconds=20)  # type: ignore[misc]  # Bound now.
    eventually(lambda: all(works(person, service) for service in SERVICES), seconds=20)
    run, _, _ = person.ask(person.agent()["id"], "What is there?")
    assert run["status"] in ("completed", "failed")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_gateway_terminates_tls(house: Site, version: ssl.TLSVersion) -> None:
    front = house.others.get("tls") or with_tls(house)
    context = ssl.create_default_context(cafile=str(house.folder / "certificate.pem"))
    context.minimum_version = context.maximum_version = version
    with httpx2.Client(base_url=f"https://localhost:{front.port}", verify=context) as client:
        for path in ("/healthz", "/nothing", "/metrics", "/.well-known/jwks.json"):
            assert client.get(path).headers.get_list("strict-transport-security") == ["max-age=31536000"], path
    plain = front.send(request("GET /healthz"))
    assert problem(plain)["code"] == "bad_request"
    redirect = int(front.environment["GATEWAY_REDIRECT_LISTEN"].rpartition(":")[2])
    answer = httpx2.get(f"http://localhost:{redirect}/api/v1/agents?limit=1")
    assert (answer.status_code, answer.headers["location"]) == (308, "https://localhost/api/v1/agents?limit=1")
    for host in ("evil.example", "evil.example:80", "localhost.evil.example", "", "localhost@evil.example"):
        answer = httpx2.get(f"http://localhost:{redirect}/x", headers={"Host": host})
        assert (answer.status_code, answer.headers.get("location")) == (400, None), host


def test_old_tls_is_refused(house: Site) -> None:
    front = house.others.get("tls") or with_tls(house)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with front.connect() as connection, pytest.raises(ssl.SSLError):
        context.wrap_socket(connection)


def with_tls(house: Site) -> Nginx:
    key, certificate = house.folder / "key.pem", house.folder / "certificate.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*make, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    port = free_port()
    return house.add_nginx(
        "tls",
        port=port,
        GATEWAY_TLS="tls-on.conf",
        GATEWAY_LISTEN=f"127.0.0.1:{port} ssl",
        GATEWAY_CERTIFICATE=str(certificate),
        GATEWAY_CERTIFICATE_KEY=str(key),
        GATEWAY_REDIRECT_LISTEN=f"127.0.0.1:{free_port()}",
    )
