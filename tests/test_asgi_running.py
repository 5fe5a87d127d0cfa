"""How the web process runs: streams, threads, metrics, its log, its health, its end."""

import json
import re
import select
import signal
from pathlib import Path

import pytest
from django.conf import settings
from redis import Redis

from backend.http.concurrency import Slot
from tests.edge_server import Site, bearer, eventually
from tests.raw_http import JSON, read_answer, request


def test_slow_senders_hold_no_threads(site: Site) -> None:
    waiting = [site.connect() for _ in range(3 * settings.WEB_THREADS)]
    try:
        for connection in waiting:
            connection.sendall(request("POST /api/v1/parse", JSON, b"Content-Length: 100", body=b"{"))
        assert site.get("/api/v1/echo")[0] == 200
        assert select.select(waiting, [], [], 0)[0] == []  # None of them was hung up on to make room.
    finally:
        for connection in waiting:
            connection.close()


def test_a_stream_ends_when_its_reader_disconnects(site: Site, redis: Redis) -> None:
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
    eventually(lambda: redis.get("open:reader") == b"0")


def test_a_client_that_leaves_before_its_stream_begins_frees_its_slot(site: Site, redis: Redis) -> None:
    key = Slot.of("streams", "leaver", limit=1, seconds=1).key
    leavers = 6
    for _ in range(leavers):
        with site.connect() as connection:
            connection.sendall(request("GET /api/v1/started/leaver", bearer()))
    eventually(lambda: redis.get("held:leaver") == b"%d" % leavers)
    assert redis.zcard(key) == leavers
    redis.rpush("go:leaver", *["on"] * leavers)
    eventually(lambda: redis.zcard(key) == 0)  # A lease that is not released lasts longer than this waits.


@pytest.mark.parametrize("path", ["runs/old/events", "rows/old", "echo"])
def test_http_1_0_gets_no_chunks(site: Site, path: str) -> None:
    with site.connect() as connection:
        connection.sendall(request(f"GET /api/v1/{path}").replace(b"HTTP/1.1", b"HTTP/1.0"))
        received = b""
        while received.count(b"event: tick") < 3 and (more := connection.recv(1_000_000)):
            received += more
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert b"connection: close" in head.lower()
    if path.startswith("runs"):
        assert body.startswith(b"id: 0\nevent: tick\n")
    elif path.startswith("rows"):
        assert body == b"x" * 30 * 300_000
    else:
        assert json.loads(body)["length"] == 0


def test_streams_hold_no_threads(site: Site, redis: Redis) -> None:
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


def test_the_garbage_collector_runs_in_workers(site: Site) -> None:
    assert json.loads(site.get("/api/v1/echo")[2])["collects_garbage"]


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


def test_every_request_logs_one_line_with_its_id(site: Site) -> None:
    site.get(
        "/api/v1/echo?token=hidden-from-logs", **{"X-Request-ID": "find-this-one", "Authorization": "Bearer hidden"}
    )
    eventually(lambda: any(line.get("request_id") == "find-this-one" for line in site.lines()))
    (line,) = [line for line in site.lines() if line.get("request_id") == "find-this-one"]
    assert (line["event"], line["method"], line["path"], line["status"]) == ("request", "GET", "/api/v1/echo", 200)
    assert line["duration_ms"] >= 0
    assert "hidden" not in site.log.read_text()
    assert not any(line.get("path") in ("/healthz", "/metrics", "/readyz") for line in site.lines())


def test_a_bug_logs_its_traceback(site: Site) -> None:
    site.get("/api/v1/bug", **{"X-Request-ID": "bug-in-the-log"})
    eventually(lambda: len([line for line in site.lines() if line.get("request_id") == "bug-in-the-log"]) == 2)
    assert any("ZeroDivisionError" in line.get("exception", "") for line in site.lines())


def test_a_line_of_the_log_cannot_be_forged_by_a_path(site: Site) -> None:
    site.get("/forged%0A%7B%22event%22%3A%22lie%22%7D", **{"X-Request-ID": "forged-line"})
    eventually(lambda: any(line.get("request_id") == "forged-line" for line in site.lines()))
    assert not any(line["event"] == "lie" for line in site.lines())


def test_health_checks_respond_while_every_thread_is_busy(tmp_path: Path, redis: Redis) -> None:
    busy = Site(tmp_path, WEB_CONCURRENCY="1", WEB_THREADS="1")
    waiting = [busy.connect() for _ in range(3)]
    try:
        for connection in waiting:
            connection.sendall(request("GET /api/v1/held/health"))
        eventually(lambda: redis.get("held:health") == b"1")  # The one thread has the first of them.
        assert busy.get("/healthz")[0] == 200
        assert busy.get("/readyz")[0] == 200
        assert select.select(waiting, [], [], 0)[0] == []
        redis.rpush("go:health", *["on"] * len(waiting))
        assert [read_answer(connection)[0] for connection in waiting] == [200] * len(waiting)
    finally:
        for connection in waiting:
            connection.close()
        busy.stop()


def test_readyz_names_a_dependency_that_is_down(tmp_path: Path) -> None:
    nowhere = {"DATABASE_URL": "postgres://x@127.0.0.1:1/x", "REDIS_URL": "redis://127.0.0.1:1/0"}
    alone = Site(tmp_path, **nowhere)
    try:
        assert alone.get("/healthz")[0] == 200
        status, _, body = alone.get("/readyz")
        assert status == 503
        assert json.loads(body)["checks"] == {"database": "error", "redis": "error", "storage": "ok"}
    finally:
        alone.stop()


def test_only_the_bug_logged_an_error(site: Site) -> None:
    """Runs after all that was done to the site."""
    assert site.errors() == []


def test_a_shutdown_ends_streams_and_finishes_requests(own_site: Site, redis: Redis) -> None:
    reader, busy = own_site.connect(), own_site.connect()
    with reader, busy:
        reader.sendall(request("GET /api/v1/runs/stopping/events"))
        assert b"200 OK" in reader.recv(4096)
        busy.sendall(request("GET /api/v1/held/stopping"))
        eventually(lambda: redis.get("held:stopping") == b"1")
        own_site.process.send_signal(signal.SIGTERM)

        received = b""
        while more := reader.recv(65536):  # Ends while the other one is still being worked on.
            received += more
        assert received.endswith(b"0\r\n\r\n"), "the stream ended in order, not by a broken connection"
        redis.rpush("go:stopping", "on")
        assert read_answer(busy)[0] == 200
    own_site.process.wait(20)
    assert redis.get("open:stopping") == b"0"
    assert own_site.process.returncode == 0
