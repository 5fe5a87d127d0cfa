"""Clients that take their time, or never end: none of them keeps a thread, a database connection or memory for long.

The site has two threads and one database connection, so that two of them would be enough.
"""

import json
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from uuid import uuid4

import pytest
from redis import Redis

from tests.edge_server import Site, bearer, eventually
from tests.edge_site import LARGE
from tests.raw_http import CHUNKED, JSON, read_answer, request

FORM = b"Content-Type: multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
SLOW = 4  # Of each kind: more than there are threads.


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    running = Site(
        tmp_path_factory.mktemp("strict"),
        WEB_CONCURRENCY="1",
        WEB_THREADS="2",
        DATABASE_POOL_SIZE="1",
        CLIENT_GRACE_SECONDS="1.5",
        CLIENT_MIN_BYTES_PER_SECOND="1000000",
        UPLOADS_PER_USER="4",
    )
    yield running
    running.stop()


def answers(site: Site) -> bool:
    """Others are served meanwhile, by a thread and from the database; ``get`` waits for ten seconds."""
    return (site.get("/api/v1/echo")[0], site.get("/api/v1/queried")[0]) == (200, 200)


def upload(*headers: bytes, length: int = 2_000_000) -> bytes:
    return request("POST /api/v1/echo", FORM, b"Content-Length: %d" % length, *headers, body=PART)


@contextmanager
def connected(site: Site, count: int = SLOW, *, window: int | None = None) -> Iterator[list[socket.socket]]:
    """:param window: bytes that the kernel takes for each of them before it reads."""
    with ExitStack() as stack:
        found = []
        for _ in range(count):
            connection = stack.enter_context(socket.socket())
            if window is not None:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
            connection.settimeout(20)
            connection.connect(("127.0.0.1", site.port))
            found.append(connection)
        yield found


