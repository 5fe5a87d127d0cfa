"""What the gateway refuses: too much, too slow, and whatever should never have been sent."""

import resource
import socket
import time
from contextlib import suppress

import pytest

from backend.embedded.gateway import SERVICES
from tests.gateway import Nginx, Site, needs_nginx, problem
from tests.raw_http import CHUNKED, JSON, chunks, request

pytestmark = [needs_nginx, pytest.mark.timeout(180)]  # The first test starts everything.


@pytest.fixture(scope="module")
def strict(house: Site) -> Nginx:
    """A second nginx, with narrow limits, which believes what clients say of their address."""
    return house.add_nginx(
        "strict",
        GATEWAY_RATE_API="1",
        GATEWAY_BURST_API="3",
        GATEWAY_RATE_AUTH="1",
        GATEWAY_BURST_AUTH="1",
        GATEWAY_STREAMS_PER_CLIENT="1",
        GATEWAY_UPLOADS_PER_CLIENT="1",
        GATEWAY_TRUSTED_PROXY="127.0.0.1/32",
    )


# Limits ---------------------------------------------------------------------------------------------------------------


def test_too_many_requests_get_retry_after(strict: Nginx) -> None:
    by = b"X-Forwarded-For: 198.51.100.1"
    answers = [strict.send(request("GET /.well-known/jwks.json", by)) for _ in range(8)]
    assert [answer[0] for answer in answers[:4]] == [200] * 4
    assert problem(answers[-1])["code"] == "rate_limited"
    assert answers[-1][1]["retry-after"] == "1"
    assert strict.send(request("GET /.well-known/jwks.json", b"X-Forwarded-For: 198.51.100.2"))[0] == 200


def test_log_ins_have_a_lower_limit(strict: Nginx) -> None:
    by = b"X-Forwarded-For: 198.51.100.3"
    answers = [strict.send(request("GET /api/v1/auth/session", by)) for _ in range(4)]
    assert [answer[0] for answer in answers[:2]] == [401] * 2
    assert problem(answers[-1])["code"] == "rate_limited"


def test_ipv6_limits_count_per_network(strict: Nginx) -> None:
    answers = [
        strict.send(request("GET /.well-known/jwks.json", f"X-Forwarded-For: 2001:db8::{n}".encode()))
        for n in range(1, 9)
    ]
    assert answers[-1][0] == 429
    assert strict.send(request("GET /.well-known/jwks.json", b"X-Forwarded-For: 2001:db8:0:1::1"))[0] == 200


def test_an_upload_above_the_limit_of_uploads_is_429_whatever_its_size(strict: Nginx) -> None:
    by = b"X-Forwarded-For: 198.51.100.4"
    large = (b"Content-Length: 90000000", b"Content-Type: multipart/form-data; boundary=x")
    with strict.connect() as first:
        # Without a token the service answers at once; the rest of this one's body keeps its place all the same.
        first.sendall(request("POST /api/v1/documents", by, b"Content-Type: text/plain", CHUNKED, body=b"1\r\na\r\n"))
        time.sleep(0.2)
        answer = strict.send(request("POST /api/v1/documents", by, *large))
    assert problem(answer)["code"] == "rate_limited"


def test_endless_heads_from_one_address_leave_connections_for_others(house: Site) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(12_000, hard), hard))
    waiting: list[socket.socket] = []
    try:
        for _ in range(9_000):  # Two workers of nginx with 4,096 connections each had none left.
            connection = socket.create_connection(("127.0.0.1", house.front.port), timeout=15)
            connection.sendall(b"GET /healthz HTTP/1.1\r\nX: ")
            waiting.append(connection)
        assert [house.front.send(request("GET /healthz"))[0] for _ in range(20)] == [200] * 20
    finally:
        for connection in waiting:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# Bad input ------------------------------------------------------------------------------------------------------------

HIDDEN = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = "POST /api/v1/tokens/refresh"


