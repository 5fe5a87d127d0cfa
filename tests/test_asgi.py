"""The web process as it runs: gunicorn, two uvicorn workers, real sockets on loopback."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from redis import Redis

from tests.raw_http import CHUNKED, JSON, chunks, read_answer, request
from tests.services import free_port

ROOT = Path(__file__).resolve().parent.parent


class Site:
    """The running server, spoken to in bytes."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.port = free_port()
        self.log = folder / "log.jsonl"
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.edge_settings",
            "PORT": str(self.port),
            "DATA_DIR": str(folder),
            "LOG_FILE": str(self.log),
            "MAX_UPLOAD_BYTES": "3000000",
            **variables,
        }
        (folder / "static").mkdir()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "backend.asgi:application", "--config", "backend/http/gunicorn.py"],
            cwd=ROOT,
            env=environment,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                if self.get("/healthz")[0] == 200:
                    return
            except OSError:
                time.sleep(0.1)
        raise AssertionError(self.log.read_text())

    def get(self, path: str, **headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        answer = response.status, response.headers, response.read()
        connection.close()
        return answer

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def send(self, data: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send exactly this and read one answer."""
        with self.connect() as connection:
            with suppress(OSError):  # Hung up on while still sending: its answer is on the way.
                connection.sendall(data)
            return read_answer(connection)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def stop(self) -> float:
        """Ask it to end; the seconds that took."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        return time.monotonic() - started


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    running = Site(tmp_path_factory.mktemp("site"))
    yield running
    running.stop()


@pytest.fixture
def own_site(tmp_path: Path) -> Iterator[Site]:
    """One that the test may end."""
    running = Site(tmp_path)
    yield running
    if running.process.poll() is None:
        running.process.kill()
        running.process.wait()


@pytest.fixture
def redis() -> Iterator[Redis]:
    with Redis.from_url(settings.REDIS_URL) as client:
        yield client


def eventually(condition: Any, seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


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
def test_whatever_is_sent_is_answered_by_a_problem(site: Site, data: bytes, status: int) -> None:
    answered, headers, body = site.send(data)

    assert answered == status
    assert headers["content-type"] == "application/problem+json"
    document = json.loads(body)
    assert document["status"] == status
    assert document["request_id"] == headers["x-request-id"]
    assert b"secret" not in body
    assert b"Traceback" not in body


@pytest.mark.parametrize("line", ["GET /healthz", "GET /readyz", "GET http://evil.example/healthz"])
def test_the_process_tells_how_it_is(site: Site, line: str) -> None:
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
    status, _, body = site.send(request("POST /api/v1/echo", kind, CHUNKED, body=chunks(form)))
    assert (status, json.loads(body)["files"]) == (200, {"file": 2_000_000})


@pytest.mark.parametrize("how", ["chunked", "declared"])
def test_a_file_beyond_the_limit_is_refused_while_it_comes(site: Site, how: str) -> None:
    form = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        + b"a" * 6_000_000
        + b"\r\n--x--\r\n"
    )
    kind = b"Content-Type: multipart/form-data; boundary=x"
    if how == "chunked":
        data = request("POST /api/v1/echo", kind, CHUNKED, body=chunks(form))
    else:
        data = request("POST /api/v1/echo", kind, b"Content-Length: %d" % len(form), body=form)
    status, headers, _ = site.send(data)
    assert status == 413
    assert headers["content-type"] == "application/problem+json"


def test_a_header_with_underscores_does_not_pass_for_one_with_hyphens(site: Site) -> None:
    _, _, forged = site.send(request("GET /api/v1/echo", b"X_Forged: yes"))
    _, _, plain = site.send(request("GET /api/v1/echo", b"X-Forged: yes"))
    assert (json.loads(forged)["forged"], json.loads(plain)["forged"]) == (None, "yes")


FORWARDED = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}


def test_an_address_that_anybody_could_write_is_not_believed(site: Site) -> None:
    seen = json.loads(site.get("/api/v1/echo", **FORWARDED)[2])
    assert (seen["address"], seen["scheme"]) == ("127.0.0.1", "http")


def test_an_address_that_the_gateway_writes_is_believed(tmp_path: Path) -> None:
    gateway = Site(tmp_path, FORWARDED_ALLOW_IPS="127.0.0.1")
    try:
        seen = json.loads(gateway.get("/api/v1/echo", **FORWARDED)[2])
    finally:
        gateway.stop()
    assert (seen["address"], seen["scheme"]) == ("203.0.113.7", "https")


def test_a_broken_upload_is_no_upload(site: Site) -> None:
    with site.connect() as connection:
        kind = b"Content-Type: multipart/form-data; boundary=x"
        part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\naaa'
        headers = (kind, b"Content-Length: 2000000", b"X-Request-ID: broken-upload")
        connection.sendall(request("POST /api/v1/echo", *headers, body=part))
        time.sleep(0.2)
    eventually(lambda: any(line.get("request_id") == "broken-upload" for line in site.lines()))
    lines = [line for line in site.lines() if line.get("request_id") == "broken-upload"]
    assert [line.get("status") for line in lines] == [400], lines


def test_slow_senders_take_no_threads(site: Site) -> None:
    waiting = [site.connect() for _ in range(3 * settings.WEB_THREADS)]
    try:
        for connection in waiting:
            connection.sendall(request("POST /api/v1/parse", JSON, b"Content-Length: 100", body=b"{"))
        started = time.monotonic()
        assert site.get("/api/v1/echo")[0] == 200
        assert time.monotonic() - started < 10
    finally:
        for connection in waiting:
            connection.close()


def test_a_download_comes_whole(site: Site) -> None:
    status, _, body = site.get("/api/v1/download")
    assert (status, body) == (200, (ROOT / "tests/edge_site.py").read_bytes())


def test_static_files_are_served(site: Site) -> None:
    status, headers, body = site.get("/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui.css")
    assert (status, headers["Content-Type"]) == (200, 'text/css; charset="utf-8"')
    assert len(body) > 10_000


def test_a_stream_flows_and_ends_with_its_reader(site: Site, redis: Redis) -> None:
    with site.connect() as connection:
        connection.sendall(request("GET /api/v1/runs/reader/events"))
        received = b""
        while received.count(b"event: tick") < 3:
            received += connection.recv(4096)
        assert redis.get("open:reader") == b"1"
    head = received.partition(b"\r\n\r\n")[0].lower()
    assert b"content-type: text/event-stream" in head
    assert b"x-accel-buffering: no" in head
    assert re.search(rb"x-request-id: [0-9a-f]{32}", head)
    assert b'id: 0\nevent: tick\ndata: {"number":0}\n\n' in received
    eventually(lambda: redis.get("open:reader") == b"0", seconds=2)


def test_streams_hold_neither_threads_nor_each_other_up(site: Site, redis: Redis) -> None:
    readers = [site.connect() for _ in range(4 * settings.WEB_THREADS)]
    try:
        for reader in readers:
            reader.sendall(request("GET /api/v1/runs/many/events"))
        for reader in readers:
            assert b"200 OK" in reader.recv(4096)
        eventually(lambda: redis.get("open:many") == b"%d" % len(readers))
        assert site.get("/api/v1/echo")[0] == 200
    finally:
        for reader in readers:
            reader.close()
    eventually(lambda: redis.get("open:many") == b"0")


def test_metrics_count_by_route_over_all_workers(site: Site) -> None:
    def seen() -> float:
        text = site.get("/metrics")[2].decode()
        found = re.search(r'http_requests_total\{method="GET",route="/api/v1/echo",status="200"\} ([0-9.]+)', text)
        return float(found[1]) if found else 0.0

    before = seen()
    for _ in range(20):
        site.get("/api/v1/echo")
    site.get("/nobody/knows/run_01")
    assert seen() == before + 20
    text = site.get("/metrics")[2].decode()
    assert 'route="unmatched"' in text
    assert "run_01" not in text


def test_every_request_leaves_one_line_with_its_id(site: Site) -> None:
    site.get(
        "/api/v1/echo?token=hidden-from-logs", **{"X-Request-ID": "find-this-one", "Authorization": "Bearer hidden"}
    )
    eventually(lambda: any(line.get("request_id") == "find-this-one" for line in site.lines()))
    (line,) = [line for line in site.lines() if line.get("request_id") == "find-this-one"]
    assert (line["event"], line["method"], line["path"], line["status"]) == ("request", "GET", "/api/v1/echo", 200)
    assert line["duration_ms"] >= 0
    assert "hidden" not in site.log.read_text()
    assert not any(line.get("path") in ("/healthz", "/metrics", "/readyz") for line in site.lines())


def test_a_bug_leaves_its_traceback_in_the_log(site: Site) -> None:
    site.get("/api/v1/bug", **{"X-Request-ID": "bug-in-the-log"})
    eventually(lambda: len([line for line in site.lines() if line.get("request_id") == "bug-in-the-log"]) == 2)
    assert any("ZeroDivisionError" in line.get("exception", "") for line in site.lines())


def test_a_line_of_the_log_cannot_be_forged_by_a_path(site: Site) -> None:
    site.get("/forged%0A%7B%22event%22%3A%22lie%22%7D", **{"X-Request-ID": "forged-line"})
    eventually(lambda: any(line.get("request_id") == "forged-line" for line in site.lines()))
    assert not any(line["event"] == "lie" for line in site.lines())


def test_health_is_told_while_every_thread_is_busy(tmp_path: Path) -> None:
    busy = Site(tmp_path, WEB_CONCURRENCY="1", WEB_THREADS="1")
    waiting = [busy.connect() for _ in range(3)]
    try:
        for connection in waiting:
            connection.sendall(request("GET /api/v1/slow"))
        started = time.monotonic()
        assert busy.get("/healthz")[0] == 200
        assert busy.get("/readyz")[0] == 200
        assert time.monotonic() - started < 4  # Behind the three it would be 4.5.
    finally:
        for connection in waiting:
            connection.close()
        busy.stop()


def test_what_does_not_answer_is_named_in_time(tmp_path: Path) -> None:
    nowhere = {"DATABASE_URL": "postgres://x@127.0.0.1:1/x", "REDIS_URL": "redis://127.0.0.1:1/0"}
    alone = Site(tmp_path, **nowhere)
    try:
        assert alone.get("/healthz")[0] == 200
        started = time.monotonic()
        status, _, body = alone.get("/readyz")
        assert time.monotonic() - started < 8
        assert status == 503
        assert json.loads(body)["checks"] == {"database": "error", "redis": "error", "storage": "ok"}
    finally:
        alone.stop()


def test_nothing_but_the_bug_left_an_error(site: Site) -> None:
    """Runs after all that was done to the site."""
    wrong = [line for line in site.lines() if line["level"] in ("error", "critical")]
    assert [line for line in wrong if line["event"] != "Internal Server Error: /api/v1/bug"] == []


def test_asked_to_stop_it_ends_streams_and_finishes_requests(own_site: Site, redis: Redis) -> None:
    reader, busy = own_site.connect(), own_site.connect()
    with reader, busy:
        reader.sendall(request("GET /api/v1/runs/stopping/events"))
        assert b"200 OK" in reader.recv(4096)
        busy.sendall(request("GET /api/v1/slow"))
        time.sleep(0.2)
        seconds = own_site.stop()

        assert seconds < 5
        assert read_answer(busy)[0] == 200
        received = b""
        while more := reader.recv(65536):
            received += more
        assert received.endswith(b"0\r\n\r\n"), "the stream ended in order, not by a broken connection"
    assert redis.get("open:stopping") == b"0"
    assert own_site.process.returncode == 0
