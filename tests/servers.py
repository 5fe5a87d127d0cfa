"""A PostgreSQL and a Redis that a test may end and start again."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from backend.embedded import postgres, redis
from backend.embedded.privileges import own, popen_options, unprivileged
from tests.live import make_database
from tests.services import FAST, free_port


@dataclass
class Servers:
    """Both, on ports of their own."""

    folder: Path
    postgres_port: int = field(default_factory=free_port)
    redis_port: int = field(default_factory=free_port)
    running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def start_postgres(self) -> None:
        account, sockets, data = unprivileged(), self.folder / "sockets", self.folder / "postgres"
        sockets.mkdir(exist_ok=True)
        own(sockets, account)
        binaries = postgres.reachable_binaries(self.folder, account)
        postgres.initialize(data, account, binaries, durable=False)
        # What was committed must survive the restart; only the operating system may not crash.
        settings = {**FAST, "synchronous_commit": "on"}
        command = postgres.server_command(
            data, binaries=binaries, port=self.postgres_port, sockets=sockets, settings=settings
        )
        process = subprocess.Popen(
            command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **popen_options(account)
        )
        self.running["postgres"] = process
        postgres.wait_until_ready(data, process)

    def start_redis(self) -> None:
        command = redis.server_command(self.folder, port=self.redis_port, save=False)
        process = subprocess.Popen(command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.running["redis"] = process
        redis.wait_until_ready(self.redis_port, process)

    def end(self, name: str, *, kill: bool = False) -> None:
        process = self.running.pop(name)
        if kill:
            process.kill()
        else:
            process.send_signal(2)  # SIGINT: PostgreSQL's fast shutdown.
        process.wait(20)

    def settings(self) -> dict[str, str]:
        """The environment of a stack on these servers, with a new database."""
        base = f"postgres://orquestra@127.0.0.1:{self.postgres_port}/postgres"
        return make_database(base, "live") | {"REDIS_URL": f"redis://127.0.0.1:{self.redis_port}/0"}


@contextmanager
def own_servers() -> Iterator[Servers]:
    with TemporaryDirectory(prefix="orquestra-servers-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        made = Servers(folder)
        try:
            made.start_postgres()
            made.start_redis()
            yield made
        finally:
            for name in list(made.running):
                made.end(name, kill=True)