REFUSED: dict[tuple[int, str], dict[str, bytes]] = {
    (400, "bad_request"): {
        "two lengths": request(POST, JSON, b"Content-Length: 0", b"Content-Length: 9", body=HIDDEN),
        "length and chunks": request(POST, JSON, b"Content-Length: 4", CHUNKED, body=b"0\r\n\r\n" + HIDDEN),
        "another coding": request(POST, JSON, b"Transfer-Encoding: xchunked", body=HIDDEN),
        "two codings": request(POST, JSON, b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n" + HIDDEN),
        "chunked twice": request(POST, JSON, CHUNKED, CHUNKED, body=b"0\r\n\r\n" + HIDDEN),
        "space before the colon": request(POST, JSON, b"Transfer-Encoding : chunked", body=b"0\r\n\r\n" + HIDDEN),
        "folded header": request(POST, JSON, b"X: 1\r\n Transfer-Encoding: chunked", body=HIDDEN),
        "length with a sign": request(POST, JSON, b"Content-Length: +2", body=b"{}"),
        "negative chunk": request(POST, JSON, CHUNKED, body=b"-1\r\n" + HIDDEN),
        "bad chunk": request(POST, JSON, CHUNKED, body=b'2;a="\n"x\r\nzz' + HIDDEN),
        "request id with newline": request("GET /", b"X-Request-ID: good-one\r\n\tevil: 1"),
        "no HTTP at all": b"\x16\x03\x01 nonsense\r\n\r\n",
        "HTTP of the future": b"GET /healthz HTTP/9.9\r\nHost: localhost\r\n\r\n",
        "lower-case method": b"get /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
        "two hosts": b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n",
        "another host": b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        "another host in the line": b"GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "NUL in the path": request("GET /api/v1/%00"),
        "above the root": request("GET /%2e%2e/%2e%2e/etc/passwd"),
        "above the root, plainly": request("GET /../etc/passwd"),
        "above the static files": request("GET /static/%2e%2e%2f%2e%2e/etc/passwd"),
        "CONNECT": request("CONNECT evil.example:443"),
    },
    (414, "uri_too_long"): {
        "a huge path": request("GET /" + "a" * 20_000),
    },
    (431, "headers_too_large"): {
        "a header of 64 KB": request("GET /", b"X-Long: " + b"a" * 65_536),
        "many headers": request("GET /", *[b"X-%d: %s" % (n, b"a" * 1000) for n in range(100)]),
    },
    (413, "body_too_large"): {
        "10 GB declared": request(POST, JSON, b"Content-Length: 10737418240"),
        "chunks, too large": request(POST, JSON, CHUNKED, body=chunks(b" " * 1_048_577)),
    },
    (413, "file_too_large"): {
        "a file of 10 GB declared": request(
            "POST /api/v1/documents", b"Content-Type: multipart/form-data; boundary=x", b"Content-Length: 10737418240"
        ),
    },
    (405, "method_not_allowed"): {
        "unknown method": request("BREW /healthz"),
        "TRACE": request("TRACE /healthz"),
        "WebDAV": request("PROPFIND /admin/"),
    },
    (403, "forbidden"): {
        "metrics": request("GET /metrics"),
        "metrics with a query": request("GET /metrics?x=1"),
        "metrics by a way round": request("GET /x/%2e%2e/metrics"),
        "metrics, spelled out": request("GET /%6detrics"),
        "metrics, with the host": request("GET http://localhost/metrics"),
    },
    (404, "not_found"): {
        "metrics after two slashes": request("GET //metrics"),
        "metrics with a parameter": request("GET /metrics;x"),
        "metrics, a folder": request("GET /metrics/"),
        "metrics, loud": request("GET /METRICS"),
        "the error page itself": request("GET /problem"),
        "into another service": request("GET /api/v1/agents/%2e%2e/billing/balance"),
        "two slashes within": request("GET /api/v1//billing/balance"),
    },
}


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        pytest.param(data, status, code, id=name)
        for (status, code), examples in REFUSED.items()
        for name, data in examples.items()
    ],
)
def test_malformed_requests_are_refused(house: Site, data: bytes, status: int, code: str) -> None:
    document = problem(house.front.send(data))
    assert (document["status"], document["code"]) == (status, code)
    assert not any("/smuggled" in house.stack.log(f"{service}-service") for service in SERVICES)


def test_an_error_follows_the_language_of_the_request(house: Site) -> None:
    answer = house.front.send(request("GET /metrics", b"Accept-Language: pt-BR,en;q=0.5"))
    assert (problem(answer)["title"], answer[1]["content-language"]) == ("Proibido", "pt-br")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"GET /healthz HTTP/1.1\r\nHost: local", id="head"),
        pytest.param(request(POST, JSON, b"Content-Length: 100", body=b"{"), id="body"),
    ],
)
def test_slow_senders_are_disconnected(house: Site, data: bytes) -> None:
    waiting = [house.front.connect() for _ in range(100)]
    try:
        for connection in waiting:
            connection.sendall(data)
        assert house.front.send(request("GET /.well-known/jwks.json"))[0] == 200
        for connection in waiting:
            with suppress(ConnectionResetError):
                assert connection.recv(1024) == b""
    finally:
        for connection in waiting:
            connection.close()
