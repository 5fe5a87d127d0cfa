"""The product as separate processes, for tests that need a socket, a worker or a death.

A stack has a database of its own on the servers of this test run, so its processes never see the transactions of other
tests; tests make people of their own through HTTP and share one stack. Killing and restarting its processes is allowed.
"""

import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg

from tests.services import PRODUCT, free_port, redis_url

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Stack:
    """Web, workers and beat on one database; ``environment`` is what each of them was started with.

    :ivar owner_url: the database for the role that owns its tables; the processes do not know it.
    """

    base_url: str
    environment: dict[str, str]
    owner_url: str
    folder: Path
    commands: dict[str, list[str]]
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def start(self, name: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                self.commands[name],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def kill(self, name: str) -> None:
        """End a process and its children at once, as the kernel's out-of-memory killer would."""
        process = self.processes.pop(name)
        send_to_group(process, signal.SIGKILL)
        process.wait(10)

    @contextmanager
    def paused(self, name: str) -> Iterator[None]:
        """Let a process do nothing in this block, for less time than a lease lasts."""
        send_to_group(self.processes[name], signal.SIGSTOP)
        try:
            yield
        finally:
            send_to_group(self.processes[name], signal.SIGCONT)

    def stop(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                send_to_group(process, signal.SIGKILL)
                process.wait(5)
        self.processes.clear()

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def rows(self, statement: str, *parameters: object) -> list[tuple[object, ...]]:
        """Ask the stack's database directly, as the owner of its tables."""
        with psycopg.connect(self.owner_url) as connection:
            return connection.execute(statement.encode(), parameters).fetchall()


def send_to_group(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    """Send a signal to a process that leads its group and to its children.

    The id of a process that has been waited for may belong to another by now, such as a worker of pytest.
    """
    assert process.returncode is None, f"process {process.pid} has ended with {process.returncode}"
    os.killpg(process.pid, number)


def wait_for(url: str, seconds: float = 30) -> None:
    """Return when ``url`` answers 200.

    :raises TimeoutError: it never did.
    """
    deadline = time.monotonic() + seconds
    last: object = None
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=2) as response:
                if response.status == 200:
                    return
        except (urllib.error.URLError, OSError) as error:
            last = error
        time.sleep(0.1)
    raise TimeoutError(f"{url}: {last}")


_open: set[int] = set()  # Numbers of the stacks that run, counted from 0 in each worker of pytest-xdist.


@contextmanager
def own_number() -> Iterator[int]:
    """The lowest number that no other stack of this worker has."""
    number = next(number for number in itertools.count() if number not in _open)
    _open.add(number)
    try:
        yield number
    finally:
        _open.remove(number)


@contextmanager
def stack(
    *, settings: Mapping[str, str] | None = None, web: bool = True, workers: bool = True, beat: bool = True
) -> Iterator[Stack]:
    """Start web, agents worker, documents worker and beat, and end them afterwards.

    :param settings: environment variables on top of the usual ones; may name other servers, with an empty database, in
        DATABASE_URL, MIGRATION_DATABASE_URL and REDIS_URL.
    """
    port = free_port()
    with (
        own_number() as number,
        tempfile.TemporaryDirectory(prefix="orquestra-live-", ignore_cleanup_errors=True) as temporary,
    ):
        folder = Path(temporary)
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "backend.settings",
            "DATA_DIR": str(folder / "data"),
            "PUBLIC_URL": f"http://127.0.0.1:{port}",
            "SIGNUP_CREDIT": "5.00",
            "AUTH_RATE_LIMIT": "1000/min",
            "PYTHONWARNINGS": "default",
            "BIND": f"127.0.0.1:{port}",
            "WEB_CONCURRENCY": "1",
        }
        if "DATABASE_URL" not in (settings or {}):
            environment |= make_migrated_database(os.environ["DATABASE_URL"], f"live_{uuid4().hex}")
        if "REDIS_URL" not in (settings or {}):
            environment["REDIS_URL"] = redis_url(number)
        environment.update(settings or {})
        if "DATABASE_URL" in (settings or {}):
            migrate(environment)
        owner_url = environment.pop("MIGRATION_DATABASE_URL")
        python = sys.executable
        celery = [
            python,
            "-m",
            "celery",
            "-A",
            "backend",
            "worker",
            "--without-gossip",
            "--without-mingle",
            "-l",
            "INFO",
        ]
        running = Stack(
            base_url=f"http://127.0.0.1:{port}",
            environment=environment,
            owner_url=owner_url,
            folder=folder,
            commands={
                "web": [python, "-m", "gunicorn", "backend.asgi:application", "--config", "backend/server/gunicorn.py"],
                "agents": [
                    *celery,
                    "--pool=threads",
                    "--concurrency=16",
                    "-Q",
                    "agents,default",
                    "-n",
                    f"agents-{port}@%h",
                ],
                "documents": [
                    *celery,
                    "--pool=prefork",
                    "--concurrency=1",
                    "-Q",
                    "documents",
                    "-n",
                    f"documents-{port}@%h",
                ],
                "beat": [python, "-m", "celery", "-A", "backend", "beat", "-s", str(folder / "beat"), "-l", "WARNING"],
            },
        )
        try:
            for name in running.commands:
                if {"web": web, "beat": beat}.get(name, workers):
                    running.start(name)
            if web:
                wait_for(f"{running.base_url}/readyz")
            yield running
        finally:
            running.stop()


def make_database(server: str, name: str) -> dict[str, str]:
    """Create a database beside the one that ``server`` names and return its settings, for the owner and the product."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    return database_settings(server, name)


def database_settings(server: str, name: str) -> dict[str, str]:
    owner = urlsplit(server)._replace(path=f"/{name}")
    product = owner._replace(netloc=f"{PRODUCT}:product@{owner.netloc.rpartition('@')[2]}")
    return {"DATABASE_URL": urlunsplit(product), "MIGRATION_DATABASE_URL": urlunsplit(owner)}


def migrate(environment: Mapping[str, str]) -> None:
    """Bring the database that the environment names up to date."""
    migrated = subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity=0"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert migrated.returncode == 0, migrated.stderr


def make_migrated_database(server: str, name: str) -> dict[str, str]:
    """As ``make_database``, with all tables: a copy of one that the first caller of this test run migrates."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    template = f"migrated_{run}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(hashtext(%s))", [template])  # Until this connection ends.
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [template]).fetchone():
            made = make_database(server, f"{template}_unfinished")
            migrate({**os.environ, "DJANGO_SETTINGS_MODULE": "backend.settings", **made})
            connection.execute(f'ALTER DATABASE "{template}_unfinished" RENAME TO "{template}"'.encode())
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
    return database_settings(server, name)
