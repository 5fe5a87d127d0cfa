"""What the web process makes of the bytes that it is sent."""

import json
import time
from pathlib import Path

import pytest

from tests.edge_server import ROOT, Site, bearer, eventually
from tests.edge_site import LARGE
from tests.raw_http import CHUNKED, JSON, chunks, request


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(b"\x16\x03\x01 nonsense\r\n\r\n", 400, id="no HTTP at all"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 400, id="unknown host"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n", 400, id="two hosts"),
        pytest.param(request(b"GET /\xff\xfe"), 400, id="bytes in the path"),
        pytest.param(request("GET /%ff%fe"), 404, id="path that is not UTF-8"),
        pytest.param(request("GET /api/v1/%00"), 404, id="NUL in the path"),
        pytest.param(request("GET //"), 404, id="two slashes"),
        pytest.param(request("GET /static/%2e%2e/%2e%2e/etc/passwd"), 404, id="climbing out of the static files"),
        pytest.param(request("GET /static/../../etc/passwd"), 404, id="climbing out, plainly"),
        pytest.param(request("GET /api/v1/runs/%00%ff/nothing"), 404, id="NUL in an id"),
        pytest.param(request(b"GET /healthz?a=\xff"), 400, id="bytes in the query"),
        pytest.param(request("OPTIONS *"), 404, id="OPTIONS *"),
        pytest.param(request("CONNECT evil.example:443"), 400, id="CONNECT"),
        pytest.param(request("TRACE /healthz"), 405, id="TRACE"),
        pytest.param(request("BREW /healthz"), 400, id="unknown method"),
        pytest.param(request("GET /healthz", b"X-Long: " + b"a" * 200_000), 431, id="a huge header"),
        pytest.param(request("GET /healthz", *[b"X-%d: 1" % n for n in range(20_000)]), 431, id="many headers"),
        pytest.param(request(b"GET /" + b"a" * 200_000), 431, id="a huge path"),
        pytest.param(request(b"GET /" + b"a" * 30_000), 404, id="a long path"),
        pytest.param(request("POST /api/v1/parse", JSON, b"Content-Length: abc"), 400, id="length of letters"),
        pytest.param(request("POST /api/v1/parse", JSON, b"Content-Length: -1"), 400, id="negative length"),
        pytest.param(
            request("POST /api/v1/parse", JSON, b"Content-Length: 99999999999"), 413, id="announced too large"
        ),
        pytest.param(
            request("POST /api/v1/parse", JSON, CHUNKED, b"Content-Length: 2", body=chunks(b"{}")),
            400,
            id="length and chunks at once",
        ),
        pytest.param(request("POST /api/v1/parse", JSON, CHUNKED, body=b"zz\r\n{}\r\n0\r\n\r\n"), 400, id="bad chunk"),
        pytest.param(
            request("POST /api/v1/parse", JSON, CHUNKED, body=chunks(b" " * 1_048_577)), 413, id="chunks, too large"
        ),
        pytest.param(
            request("POST /api/v1/parse", JSON, b"Content-Length: 1048577", body=b" " * 1_048_577), 413, id="too large"
        ),
        pytest.param(request("POST /api/v1/parse", JSON, b"Content-Length: 3", body=b'{"\xff'), 400, id="not UTF-8"),
        pytest.param(request("POST /api/v1/parse", b"Content-Type: text/plain", b"Content-Length: 2", body=b"{}"), 415),
        pytest.param(
            request(
                "POST /api/v1/echo",
                b"Content-Type: multipart/form-data; boundary=\xff",
                b"Content-Length: 4",
                body=b"abcd",
            ),
            400,
            id="multipart without a boundary",
        ),
        pytest.param(request("GET /api/v1/bug", b"Accept: text/html"), 500, id="a bug"),
        pytest.param(
            request("GET /static/admin/css/base.css", b"Range: bytes=99999999-"), 416, id="range beyond the end"
        ),
    ],
)
def test_malformed_requests_get_a_problem_document(site: Site, data: bytes, status: int) -> None:
    answered, headers, body = site.send(data)

    assert answered == status
    assert headers["content-type"] == "application/problem+json"
    document = json.loads(body)
    assert document["status"] == status
    assert document["request_id"] == headers["x-request-id"]
    assert b"secret" not in body
    assert b"Traceback" not in body


