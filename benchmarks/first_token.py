"""How much later the first token arrives through Orquestra than straight from the same provider, in milliseconds.

Starts the product as separate processes and a test provider of its own, asks straight and through, and compares
medians: one question at a time; 16 streams, each client asking again when its answer has ended; and the worst case,
16 questions in the same instant. From the question's POST to the first ``text.delta``, the event stream opened after
the POST was answered: what a browser does.

    python -m benchmarks.first_token [--rounds 15] [--json]
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.client import LAST_CHUNK, Connection
from tests import services
from tests.http_client import ApiClient
from tests.live import stack

TARGETS = {1: 40.0, 16: 150.0}  # Milliseconds, by streams at once.
STREAM_SECONDS = 2.0  # How long one answer takes: 100 tokens at 50 per second.
MODELS = """
[[provider]]
name = "bench"
kind = "openai-chat"
base_url = "{url}/v1"
[[provider.model]]
name = "fake-long"
input_price = "0.10"
output_price = "0.40"
context_window = 32000
max_output_tokens = 1000
"""

Ask = Callable[[], Awaitable[float]]


async def straight(provider: Connection) -> float:
    """Seconds until the provider's own first token."""
    body = {"model": "fake-long", "stream": True, "messages": [{"role": "user", "content": "Count to a hundred."}]}
    begun = time.perf_counter()
    await provider.send("POST", "/v1/chat/completions", body)
    await provider.until(b'"content": "word')
    seconds = time.perf_counter() - begun
    await provider.until(LAST_CHUNK)
    return seconds


async def through(client: Connection, conversation: str) -> float:
    """Seconds from the question to the first token that reaches the client, which reads on to the end."""
    begun = time.perf_counter()
    run = await client.post(f"/api/v1/conversations/{conversation}/runs", {"input": "Count to a hundred."})
    await client.send("GET", f"/api/v1/runs/{run['id']}/events")
    await client.until(b"event: text.delta\n")
    seconds = time.perf_counter() - begun
    await client.until(LAST_CHUNK)
    return seconds


async def in_the_same_instant(asks: list[Ask]) -> list[float]:
    """Seconds to each first token."""
    return await asyncio.gather(*(ask() for ask in asks))


async def always_open(asks: list[Ask]) -> list[float]:
    """Seconds to each first token while each client has a stream open: it asks again when its answer has ended.

    They begin one after the other, spread over the time that an answer takes; the first of each does not count.
    """

    async def keep_asking(number: int, ask: Ask) -> list[float]:
        await asyncio.sleep(number * STREAM_SECONDS / len(asks))
        return [await ask() for _ in range(4)][1:]

    each = await asyncio.gather(*(keep_asking(*pair) for pair in enumerate(asks)))
    return [seconds for found in each for seconds in found]


async def measure(
    *, base_url: str, token: str, provider: str, agent: str, streams: int, rounds: int, spread: bool
) -> dict[str, Any]:
    """Medians over all streams of all rounds; what is compared alternates, so that a busy machine is busy for both."""
    direct: list[float] = []
    ours: list[float] = []
    ask_all = always_open if spread else in_the_same_instant
    outside = [Connection(provider) for _ in range(streams)]
    clients = [Connection(base_url, token=token) for _ in range(streams)]
    try:
        for number in range(rounds + 1):
            made = [await client.post("/api/v1/conversations", {"agent": agent}) for client in clients]
            pairs = zip(clients, made, strict=True)
            first = await ask_all([partial(straight, connection) for connection in outside])
            await asyncio.sleep(0.1)
            second = await ask_all([partial(through, client, conversation["id"]) for client, conversation in pairs])
            if number:  # The first round loads the provider's SDK and opens connections.
                direct += first
                ours += second
    finally:
        for connection in (*outside, *clients):
            connection.close()
    added = (statistics.median(ours) - statistics.median(direct)) * 1000
    return {
        "streams": streams,
        "spread": spread,
        "straight_ms": round(statistics.median(direct) * 1000, 1),
        "through_ms": round(statistics.median(ours) * 1000, 1),
        "added_ms": round(added, 1),
        "added_p90_ms": round((statistics.quantiles(ours, n=10)[-1] - statistics.median(direct)) * 1000, 1),
        "target_ms": TARGETS[streams],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="First token through Orquestra minus straight from the provider.")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if "DATABASE_URL" not in os.environ:
        services.start()
    port = services.free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "tests.providers", "--port", str(port), "--tokens-per-second", "50"]
    provider = subprocess.Popen(command)
    try:
        with tempfile.TemporaryDirectory() as folder:
            models = Path(folder) / "models.toml"
            models.write_text(MODELS.format(url=url), encoding="utf-8")
            settings = {"MODELS_FILE": str(models), "SIGNUP_CREDIT": "1000.00", "WEB_CONCURRENCY": "2"}
            with stack(settings=settings) as running:
                person = ApiClient.sign_up(running.base_url)
                agent = person.agent(model="fake-long")["id"]
                wait_for_provider(url)
                found = [
                    asyncio.run(
                        measure(
                            base_url=running.base_url,
                            token=person.tokens["access"],
                            provider=url,
                            agent=agent,
                            streams=streams,
                            rounds=rounds,
                            spread=spread,
                        )
                    )
                    for streams, rounds, spread in (
                        (1, arguments.rounds, False),
                        (16, max(2, arguments.rounds // 5), True),
                        (16, max(3, arguments.rounds // 3), False),
                    )
                ]
                person.close()
    finally:
        provider.terminate()
        provider.wait(10)
    if arguments.json:
        print(json.dumps({"first_token": found}))
    else:
        for figures in found:
            print("  ".join(f"{name} {value}" for name, value in figures.items()))
    return 0 if all(figures["added_ms"] < figures["target_ms"] for figures in found) else 1


def wait_for_provider(url: str) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=1)
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(url)


if __name__ == "__main__":
    sys.exit(main())
