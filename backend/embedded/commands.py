"""The programs that the launcher runs, each with only the environment variables that it needs."""

import hashlib
import hmac
import secrets
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

from backend.embedded import gateway, identity, keys, ports, postgres, redis
from backend.embedded.children import Child
from backend.embedded.folders import Folders, fingerprint
from backend.embedded.options import ROOT, Options

AGENT_THREADS = 64  # Each waits for one run's provider, almost all of the time.
DEFAULT_THREADS = 8
DOCUMENT_PROCESSES = 1
CELERY = ("celery", "--quiet", "-A", "backend")
QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=INFO")
POSTGRES_SETTINGS = {
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "min_wal_size": "64MB",
    "max_connections": "120",
    "io_method": "sync",  # No idle I/O worker processes.
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
}


class Commands:
    """:ivar descriptors: the listening sockets that the web process, or each of the four services, inherits."""

    def __init__(self, options: Options, folders: Folders, *, descriptors: Mapping[str, Sequence[int]]) -> None:
        self._options = options
        self._folders = folders
        self._secrets = folders.root / "secrets"
        self._descriptors = descriptors
        self._first_password = not (self._secrets / "operator-password").exists()
        self.redis_socket = folders.sockets / "redis.sock"
        self.binaries = postgres.reachable_binaries(folders.place, folders.account)

    # The operator -----------------------------------------------------------------------------------------------------

    @cached_property
    def _operator_password(self) -> str:
        return self._options.operator_password or keys.text(self._secrets, "operator-password", length=16)

    @property
    def operator_password_hint(self) -> str:
        """The line to print: the password the first time, later its source."""
        if self._options.operator_password:
            return "as set by OPERATOR_PASSWORD"
        if self._first_password:
            return self._operator_password
        return f"as set before (the first one is in {self._secrets / 'operator-password'})"

    @property
    def fingerprint(self) -> str:
        """Of all inputs of the preparation. It includes a password that the user set, but does not reveal it."""
        key = keys.text(self._secrets, "secret-key").encode()
        password = hmac.new(key, (self._options.operator_password or "").encode(), hashlib.sha256).hexdigest()
        database = hmac.new(key, self._database_password.encode(), hashlib.sha256).hexdigest()
        return fingerprint(ROOT, self._options.operator_email, password, database)

    # The database -----------------------------------------------------------------------------------------------------

    @cached_property
    def superuser_password(self) -> str:
        """A new one at each start, stored nowhere: only the preparation connects as the superuser."""
        return secrets.token_urlsafe(30)

    @cached_property
    def _database_password(self) -> str:
        return keys.text(self._secrets, "database-password")

    def _database_url(self, role: str, password: str) -> str:
        place = quote(f"{self._folders.sockets}/{postgres.DATABASE}", safe="")
        return f"postgres://{role}:{password}@/{place}"

    # The environment --------------------------------------------------------------------------------------------------

    @cached_property
    def _plain(self) -> dict[str, str]:
        """The variables of every child, the servers included."""
        return {
            name: value for name, value in self._options.passed_on.items() if name in ("PATH", "HOME", "TMPDIR", "TZ")
        } | {"LC_ALL": "C", identity.MARK: self._folders.instance}

    @cached_property
    def _environment(self) -> dict[str, str]:
        options, kept = self._options, self._secrets
        hosts = ["localhost", "127.0.0.1", "[::1]", *([options.host] if options.host else [])]
        if options.host in ports.EVERYWHERE:
            hosts += [socket.gethostname(), socket.getfqdn()]
        return {
            "PUBLIC_URL": options.url,
            "ALLOWED_HOSTS": ",".join(dict.fromkeys(hosts)),
            "SIGNUP_CREDIT": "5.00",
            "DEMO_CONTENT": "true",
            # Of each process, for all its threads: more would compute no faster here, and each holds some megabytes.
            "DATABASE_POOL_SIZE": "6",
            "RUN_DRAIN_SECONDS": "2.5",  # All processes must stop within ten seconds.
            **options.passed_on,
            identity.MARK: self._folders.instance,
            "DJANGO_SETTINGS_MODULE": "backend.settings",
            "DEBUG": "false",
            "LOG_FORMAT": "json",
            "DATA_DIR": str(options.data_dir),
            "DATABASE_URL": self._database_url(postgres.PRODUCT, self._database_password),
            "REDIS_URL": f"unix://{quote(str(self.redis_socket))}?db=0",
            "SECRET_KEY": keys.text(kept, "secret-key"),
            "JWT_PRIVATE_KEY_FILE": str(keys.rsa(kept, "jwt-private-key.pem")),
            "PYTHONUNBUFFERED": "1",
            "PYTHONUTF8": "1",
            "MALLOC_ARENA_MAX": "2",  # Threads share heaps: less memory, hardly slower.
            "MALLOC_TRIM_THRESHOLD_": "131072",  # Free memory goes back to the system: 40 MB of the web processes.
            "MALLOC_MMAP_THRESHOLD_": "131072",
        }

    # The programs -----------------------------------------------------------------------------------------------------

    def postgres(self) -> Child:
        folders = self._folders
        return Child(
            "postgres",
            postgres.server_command(
                folders.cluster, binaries=self.binaries, sockets=folders.sockets, settings=POSTGRES_SETTINGS
            ),
            self._plain,
            self._pids,
            stop_signal=postgres.STOP,
            death_signal=postgres.STOP,
            grace=2.5,
            account=folders.account,
        )

    def redis(self) -> Child:
        command = redis.server_command(self._folders.root / "redis", unix_socket=self.redis_socket, save=True)
        return Child("redis", command, self._plain, self._pids, grace=2.5)

    def preparation(self) -> Child:
        """Migrations and the operator, before the product starts. It waits for the cluster itself."""
        needed = {
            "CLUSTER": str(self._folders.cluster),
            "MIGRATION_DATABASE_URL": self._database_url(postgres.USER, self.superuser_password),
            "OPERATOR_EMAIL": self._options.operator_email,
            "OPERATOR_PASSWORD": self._operator_password,
        }
        if self._options.operator_password:
            needed["OPERATOR_PASSWORD_CHANGES"] = "true"
        return self._python("prepare", "-m", "backend.embedded.prepare", once=True, more=needed)

    def product(self) -> list[Child]:
        beat = str(self._folders.root / "run" / "beat")
        return [
            *(self._web(name, inherited) for name, inherited in self._descriptors.items()),
            *([gateway.child(self._options, self._plain, self._pids)] if self._options.gateway else []),
            self._python("agents", "-m", *CELERY, "worker", *self._worker("agents", "threads", AGENT_THREADS)),
            self._python(
                "documents",
                "-m",
                *CELERY,
                "worker",
                *self._worker("documents", "prefork", DOCUMENT_PROCESSES),
            ),
            # Mail, purges and sweeps must not wait for answers and documents. This worker runs beat too.
            self._python(
                "default",
                *("-m", *CELERY, "worker", "--with-beat", beat, *self._worker("default", "threads", DEFAULT_THREADS)),
            ),
        ]

    def _web(self, name: str, descriptors: Sequence[int]) -> Child:
        binds = [part for descriptor in descriptors for part in ("--bind", f"fd://{descriptor}")]
        child = self._python(
            name,
            *("-m", "gunicorn", "--config", "backend/server/gunicorn.py"),
            *binds,
            *("--graceful-timeout", "2"),
            grace=2.8,
            more=gateway.variables(name, self._environment) if self._options.gateway else None,
        )
        child.descriptors = descriptors
        return child

    @staticmethod
    def _worker(queue: str, pool: str, size: int) -> Sequence[str]:
        return (f"--pool={pool}", f"--concurrency={size}", "-Q", queue, "-n", f"{queue}@%h", *QUIET)

    def _python(
        self, name: str, *arguments: str, grace: float = 4.2, once: bool = False, more: dict[str, str] | None = None
    ) -> Child:
        """A Python of our own environment. On the launcher's death web and workers get SIGQUIT, which to gunicorn and
        Celery means: stop without waiting for work.
        """
        return Child(
            name,
            [
                sys.executable,
                "-X",
                f"{identity.MARK}={self._folders.instance}",
                "-W",
                "ignore:You're running the worker with superuser",
                *arguments,
            ],
            {**self._environment, **(more or {})},
            self._pids,
            death_signal=signal.SIGTERM if once else signal.SIGQUIT,
            grace=grace,
            once=once,
        )

    @property
    def _pids(self) -> Path:
        return self._folders.root / "run"
