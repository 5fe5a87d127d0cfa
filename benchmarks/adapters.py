"""CPU that this process spends on one streamed answer of 100 chunks, through each adapter and through bare httpx.

    python -m benchmarks.adapters [--answers 200] [--tokens-per-second 200] [--json]

With a pace, 16 answers stream at once and every chunk arrives by itself, as from a real provider; without, the chunks
arrive as fast as they are read, several in one read. The provider runs in another process. Every figure comes from the
same run; the ratios carry over to other machines, the milliseconds do not.
"""

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

CHUNKS = 100
WARM_UP = 5
AT_ONCE = 16  # With a pace.
ROUNDS = 5


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for(port: int) -> None:
    for _ in range(100):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit("The provider did not start.")


async def cost(answer: Callable[[], Awaitable[int]], answers: int, at_once: int) -> float:
    """Milliseconds of CPU for one answer."""
    for _ in range(WARM_UP if at_once == 1 else 1):
        assert await answer() == CHUNKS
    before = time.process_time()
    for _ in range(-(-answers // at_once)):
        await asyncio.gather(*(answer() for _ in range(at_once)))
    return (time.process_time() - before) / (-(-answers // at_once) * at_once) * 1000


async def measure(port: int, answers: int, at_once: int) -> dict[str, float]:
    """Milliseconds of CPU for one answer, by adapter."""
    import httpx2
    import msgspec

    from backend.llm.catalog import catalog
    from backend.llm.chat import ChatRequest, Message, TextDelta, chat_model
    from backend.llm.clients import close_clients

    async with httpx2.AsyncClient() as client:

        async def bare() -> int:
            """Only what extracts the text: lines split and decoded, nothing checked."""
            body = {"model": "fake-long", "stream": True, "messages": [{"role": "user", "content": "Go on."}]}
            found = 0
            async with client.stream("POST", f"http://127.0.0.1:{port}/v1/chat/completions", json=body) as response:
                async for line in response.aiter_lines():
                    if line.startswith("data: {"):
                        choices = msgspec.json.decode(line[6:]).get("choices")
                        found += bool(choices and choices[0]["delta"].get("content"))
            return found

        subjects: dict[str, Callable[[], Awaitable[int]]] = {"bare httpx": bare}
        for provider in catalog().providers:
            request = ChatRequest(model=provider.models[0], messages=(Message(role="user", text="Go on."),))

            async def ours(request: ChatRequest = request) -> int:
                stream = chat_model(request.model).stream(request)
                return len([event async for event in stream if isinstance(event, TextDelta)])

            subjects[provider.kind] = ours
        # By turns, and the best of each: whatever else the machine does then burdens all alike.
        rounds = [
            {name: await cost(subject, answers // ROUNDS, at_once) for name, subject in subjects.items()}
            for _ in range(ROUNDS)
        ]
    await close_clients()
    return {name: min(figures[name] for figures in rounds) for name in subjects}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--answers", type=int, default=200)
    parser.add_argument("--tokens-per-second", type=float)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    port = free_port()
    pace = ["--tokens-per-second", str(asked.tokens_per_second)] if asked.tokens_per_second else []
    provider = subprocess.Popen([sys.executable, "-m", "tests.providers", "--port", str(port), *pace])
    try:
        wait_for(port)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "models.toml"
            kinds = {"openai-chat": "/v1", "openai-responses": "/v1", "anthropic": ""}
            file.write_text(
                "\n".join(
                    f'[[provider]]\nname = "{kind}"\nkind = "{kind}"\nbase_url = "http://127.0.0.1:{port}{path}"\n'
                    f'[[provider.model]]\nname = "fake-long"\ncontext_window = 32000\n'
                    for kind, path in kinds.items()
                )
            )
            os.environ["MODELS_FILE"] = str(file)
            os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.settings")
            import django

            django.setup()
            best = asyncio.run(measure(port, asked.answers, AT_ONCE if pace else 1))
    finally:
        provider.terminate()
        provider.wait(10)
    if asked.json:
        print(json.dumps({"cpu_ms": best}))
        return
    for name, spent in best.items():
        print(f"{name:<18}{spent:6.2f} ms   {spent / best['bare httpx']:4.2f} × bare httpx")


if __name__ == "__main__":
    main()
