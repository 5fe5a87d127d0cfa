"""``python -m backend.server.healthcheck [web|worker|beat]``: exit code 0 when the process of this container works.

web asks /healthz at its own address (BIND, or HOST and PORT); worker and beat have written HEARTBEAT_FILE of late.
The standard library alone, since this runs every few seconds.
"""

import http.client
import os
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path

SECONDS = 3.0
FRESH = 45.0  # Seconds; heartbeats come every five to fifteen.


class Unhealthy(Exception):
    """Why, in words for whoever reads the container's log."""


def web(environment: Mapping[str, str]) -> None:
    """
    :raises Unhealthy: it does not answer 200.
    """
    name = environment.get("ALLOWED_HOSTS", "localhost").split(",")[0].strip().lstrip(".")
    connection = _connect(environment)
    try:
        connection.request("GET", "/healthz", headers={"Host": "localhost" if name in ("", "*") else name})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise Unhealthy(f"the web process does not answer: {error}") from error
    finally:
        connection.close()
    if status != http.HTTPStatus.OK:
        raise Unhealthy(f"/healthz answers {status}")


def _connect(environment: Mapping[str, str]) -> http.client.HTTPConnection:
    bind = environment.get("BIND") or ""
    if bind.startswith("unix:"):
        connection = http.client.HTTPConnection("localhost", timeout=SECONDS)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(SECONDS)
        connection.sock.connect(bind.removeprefix("unix:"))
        return connection
    host, _, port = bind.rpartition(":") if bind else (environment.get("HOST", ""), "", environment.get("PORT", ""))
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host.strip("[]"), host.strip("[]"))  # noqa: S104
    return http.client.HTTPConnection(host, int(port or 8000), timeout=SECONDS)


def heartbeat(environment: Mapping[str, str]) -> None:
    """
    :raises Unhealthy: there has been none for a while.
    """
    file = environment.get("HEARTBEAT_FILE")
    if not file:
        raise Unhealthy("HEARTBEAT_FILE is not set, so there are no heartbeats")
    try:
        age = time.time() - Path(file).stat().st_mtime
    except OSError as error:
        raise Unhealthy(f"no heartbeat: {error}") from error
    if age > FRESH:
        raise Unhealthy(f"the last heartbeat was {age:.0f} s ago")


CHECKS = {"web": web, "worker": heartbeat, "beat": heartbeat}


def main(arguments: list[str]) -> int:
    kind = arguments[0] if arguments else "web"
    if kind not in CHECKS:
        sys.stderr.write(f"healthcheck: {kind!r} is none of {', '.join(CHECKS)}\n")
        return 2
    try:
        CHECKS[kind](os.environ)
    except (Unhealthy, OSError) as error:
        sys.stderr.write(f"healthcheck: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
