"""The product as four services behind the real nginx, for tests and benchmarks of the gateway."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from backend.embedded.gateway import SERVICES
from tests.live import ROOT, Stack, send_to_group, stack, wait_for
from tests.raw_http import read_answer
from tests.services import free_port

START = ROOT / "nginx" / "start.sh"
GENEROUS = {  # Tests and benchmarks are one client, and a busy one.
    "GATEWAY_RATE_API": "100000",
    "GATEWAY_BURST_API": "100000",
    "GATEWAY_RATE_AUTH": "60000",
    "GATEWAY_BURST_AUTH": "10000",
    "GATEWAY_REQUESTS_PER_CLIENT": "5000",
    "GATEWAY_STREAMS_PER_CLIENT": "5000",
    "GATEWAY_CLIENT_TIMEOUT": "2s",
}
PROTECTION = {"x-content-type-options": "nosniff", "x-frame-options": "DENY", "referrer-policy": "same-origin"}


def nginx() -> str | None:
    """Where nginx is installed."""
    return shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/local/sbin:/usr/sbin")


needs_nginx = pytest.mark.skipif(nginx() is None, reason="nginx is not installed: the gateway is not tested")


@dataclass
class Nginx:
    """One nginx in front of a stack, spoken to in bytes."""

    name: str
    port: int
    folder: Path
    environment: Mapping[str, str]

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=15)

    def send(self, data: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send exactly this and read one answer."""
        with self.connect() as connection:
            with suppress(OSError):  # Hung up on while still sending: its answer is on the way.
                connection.sendall(data)
            try:
                return read_answer(connection)
            except ConnectionResetError:
                return 0, {}, b""

    def lines(self) -> list[dict[str, Any]]:
        """The access log."""
        return [json.loads(line) for line in (self.folder / "access.log").read_text().splitlines()]

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """``start.sh test`` or ``start.sh reload``."""
        command = ["sh", str(START), *arguments]
        return subprocess.run(
            command, env=dict(self.environment), capture_output=True, text=True, timeout=30, check=False
        )

    def workers(self) -> set[int]:
        """The process ids of its workers, old ones too that still have streams."""
        master = int((self.folder / "nginx.pid").read_text())
        children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        return {int(pid) for pid in children if "worker" in Path(f"/proc/{pid}/cmdline").read_text()}


@dataclass
class Site:
    """:ivar ports: of each service, behind nginx's back."""

    stack: Stack
    folder: Path
    ports: dict[str, int]
    front: Nginx
    others: dict[str, Nginx] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.front.port}"

    def straight(self, service: str) -> str:
        return f"http://127.0.0.1:{self.ports[service]}"

    def add_nginx(self, name: str, *, port: int | None = None, **variables: str) -> Nginx:
        """One more nginx, with settings of its own."""
        made = make_nginx(self.folder, name, self.ports, port or free_port(), **variables)
        self.stack.commands[name] = command_of(made)
        self.stack.start(name)
        eventually(lambda: accepts(made.port))
        self.others[name] = made
        return made

    def kill(self, service: str) -> None:
        self.stack.kill(process(service))

    def start(self, service: str) -> None:
        self.stack.start(process(service))

    def send_signal(self, service: str, number: signal.Signals) -> None:
        """To all of its processes."""
        send_to_group(self.stack.processes[process(service)], number)


def process(service: str) -> str:
    """How a stack calls it; by their short names it calls the workers."""
    return f"{service}-service"


def make_nginx(folder: Path, name: str, ports: Mapping[str, int], port: int, **variables: str) -> Nginx:
    run = folder / name
    run.mkdir()
    run.chmod(0o755)  # Its workers are other people when root started it.
    services = {f"GATEWAY_{service.upper()}": f"127.0.0.1:{ports[service]}" for service in SERVICES}
    environment = {
        "PATH": os.environ["PATH"],
        **services,
        "GATEWAY_LISTEN": f"127.0.0.1:{port}",
        "GATEWAY_RUN": str(run),
        "GATEWAY_ACCESS_LOG": str(run / "access.log"),
        **variables,
    }
    return Nginx(name, port, run, environment)


def command_of(made: Nginx) -> list[str]:
    return ["env", "-i", *(f"{name}={value}" for name, value in made.environment.items()), "sh", str(START)]


def problem(answer: tuple[int, dict[str, str], bytes]) -> dict[str, Any]:
    """The document of a refusal, after looking at everything that all of them share."""
    status, headers, body = answer
    assert headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = json.loads(body)
    assert document["status"] == status
    assert document["type"] == f"urn:orquestra:problem:{document['code']}"
    assert document["request_id"] == headers["x-request-id"]
    assert document.keys() >= {"title", "detail", "instance"}
    assert headers.items() >= PROTECTION.items()
    return document


def accepts(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def eventually(condition: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


@contextmanager
def site(*, settings: Mapping[str, str] | None = None, workers: bool = True, **variables: str) -> Iterator[Site]:
    """Four services behind one nginx, with their workers and beat.

    :param settings: as those of ``tests.live.stack``.
    :param variables: GATEWAY_… of nginx, on top of GENEROUS.
    """
    ports = {service: free_port() for service in SERVICES}
    port = free_port()
    environment = {
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "FORWARDED_ALLOW_IPS": "127.0.0.1",
        "LOG_FORMAT": "json",
        "WEB_CONCURRENCY": "1",
        "WEB_GRACEFUL_SECONDS": "2",
        **(settings or {}),
    }
    with TemporaryDirectory(prefix="orquestra-gateway-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        with stack(settings=environment, web=False, workers=workers, beat=workers) as running:
            front = make_nginx(folder, "gateway", ports, port, **{**GENEROUS, **variables})
            gunicorn = [sys.executable, "-m", "gunicorn", "--config", "backend/server/gunicorn.py"]
            for service in SERVICES:
                bind = f"BIND=127.0.0.1:{ports[service]}"
                running.commands[process(service)] = ["env", f"SERVICES={service}", bind, *gunicorn]
                running.start(process(service))
            running.commands[front.name] = command_of(front)
            running.start(front.name)
            made = Site(running, folder, ports, front)
            for service in SERVICES:
                wait_for(f"{made.straight(service)}/readyz")
            wait_for(f"{made.url}/readyz")
            yield made
