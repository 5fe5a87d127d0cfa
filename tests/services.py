"""A pytest plugin: real PostgreSQL and Redis of this run alone, started before Django reads its settings.

Loaded by ``-p tests.services``. Workers of pytest-xdist inherit the servers of the controlling process; each has its
own test database and its own Redis databases. DATABASE_URL and REDIS_URL, where both are set, are used as they are;
that Redis needs eight databases per worker.
"""

import atexit
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from backend.embedded import postgres, redis
from backend.embedded.privileges import end_with_launcher, own, popen_options, unprivileged

PRODUCT = "orquestra_app"  # The role that the product connects as; it does not own the tables.
STACKS = 7  # That a worker of pytest-xdist may have running at once, each with a Redis database of its own.
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}


def free_port() -> int:
    """A port that no program listens on, and below those that the system gives to outgoing connections: one of these
    could take it before the server that it is for.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    while True:
        port = random.randrange(10_000 + worker % 4 * 5_000, 15_000 + worker % 4 * 5_000)  # Not a secret.
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


def start() -> None:
    """Start both servers in a folder of their own and name them in the environment; they end with this process."""
    account = unprivileged()
    root = Path(tempfile.mkdtemp(prefix="orquestra-test-"))
    root.chmod(0o755)
    processes: list[subprocess.Popen[bytes]] = []

    def stop() -> None:
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
        shutil.rmtree(root, ignore_errors=True)

    atexit.register(stop)
    data, sockets, redis_data, files = (root / name for name in ("postgres", "sockets", "redis", "files"))
    for folder in (sockets, redis_data, files):
        folder.mkdir()
    (files / "static").mkdir()
    own(sockets, account)
    binaries = postgres.reachable_binaries(root, account)
    postgres.initialize(data, account, binaries, durable=False)
    port, redis_port = free_port(), free_port()
    with (root / "servers.log").open("wb") as log:
        processes.append(
            subprocess.Popen(
                postgres.server_command(data, binaries=binaries, port=port, sockets=sockets, settings=FAST),
                cwd="/",
                stdout=log,
                stderr=log,
                preexec_fn=end_with_launcher(signal.SIGINT),  # noqa: PLW1509  # No threads yet.
                **popen_options(account),
            )
        )
        processes.append(
            subprocess.Popen(
                [*redis.server_command(redis_data, port=redis_port, save=False), "--databases", "512"],
                cwd="/",
                stdout=log,
                stderr=log,
                preexec_fn=end_with_launcher(signal.SIGTERM),  # noqa: PLW1509  # No threads yet.
            )
        )
    postgres.wait_until_ready(data, processes[0])
    redis.wait_until_ready(redis_port, processes[1])
    os.environ["DATABASE_URL"] = f"postgres://orquestra@127.0.0.1:{port}/postgres"
    os.environ["REDIS_URL"] = f"redis://127.0.0.1:{redis_port}/0"
    os.environ["DATA_DIR"] = str(files)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    os.environ["JWT_PRIVATE_KEY"] = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def make_product_role(server: str) -> None:
    """Once per server, before several processes migrate databases of theirs."""
    with psycopg.connect(server, autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [PRODUCT]).fetchone():
            connection.execute(f"CREATE ROLE {PRODUCT} LOGIN".encode())


def redis_url(stack: int) -> str:
    """The Redis database of the stack with this number, from 0 on; the tests of this process use the one below."""
    base, _, own = os.environ["REDIS_URL"].rpartition("/")
    assert stack < STACKS
    return f"{base}/{int(own) + 1 + stack}"


if "PYTEST_XDIST_WORKER" in os.environ:
    worker = int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw"))
    os.environ["REDIS_URL"] = os.environ["REDIS_URL"].rpartition("/")[0] + f"/{(worker + 1) * (STACKS + 1)}"
else:
    if not {"DATABASE_URL", "REDIS_URL"} <= os.environ.keys():
        start()
    make_product_role(os.environ["DATABASE_URL"])

os.environ.setdefault("SIGNUP_CREDIT", "5.00")


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object | None) -> None:
    """A worker of pytest-xdist that ended by itself: its exit status says which signal did that, if one did."""
    if error is not None:
        code = node.gateway._io.popen.wait(10)
        how = f"{signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        node.config.pluginmanager.get_plugin("terminalreporter").write_line(
            f"[{node.gateway.id}] ended with {how}", red=True
        )


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI nothing is skipped: a test that cannot run there has not passed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(session.config, "workerinput"):
        return  # A worker of pytest-xdist: its controller counts.
    skipped = reporter.stats.get("skipped", [])
    if getattr(session.config, "cache", None) is not None:  # With `-p no:cacheprovider` there is none.
        session.config.cache.set("orquestra/skipped", len(skipped))  # For the closing line of checks.py.
    if skipped:
        reporter.write_line(f"{len(skipped)} tests were skipped", red=True)
        if os.environ.get("CI") and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
