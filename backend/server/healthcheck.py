"""``python -m backend.server.healthcheck [web|worker|beat]``: exit code 0 if the process of this container works.

For web, requests /healthz at its own address (BIND, or HOST and PORT). For worker and beat, checks the age of
HEARTBEAT_FILE. Imports only the standard library, since this runs every few seconds.
"""

import http.client
import os
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path

TIMEOUT_SECONDS = 3.0
MAX_AGE_SECONDS = 45.0  # Heartbeats come every five to fifteen seconds.


class Unhealthy(Exception):
    """The process does not work; the message is for the log of the container."""


def web(environment: Mapping[str, str]) -> None:
    """
    :raises Unhealthy: /healthz does not answer 200.
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
        connection = http.client.HTTPConnection("localhost", timeout=TIMEOUT_SECONDS)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(TIMEOUT_SECONDS)
        connection.sock.connect(bind.removeprefix("unix:"))
        return connection
    host, _, port = bind.rpartition(":") if bind else (environment.get("HOST", ""), "", environment.get("PORT", ""))
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host.strip("[]"), host.strip("[]"))  # noqa: S104
    return http.client.HTTPConnection(host, int(port or 8000), timeout=TIMEOUT_SECONDS)


def heartbeat(environment: Mapping[str, str]) -> None:
    """
    :raises Unhealthy: there is no heartbeat, or the last one is too old.
    """
    file = environment.get("HEARTBEAT_FILE")
    if not file:
        raise Unhealthy("HEARTBEAT_FILE is not set, so there are no heartbeats")
    try:
        age = time.time() - Path(file).stat().st_mtime
    except OSError as error:
        raise Unhealthy(f"no heartbeat: {error}") from error
    if age > MAX_AGE_SECONDS:
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
