"""What the gateway costs and carries, against the real nginx on this machine.

Latency: p50 of GET /api/v1/users/me through nginx minus straight to the accounts service, asked by turns.
Throughput: users/me per second through the gateway with four services, and of one process that serves all, by turns.
Streams: many event streams at once for a while, with a reload of nginx in the middle; all must see their run's end.

    python -m benchmarks.gateway [--requests 400] [--clients 16] [--seconds 5] [--streams 500] [--stream-seconds 60]
                                [--json]
"""

import argparse
import asyncio
import http.client
import json
import statistics
import sys
import threading
import time
from urllib.parse import urlsplit

from tests import services
from tests.gateway import Site, nginx, site
from tests.http_client import ApiClient
from tests.live import wait_for

MAX_ADDED = 2.0  # Milliseconds at p50.


def asker(url: str, token: str) -> "tuple[http.client.HTTPConnection, dict[str, str]]":
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    return connection, {"Authorization": f"Bearer {token}"}


def ask(connection: http.client.HTTPConnection, headers: dict[str, str]) -> float:
    """Milliseconds of one request."""
    begun = time.perf_counter()
    connection.request("GET", "/api/v1/users/me", headers=headers)
    response = connection.getresponse()
    response.read()
    assert response.status == 200, response.status
    return (time.perf_counter() - begun) * 1000


def latency(through: str, straight: str, token: str, *, requests: int) -> tuple[float, float]:
    """Medians in milliseconds: through and straight."""
    ways = [asker(through, token), asker(straight, token)]
    taken: tuple[list[float], list[float]] = ([], [])
    for number in range(requests + 20):
        for way, times in zip(ways, taken, strict=True):
            milliseconds = ask(*way)
            if number >= 20:
                times.append(milliseconds)
    for connection, _ in ways:
        connection.close()
    return statistics.median(taken[0]), statistics.median(taken[1])


def throughput(url: str, token: str, *, clients: int, seconds: float) -> float:
    """Requests per second of so many clients, each with a connection of its own."""
    counts = [0] * clients
    end = time.perf_counter() + seconds

    def work(number: int) -> None:
        connection, headers = asker(url, token)
        while time.perf_counter() < end:
            ask(connection, headers)
            counts[number] += 1
        connection.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / seconds


async def stream(url: str, path: str, token: str, opened: asyncio.Queue[float]) -> str:
    """The last event that a stream brings over the one connection that it is given."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 200 " in head.splitlines()[0], head
    opened.put_nowait(time.perf_counter())
    last = ""
    try:
        while line := await reader.readline():
            if line.startswith(b"event: "):
                last = line[7:].strip().decode()
            if line.strip() == b"0":
                break  # The last chunk.
    except OSError:
        last = f"cut after {last}"
    writer.close()
    return last


async def hold(site: Site, person: ApiClient, *, streams: int, seconds: float) -> tuple[int, float]:
    """How many of the streams saw their run's end, and how many seconds the last needed to open."""
    agent = person.agent()
    site.stack.kill("agents")  # So that the run waits and its streams stay open.
    run = person.start(agent["id"], "Who is there?")
    opened: asyncio.Queue[float] = asyncio.Queue()
    begun = time.perf_counter()
    path = f"/api/v1/runs/{run['id']}/events"
    tasks = [asyncio.create_task(stream(site.url, path, person.tokens["access"], opened)) for _ in range(streams)]
    async with asyncio.timeout(60):
        needed = max([await opened.get() for _ in range(streams)]) - begun
    await asyncio.sleep(seconds / 2)
    await asyncio.to_thread(site.front.run, "reload")
    await asyncio.sleep(seconds / 2)
    site.stack.start("agents")
    endings = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 120)
    return sum(ending in ("run.completed", "run.failed") for ending in endings), needed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each of three turns of each way")
    parser.add_argument("--streams", type=int, default=500)
    parser.add_argument("--stream-seconds", type=float, default=60.0)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    if nginx() is None:
        print("nginx is not installed here: nothing to measure", file=sys.stderr)
        return 1
    with site(settings={"WEB_CONCURRENCY": "2", "STREAMS_PER_USER": str(chosen.streams)}) as running:
        person = ApiClient.sign_up(running.url)
        token = person.tokens["access"]
        alone = f"http://127.0.0.1:{services.free_port()}"
        bind = f"BIND={urlsplit(alone).netloc}"
        python = [sys.executable, "-m", "gunicorn", "--config", "backend/server/gunicorn.py"]
        running.stack.commands["alone"] = ["env", bind, *python]
        running.stack.start("alone")
        wait_for(f"{alone}/readyz")

        through, straight = latency(running.url, running.straight("accounts"), token, requests=chosen.requests)
        rates: dict[str, list[float]] = {running.url: [], alone: []}
        for _ in range(3):
            for url, found in rates.items():
                found.append(throughput(url, token, clients=chosen.clients, seconds=chosen.seconds))
        four, one = (statistics.median(found) for found in rates.values())
        running.stack.kill("alone")
        ended, needed = asyncio.run(hold(running, person, streams=chosen.streams, seconds=chosen.stream_seconds))
        person.close()
    good = through - straight <= MAX_ADDED and four >= one and ended == chosen.streams
    if chosen.json:
        figures = {"through_ms": through, "straight_ms": straight, "max_added_ms": MAX_ADDED}
        figures |= {"four_services_per_second": four, "one_process_per_second": one}
        figures |= {"streams": chosen.streams, "streams_ended": ended, "stream_seconds": chosen.stream_seconds}
        print(json.dumps(figures))
        return 0 if good else 1
    print(f"users/me, p50 through nginx      {through:8.2f} ms")
    print(f"users/me, p50 straight           {straight:8.2f} ms")
    print(f"added by nginx                   {through - straight:8.2f} ms      max {MAX_ADDED}")
    print(f"users/me/s, four services        {four:8.0f}")
    print(f"users/me/s, one process          {one:8.0f}")
    held = f"streams held {chosen.stream_seconds:.0f} s"
    print(f"{held:<32} {ended:8d} of {chosen.streams}, over a reload; open after {needed:.1f} s")
    print("good" if good else "NOT GOOD ENOUGH")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
