"""``make gateway``: nginx on PORT and the four services on the ports after it, as in containers."""

import os
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path

from backend.embedded import ports
from backend.embedded.children import Child
from backend.embedded.options import ROOT, LauncherError, Options

SERVICES = ("accounts", "agents", "documents", "billing")
SUFFIX = "-service"  # Of the names of their processes; the workers use the names without it.


def find() -> None:
    """
    :raises LauncherError: nginx is not installed.
    """
    if shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin") is None:
        raise LauncherError(
            "The gateway is nginx, which is not installed here. Debian and Ubuntu: apt install nginx; macOS: brew "
            "install nginx. Without it, `make run` serves the same as one process"
        )


def services(options: Options) -> dict[str, int]:
    """The port of each service, on this machine alone.

    :raises LauncherError: there are not enough ports after PORT.
    """
    if options.port + len(SERVICES) > 65535:
        raise LauncherError(f"PORT is {options.port}; the four services need the ports after it")
    return {service: options.port + number for number, service in enumerate(SERVICES, start=1)}


def variables(name: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of a service in addition to those of all processes."""
    return {
        "SERVICES": name.removesuffix(SUFFIX),
        "WEB_CONCURRENCY": environment.get("WEB_CONCURRENCY", "1"),
        "FORWARDED_ALLOW_IPS": "127.0.0.1,::1",
    }


def child(options: Options, plain: Mapping[str, str], pids: Path) -> Child:
    """nginx; its configuration is generated when it starts."""
    folder = pids / "gateway"
    folder.mkdir(mode=0o700, exist_ok=True)
    name = f"[{options.host}]" if ":" in options.host else options.host
    environment = {
        **plain,
        **{f"GATEWAY_{service.upper()}": f"127.0.0.1:{port}" for service, port in services(options).items()},
        "GATEWAY_LISTEN": "|".join(ports.free(options.host, options.port)),
        "GATEWAY_HOSTS": "~." if options.host in ports.EVERYWHERE else f"localhost 127.0.0.1 [::1] {name}".strip(),
        "GATEWAY_RUN": str(folder),
        "GATEWAY_ACCESS_LOG": "/dev/null",  # The services have access logs.
    }
    if os.geteuid() == 0:
        environment["GATEWAY_USER"] = "root"  # No other user can read the data folder.
    command = ["sh", str(ROOT / "nginx" / "start.sh")]
    return Child("gateway", command, environment, pids, death_signal=signal.SIGTERM, grace=2.0)