@contextmanager
def trickling(connections: list[socket.socket], byte: Callable[[], bytes] = lambda: b"a") -> Iterator[None]:
    """A byte every tenth of a second on each, until the block ends."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(0.1):
            for connection in connections:
                try:
                    connection.send(byte())
                except OSError:
                    continue

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def ends(connection: socket.socket) -> int:
    """Waits until the server has hung up, and returns how many bytes still came."""
    received = 0
    try:
        while more := connection.recv(1_000_000):
            received += len(more)
    except ConnectionError:
        pass
    return received


@pytest.mark.parametrize(
    "beginning",
    [
        pytest.param(lambda: upload(bearer()), id="uploads"),
        pytest.param(
            lambda: request("POST /api/v1/echo", FORM, CHUNKED, bearer(), body=b"%x\r\n" % 2_000_000 + PART),
            id="uploads in chunks",
        ),
        pytest.param(lambda: request("POST /api/v1/parse", JSON, b"Content-Length: 1000", body=b"{"), id="bodies"),
        pytest.param(lambda: request("POST /api/v1/parse", JSON, CHUNKED, body=b"100\r\n{"), id="chunks"),
        pytest.param(lambda: b"GET /api/v1/echo HTTP/1.1\r\nHost: localhost\r\nX-Long: ", id="heads"),
    ],
)
def test_a_slow_sender_holds_no_thread_and_gets_408(strict: Site, beginning: Callable[[], bytes]) -> None:
    with connected(strict) as slow:
        for connection in slow:
            connection.sendall(beginning())
        with trickling(slow):
            time.sleep(0.3)
            assert answers(strict)
            for connection in slow:
                status, headers, body = read_answer(connection)
                assert (status, json.loads(body)["code"]) == (408, "request_timeout")
                assert headers["connection"].lower() == "close"
                ends(connection)


def test_a_silent_connection_is_closed(strict: Site) -> None:
    with connected(strict) as silent:
        assert [ends(connection) for connection in silent] == [0] * SLOW


@pytest.mark.parametrize("path", ["/api/v1/large", "/api/v1/rows/slow"])
def test_slow_readers_hold_no_thread_and_are_disconnected(strict: Site, redis: Redis, path: str) -> None:
    with connected(strict, window=4096) as slow:
        for connection in slow:
            connection.sendall(request(f"GET {path}"))
        for connection in slow:
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
        assert answers(strict)
        if "rows" in path:
            assert redis.get("open:slow") == b"%d" % SLOW
            eventually(lambda: redis.get("open:slow") == b"0")  # Their generators were closed.
        else:
            time.sleep(5)
        assert max(ends(connection) for connection in slow) < len(LARGE) - 300_000
    assert answers(strict)


def test_an_account_has_few_large_responses_in_memory(strict: Site) -> None:
    mine = bearer()
    with connected(strict, 2, window=4096) as (first, second), strict.connect() as other:
        first.sendall(request("GET /api/v1/whole", mine))
        assert first.recv(100).startswith(b"HTTP/1.1 200")
        second.sendall(request("GET /api/v1/echo", mine))
        other.sendall(request("GET /api/v1/echo", bearer()))
        assert read_answer(other)[0] == 200
        assert select.select([second], [], [], 1)[0] == []  # Half of two threads is one place.
        received = first.recv(1_000_000)
        while len(received) < len(LARGE):
            received += first.recv(1_000_000)
        assert read_answer(second)[0] == 200


def test_head_of_a_large_response_has_no_body(strict: Site) -> None:
    for path in ("/api/v1/large", "/api/v1/whole", "/api/v1/rows/head"):
        with strict.connect() as connection:
            connection.sendall(request(f"HEAD {path}") + request("GET /api/v1/echo"))
            received = b""
            while received.count(b"HTTP/1.1 200") < 2:
                received += connection.recv(65536)
            assert len(received) < 5000


def test_a_fast_reader_gets_the_whole_response(strict: Site) -> None:
    status, _, body = strict.get("/api/v1/rows/whole")
    assert (status, len(body)) == (200, 30 * 300_000)


def test_a_stalled_reader_of_a_stream_is_disconnected(strict: Site, redis: Redis) -> None:
    with connected(strict, window=4096) as slow:
        for connection in slow:
            connection.sendall(request("GET /api/v1/runs/flood-slow/events"))
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
        eventually(lambda: redis.get("open:flood-slow") == b"0")


def test_concurrent_uploads_of_an_account_are_limited(strict: Site, redis: Redis) -> None:
    mine = bearer(uuid4())
    with connected(strict) as slow:
        for connection in slow:
            connection.sendall(upload(mine))
        eventually(lambda: [redis.zcard(key) for key in redis.keys("held:uploads:*")] == [SLOW])
        status, headers, body = strict.send(upload(mine))
        assert (status, json.loads(body)["code"], headers["retry-after"]) == (429, "rate_limited", "2")
        whole = upload(bearer(), length=1_500_000)
        whole += b"a" * (1_500_000 - len(PART) - len(b"\r\n--x--\r\n")) + b"\r\n--x--\r\n"
        assert strict.send(whole)[0] == 200  # Another's.


def test_a_caller_without_a_token_is_refused_before_the_file_is_read(strict: Site) -> None:
    announced = (FORM, b"Content-Length: 2000000")
    status, headers, _ = strict.send(request("POST /api/v1/private", *announced))
    assert (status, headers["www-authenticate"]) == (401, "Bearer")
    status, headers, _ = strict.send(request("POST /api/v1/private", *announced, b"Expect: 100-continue"))
    assert (status, headers["connection"]) == (401, "close")
    status, _, _ = strict.send(request("POST /api/v1/private", *announced, b"Authorization: Bearer x.y.z"))
    assert status == 401
    status, _, body = strict.send(request("POST /api/v1/echo", *announced))
    assert (status, json.loads(body)["code"]) == (413, "body_too_large")


def test_expect_100_continue_gets_a_continue(strict: Site) -> None:
    with strict.connect() as connection:
        connection.sendall(
            request("POST /api/v1/echo", FORM, b"Content-Length: 1500000", b"Expect: 100-continue", bearer())
        )
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(PART + b"a" * (1_500_000 - len(PART) - len(b"\r\n--x--\r\n")) + b"\r\n--x--\r\n")
        assert read_answer(connection)[0] == 200


@pytest.mark.parametrize("how", ["slowly", "without end"])
def test_the_rest_of_a_body_after_its_response_is_drained_within_limits(strict: Site, how: str) -> None:
    with connected(strict) as talkers:
        for connection in talkers:
            connection.sendall(request("POST /api/v1/parse", JSON, b"Content-Length: 99999999999"))
            assert read_answer(connection)[0] == 413
        if how == "slowly":
            with trickling(talkers):
                assert [ends(connection) for connection in talkers] == [0] * SLOW
        else:
            with pytest.raises(ConnectionError):
                talkers[0].sendall(b"a" * 100_000_000)


def test_pipelined_requests_are_limited(strict: Site) -> None:
    def answered(count: int) -> int:
        with strict.connect() as connection:
            connection.sendall(request("GET /api/v1/echo") * count)
            received = b""
            while received.count(b"HTTP/1.1 200") < count:
                try:
                    more = connection.recv(65536)
                except ConnectionError:
                    break
                if not more:
                    break
                received += more
            return received.count(b"HTTP/1.1 200")

    assert answered(10) == 10
    assert answered(1000) < 20


def test_a_stream_with_pipelined_requests_ends_with_its_reader(strict: Site, redis: Redis) -> None:
    with strict.connect() as reader:
        reader.sendall(request("GET /api/v1/runs/behind/events") + request("GET /api/v1/echo"))
        assert reader.recv(100).startswith(b"HTTP/1.1 200")
        eventually(lambda: redis.get("open:behind") == b"1")
    eventually(lambda: redis.get("open:behind") == b"0")


def test_slow_requests_of_one_address_are_limited(tmp_path: Any) -> None:
    patient = Site(tmp_path, WEB_CONCURRENCY="1", CLIENT_GRACE_SECONDS="60")
    try:
        with connected(patient, 100) as slow:
            for connection in slow[:50]:
                connection.sendall(request("POST /api/v1/parse", JSON, b"Content-Length: 1000", body=b"{"))
            for connection in slow[50:]:
                connection.sendall(b"GET / HTTP/1.1\r\n")
            eventually(lambda: len(select.select(slow, [], [], 0)[0]) == 36)
            time.sleep(2)
            assert len(select.select(slow, [], [], 0)[0]) == 36  # And not one more.
    finally:
        patient.stop()


def test_no_error_was_logged(strict: Site) -> None:
    """Runs after all that was done to the site."""
    assert strict.errors() == []