@pytest.mark.parametrize("line", ["GET /healthz", "GET /readyz", "GET http://evil.example/healthz"])
def test_health_checks_respond(site: Site, line: str) -> None:
    status, headers, _ = site.send(request(line).replace(b"Host: localhost", b"Host: 127.0.0.1"))
    assert status == 200
    assert headers["content-type"] == "application/json"


def test_a_chunked_body_is_read_whole(site: Site) -> None:
    status, _, body = site.send(request("POST /api/v1/parse", JSON, CHUNKED, body=chunks(b'{"a": [1, "\xc3\xa7"]}')))
    assert (status, json.loads(body)) == (200, {"data": {"a": [1, "ç"]}})


def test_a_chunked_file_is_read_whole(site: Site) -> None:
    form = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        + b"a" * 2_000_000
        + b"\r\n--x--\r\n"
    )
    kind = b"Content-Type: multipart/form-data; boundary=x"
    status, _, body = site.send(request("POST /api/v1/echo", kind, CHUNKED, bearer(), body=chunks(form)))
    assert (status, json.loads(body)["files"]) == (200, {"file": 2_000_000})


@pytest.mark.parametrize("how", ["chunked", "declared"])
def test_a_file_above_the_limit_is_refused_during_the_upload(site: Site, how: str) -> None:
    form = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        + b"a" * 6_000_000
        + b"\r\n--x--\r\n"
    )
    kind = b"Content-Type: multipart/form-data; boundary=x"
    if how == "chunked":
        data = request("POST /api/v1/echo", kind, CHUNKED, bearer(), body=chunks(form))
    else:
        data = request("POST /api/v1/echo", kind, b"Content-Length: %d" % len(form), bearer(), body=form)
    status, headers, _ = site.send(data)
    assert status == 413
    assert headers["content-type"] == "application/problem+json"


def test_a_header_with_underscores_is_dropped(site: Site) -> None:
    _, _, forged = site.send(request("GET /api/v1/echo", b"X_Forged: yes"))
    _, _, plain = site.send(request("GET /api/v1/echo", b"X-Forged: yes"))
    assert (json.loads(forged)["forged"], json.loads(plain)["forged"]) == (None, "yes")


FORWARDED = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}


def test_a_forwarded_address_of_an_untrusted_peer_is_ignored(site: Site) -> None:
    seen = json.loads(site.get("/api/v1/echo", **FORWARDED)[2])
    assert (seen["address"], seen["scheme"]) == ("127.0.0.1", "http")


def test_a_forwarded_address_of_the_gateway_is_used(tmp_path: Path) -> None:
    gateway = Site(tmp_path, FORWARDED_ALLOW_IPS="127.0.0.1")
    try:
        seen = json.loads(gateway.get("/api/v1/echo", **FORWARDED)[2])
    finally:
        gateway.stop()
    assert (seen["address"], seen["scheme"]) == ("203.0.113.7", "https")


def test_an_interrupted_upload_creates_no_document(site: Site) -> None:
    with site.connect() as connection:
        kind = b"Content-Type: multipart/form-data; boundary=x"
        part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\naaa'
        headers = (kind, b"Content-Length: 2000000", b"X-Request-ID: broken-upload", bearer())
        connection.sendall(request("POST /api/v1/echo", *headers, body=part))
        time.sleep(0.2)
    eventually(lambda: any(line.get("request_id") == "broken-upload" for line in site.lines()))
    lines = [line for line in site.lines() if line.get("request_id") == "broken-upload"]
    assert [line.get("status") for line in lines] == [400], lines


def test_a_download_is_complete(site: Site) -> None:
    status, _, body = site.get("/api/v1/download")
    assert (status, body) == (200, (ROOT / "tests/edge_site.py").read_bytes())


def test_a_slow_reader_gets_a_large_download_complete_and_in_order(site: Site) -> None:
    with site.connect() as connection:
        connection.sendall(request("GET /api/v1/large", b"Connection: close"))
        received = bytearray(connection.recv(1000))
        time.sleep(0.3)  # Meanwhile the thread fills whatever holds it.
        while more := connection.recv(1_000_000):
            received += more
    assert bytes(received).partition(b"\r\n\r\n")[2] == LARGE


def test_static_files_are_served(site: Site) -> None:
    status, headers, body = site.get("/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui.css")
    assert (status, headers["Content-Type"]) == (200, 'text/css; charset="utf-8"')
    assert len(body) > 10_000


def test_only_the_bug_logged_an_error(site: Site) -> None:
    """Runs after all that was done to the site."""
    assert site.errors() == []
