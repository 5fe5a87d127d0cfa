"""What one streamed answer of 100 tokens costs through Orquestra, and how many of them it serves.

    .venv/bin/python -m benchmarks.answers [--product PATH …] [--two-requests] [--plot answers.svg] [--json]

Starts the product as ``make run`` does, with PostgreSQL and Redis of its own, and a provider that costs little. Every
process of the product counts; the clients and the provider do not. The same clients also ask the provider straight: the
"bare" column, in the same run. ``--product`` names other checkouts, which are measured one after the other: the state
before a change and the state after it. Where a product streams the answer to the POST of the question, its clients use
that, unless ``--two-requests``; else they GET the events after the POST. Takes about two minutes for each product.
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks import plot
from benchmarks.client import LAST_CHUNK, Connection
from benchmarks.processes import cpu_seconds, family, pss
from benchmarks.provider import FIRST_TEXT, TOKENS
from benchmarks.startup import READY, ROOT, free_port
from tests.http_client import ApiClient

GROUPS = ("web", "worker", "PostgreSQL", "Redis", "others")
PEOPLE = 8  # Each has a workspace; the clients are spread over them.
PACE = 20  # Milliseconds between two tokens.
GOALS = {"cpu_ms": 35.0, "answers_per_second": 40.0, "first_ms_64": 1000.0, "first_added_ms_1": 20.0}
GOALS |= {"users_me_ms": 3.0, "pss_mb": 650.0}
ATTEMPTS = 400  # Requests of users/me.
MODELS = """
[[provider]]
name = "bench"
kind = "openai-chat"
base_url = "{url}/v1"
[[provider.model]]
name = "answer-0"
input_price = "0.10"
output_price = "0.40"
context_window = 32000
max_output_tokens = 1000
[[provider.model]]
name = "answer-20"
input_price = "0.10"
output_price = "0.40"
context_window = 32000
max_output_tokens = 1000
"""

Ask = Callable[[], Awaitable[float]]  # One answer to its end; returns the seconds to its first token.
Value = Callable[["Figures"], float | None]


@dataclass
class Figures:
    """What was measured of one product, or of the bare provider, which has no web process and no memory to speak of.

    :ivar cpu_ms: milliseconds of processor time for an answer by group of processes, by milliseconds between tokens.
    :ivar first_ms: medians of the time to the first token, by number of clients.
    :ivar pss_mb: megabytes of memory by group of processes, before and after the load.
    """

    name: str
    cpu_ms: dict[int, dict[str, float]] = field(default_factory=dict)
    first_ms: dict[int, float] = field(default_factory=dict)
    answers_per_second: float = 0.0
    users_me_ms: float | None = None
    pss_mb: dict[str, dict[str, float]] = field(default_factory=dict)
    connections: int | None = None
    one_request: bool | None = None


@dataclass
class Subject:
    """Who is asked: ``asks`` prepares so many answers for each of so many clients."""

    figures: Figures
    cpu: Callable[[], dict[str, float]]
    asks: Callable[[int, int, int], Awaitable[list[list[Ask]]]]


@dataclass(frozen=True)
class Product:
    """A running launcher."""

    pid: int
    url: str

    def groups(self) -> dict[str, list[int]]:
        """Process ids by group."""
        found: dict[str, list[int]] = {group: [] for group in GROUPS}
        for pid, command in family(self.pid).items():
            found[_group_of(command)].append(pid)
        return found

    def cpu(self) -> dict[str, float]:
        return {group: cpu_seconds(pids) for group, pids in self.groups().items()}

    def memory(self) -> dict[str, float]:
        return {group: sum(map(pss, pids)) for group, pids in self.groups().items()}

    def connections(self) -> int:
        """Sessions of PostgreSQL."""
        return sum("[local]" in command for command in family(self.pid).values())


def _group_of(command: str) -> str:
    program = os.path.basename(command.split(" ", 1)[0])
    if program.startswith("postgres"):
        return "PostgreSQL"
    if program.startswith(("redis", "valkey")):
        return "Redis"
    if "gunicorn" in command:
        return "web"
    return "worker" if "-Q agents" in command else "others"


@contextmanager
def provider() -> Iterator[tuple[str, int]]:
    """A provider as a process; its URL and its id."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.provider", "--port", str(port)], cwd=ROOT)
    try:
        time.sleep(1)
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def product(checkout: Path, provider_url: str) -> Iterator[Product]:
    """The product of that checkout, started as ``make run`` does, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="orquestra-answers-", ignore_cleanup_errors=True) as temporary:
        folder, port = Path(temporary), free_port()
        folder.chmod(0o755)
        (folder / "models.toml").write_text(MODELS.format(url=provider_url), encoding="utf-8")
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": temporary,
            "PORT": str(port),
            "DATA_DIR": str(folder / "data"),
            "MODELS_FILE": str(folder / "models.toml"),
            "SIGNUP_CREDIT": "1000.00",
            "DEMO_CONTENT": "false",
            "AUTH_RATE_LIMIT": "1000/min",
        }
        output = folder / "output"
        with output.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "backend.embedded"], cwd=checkout, env=environment, stdout=file, stderr=file
            )
        try:
            deadline = time.monotonic() + 90
            while READY not in output.read_text(errors="replace"):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"{checkout} did not start:\n{output.read_text(errors='replace')[-3000:]}")
                time.sleep(0.1)
            yield Product(process.pid, f"http://127.0.0.1:{port}")
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


async def straight(connection: Connection, *, model: str) -> float:
    """Ask the provider itself."""
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "Count to a hundred."}]}
    begun = time.perf_counter()
    await connection.send("POST", "/v1/chat/completions", body)
    await connection.until(FIRST_TEXT)
    seconds = time.perf_counter() - begun
    await connection.until(LAST_CHUNK)
    return seconds


async def through(client: Connection, conversation: str, *, one_request: bool) -> float:
    """Ask the product.

    :raises RuntimeError: it refused, or the run did not end well.
    """
    path, body = f"/api/v1/conversations/{conversation}/runs", {"input": "Count to a hundred."}
    begun = time.perf_counter()
    if one_request:
        await client.send("POST", path, body, accept="text/event-stream")
    else:
        run = await client.post(path, body)
        await client.send("GET", f"/api/v1/runs/{run['id']}/events", accept="text/event-stream")
    await client.until(b"event: text.delta\n")
    seconds = time.perf_counter() - begun
    if b"event: run.completed\n" not in (rest := await client.until(LAST_CHUNK)):
        raise RuntimeError(f"a run did not complete: {rest[-500:]!r}")
    return seconds


async def streams_at_once(client: Connection, conversation: str) -> bool:
    """Whether the product streams the answer to the POST of the question."""
    path, body = f"/api/v1/conversations/{conversation}/runs", {"input": "Count to a hundred."}
    try:
        headers = await client.send("POST", path, body, accept="text/event-stream")
    except RuntimeError:
        return False
    if headers.get(b"content-type", b"").startswith(b"text/event-stream"):
        await client.until(LAST_CHUNK)
        return True
    await client.whole(headers)
    return False


async def ask_in_turns(asks: list[list[Ask]], *, spread: float = 0.0) -> list[float]:
    """Each client asks when its answer before has ended. Returns the seconds to each first token.

    :param spread: the clients begin over so many seconds; then the first answer of each does not count.
    """

    async def keep_asking(number: int, own: list[Ask]) -> list[float]:
        await asyncio.sleep(number * spread / len(asks))
        found = [await ask() for ask in own]
        return found[1:] if spread else found

    each = await asyncio.gather(*(keep_asking(*pair) for pair in enumerate(asks)))
    return [seconds for found in each for seconds in found]


async def measure_cpu(subject: Subject, *, pace: int, each: int) -> None:
    asks = await subject.asks(16, each, pace)
    before = subject.cpu()
    await ask_in_turns(asks)
    after, answers = subject.cpu(), 16 * each
    subject.figures.cpu_ms[pace] = {name: (after[name] - before[name]) / answers * 1000 for name in after}


async def measure(subject: Subject) -> None:
    """The figures that product and provider share, in the same order and with the same load."""
    await ask_in_turns(await subject.asks(16, 3, 0))  # Loads what is loaded late, and opens connections.
    first = await ask_in_turns(await subject.asks(1, 7, PACE))
    subject.figures.first_ms[1] = statistics.median(first[1:]) * 1000
    await measure_cpu(subject, pace=PACE, each=5)
    await measure_cpu(subject, pace=0, each=10)
    asks = await subject.asks(64, 6, 0)
    begun = time.perf_counter()
    await ask_in_turns(asks)
    subject.figures.answers_per_second = 64 * 6 / (time.perf_counter() - begun)
    spread = TOKENS * PACE / 1000
    first = await ask_in_turns(await subject.asks(64, 4, PACE), spread=spread)
    subject.figures.first_ms[64] = statistics.median(first) * 1000


async def measure_bare(url: str, pid: int) -> Figures:
    """The provider alone, asked by the same clients."""
    connections = [Connection(url) for _ in range(64)]

    async def asks(clients: int, each: int, pace: int) -> list[list[Ask]]:
        return [[partial(straight, connection, model=f"answer-{pace}")] * each for connection in connections[:clients]]

    figures = Figures("bare provider")
    await measure(Subject(figures, lambda: {"provider": cpu_seconds([pid])}, asks))
    for connection in connections:
        connection.close()
    return figures


async def measure_product(running: Product, figures: Figures, *, two_requests: bool) -> None:
    people = [await asyncio.to_thread(ApiClient.sign_up, running.url) for _ in range(PEOPLE)]
    agents = [
        {pace: person.agent(model=f"answer-{pace}", name=f"Counter {pace}")["id"] for pace in (0, PACE)}
        for person in people
    ]
    clients = [Connection(running.url, token=people[number % PEOPLE].tokens["access"]) for number in range(64)]

    async def conversation(number: int, pace: int) -> str:
        agent = agents[number % PEOPLE][pace]
        return str((await clients[number].post("/api/v1/conversations", {"agent": agent}))["id"])

    async def asks(count: int, each: int, pace: int) -> list[list[Ask]]:
        """Each answer in a conversation of its own, made beforehand."""

        async def own(number: int) -> list[Ask]:
            made = [await conversation(number, pace) for _ in range(each)]
            return [partial(through, clients[number], one, one_request=bool(figures.one_request)) for one in made]

        return list(await asyncio.gather(*(own(number) for number in range(count))))

    figures.one_request = not two_requests and await streams_at_once(clients[0], await conversation(0, 0))
    figures.pss_mb["before"] = running.memory()
    await measure(Subject(figures, running.cpu, asks))
    figures.pss_mb["after"], figures.connections = running.memory(), running.connections()
    before = running.cpu()
    for _ in range(ATTEMPTS):
        await clients[0].whole(await clients[0].send("GET", "/api/v1/users/me"))
    figures.users_me_ms = (sum(running.cpu().values()) - sum(before.values())) / ATTEMPTS * 1000
    for client in clients:
        client.close()
    for person in people:
        person.close()


def commit_of(checkout: Path) -> str:
    """Its short id, with a star when files differ from it."""
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty=*", "--exclude=*"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or checkout.name


def rows_of(bare: Figures, products: Sequence[Figures]) -> list[list[str]]:
    """Name of the figure, bare, each product with its ratio to bare, goal."""

    def line(name: str, value: Value, goal: float | None, *, unit: str = "ms") -> list[str]:
        reference = value(bare)
        cells = []
        for each in products:
            found = value(each)
            ratio = f" ({found / reference:.1f} ×)" if found is not None and reference else ""
            cells.append("–" if found is None else f"{found:.1f}{ratio}")
        shown = "–" if reference is None else f"{reference:.1f}"
        return [f"{name}, {unit}" if unit else name, shown, *cells, "–" if goal is None else f"{goal:g}"]

    def cpu(pace: int, goal: float | None) -> list[list[str]]:
        what = f"CPU of an answer, 16 clients, {pace} ms a token"
        return [
            line(what, lambda each: sum(each.cpu_ms[pace].values()), goal),
            *(line(f"· {group}", lambda each, of=group: each.cpu_ms[pace].get(of), None) for group in GROUPS),  # type: ignore[misc]  # The default binds it.
        ]

    def memory(when: str, *groups: str) -> Value:
        return lambda each: sum(each.pss_mb[when][group] for group in groups or GROUPS) if each.pss_mb else None

    base = bare.first_ms[1]
    return [
        *cpu(0, GOALS["cpu_ms"]),
        *cpu(PACE, None),
        line(
            "answers a second, 64 clients", lambda each: each.answers_per_second, GOALS["answers_per_second"], unit=""
        ),
        line("first token p50, 64 clients", lambda each: each.first_ms[64], GOALS["first_ms_64"]),
        line("first token p50, 1 client", lambda each: each.first_ms[1], GOALS["first_added_ms_1"] + base),
        line("CPU of GET users/me", lambda each: each.users_me_ms, GOALS["users_me_ms"]),
        line("PSS of all processes before load", memory("before"), None, unit="MB"),
        line("PSS of all processes after load", memory("after"), GOALS["pss_mb"], unit="MB"),
        *(line(f"· {group}", memory("after", group), None, unit="MB") for group in GROUPS),
        line("PostgreSQL connections after load", lambda each: each.connections, None, unit=""),
    ]


def table(bare: Figures, products: Sequence[Figures]) -> str:
    names = [f"{each.name}{', one request' if each.one_request else ''}" for each in products]
    rows = [["", "bare", *names, "goal"], *rows_of(bare, products)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def drawing(products: Sequence[Figures]) -> str:
    """The processor time of an answer as a picture."""
    bars = [
        plot.Bar(f"{each.name}, {pace} ms a token", [each.cpu_ms[pace][group] for group in GROUPS])
        for pace in (0, PACE)
        for each in products
    ]
    return plot.stacked("Processor time of an answer of 100 tokens, 16 clients (ms)", GROUPS, bars)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--product", type=Path, action="append", help="a checkout; by default this one")
    parser.add_argument("--two-requests", action="store_true", help="POST the question, then GET the events")
    parser.add_argument("--plot", type=Path, help="write the processor time as a picture (SVG)")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    checkouts = [path.resolve() for path in asked.product or [ROOT]]
    repeated = Counter(map(commit_of, checkouts))
    products = []
    with provider() as (url, pid):
        bare = asyncio.run(measure_bare(url, pid))
        for checkout in checkouts:
            commit = commit_of(checkout)
            figures = Figures(f"{checkout.name} {commit}" if repeated[commit] > 1 else commit)
            with product(checkout, url) as running:
                asyncio.run(measure_product(running, figures, two_requests=asked.two_requests))
            products.append(figures)
    if asked.plot:
        asked.plot.write_text(drawing(products), encoding="utf-8")
    if asked.json:
        print(json.dumps({"bare": vars(bare), "products": [vars(each) for each in products], "goals": GOALS}))
    else:
        print(table(bare, products))
    return 0


if __name__ == "__main__":
    sys.exit(main())
