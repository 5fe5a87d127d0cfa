"""How much later the first token arrives through Orquestra than straight from the same provider, in milliseconds.

Starts the product as separate processes and a test provider of its own, asks straight and through, one at a time and
16 at once, and compares medians. From the question's POST to the first ``text.delta``, the event stream opened after
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
from pathlib import Path

import httpx2

from tests import services
from tests.http_client import ApiClient
from tests.live import stack

TARGETS = {1: 40.0, 16: 150.0}  # Milliseconds, by streams at once.
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


async def straight(client: httpx2.AsyncClient, url: str) -> float:
    """Seconds until the provider's own first token."""
    body = {"model": "fake-long", "stream": True, "messages": [{"role": "user", "content": "Count to a hundred."}]}
    begun = time.perf_counter()
    async with client.stream("POST", f"{url}/v1/chat/completions", json=body) as response:
        async for line in response.aiter_lines():
            if line.startswith("data: {") and '"content": "word' in line:
                return time.perf_counter() - begun
    raise RuntimeError("The provider sent no token.")


async def through(client: httpx2.AsyncClient, conversation: str) -> tuple[float, str]:
    """Seconds from the question to the first token that reaches the client, and the run."""
    begun = time.perf_counter()
    asked = await client.post(f"/api/v1/conversations/{conversation}/runs", json={"input": "Count to a hundred."})
    asked.raise_for_status()
    run = asked.json()["id"]
    async with client.stream("GET", f"/api/v1/runs/{run}/events") as response:
        async for line in response.aiter_lines():
            if line == "event: text.delta":
                return time.perf_counter() - begun, run
    raise RuntimeError("The run sent no token.")


async def finish(client: httpx2.AsyncClient, run: str) -> None:
    async with client.stream("GET", f"/api/v1/runs/{run}/events") as response:
        await response.aread()


async def measure(
    *, base_url: str, token: str, provider: str, agent: str, streams: int, rounds: int
) -> dict[str, float]:
    """Medians over all streams of all rounds; what is compared alternates, so that a busy machine is busy for both."""
    direct: list[float] = []
    ours: list[float] = []
    headers = {"Authorization": f"Bearer {token}"}
    limits = httpx2.Limits(max_connections=None)
    async with (
        httpx2.AsyncClient(timeout=60, limits=limits) as outside,
        httpx2.AsyncClient(base_url=base_url, headers=headers, timeout=60, limits=limits) as client,
    ):
        for number in range(rounds + 1):
            made = [await client.post("/api/v1/conversations", json={"agent": agent}) for _ in range(streams)]
            conversations = [answer.json()["id"] for answer in made]
            first = await asyncio.gather(*(straight(outside, provider) for _ in range(streams)))
            await asyncio.sleep(0.1)
            second = await asyncio.gather(*(through(client, conversation) for conversation in conversations))
            await asyncio.gather(*(finish(client, run) for _, run in second))
            if number:  # The first round loads the provider's SDK and opens connections.
                direct += first
                ours += [seconds for seconds, _ in second]
    added = (statistics.median(ours) - statistics.median(direct)) * 1000
    return {
        "streams": streams,
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
                            rounds=arguments.rounds if streams == 1 else max(3, arguments.rounds // 3),
                        )
                    )
                    for streams in TARGETS
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
