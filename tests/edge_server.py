"""The small site of tests/edge_site.py as it runs: gunicorn, two uvicorn workers, real sockets on loopback."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from backend.accounts.models import Session
from backend.accounts.tokens import AccessToken
from tests.raw_http import read_answer
from tests.services import free_port

ROOT = Path(__file__).resolve().parent.parent


class Site:
    """The running server, spoken to in bytes."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.port = free_port()
        self.log = folder / "log.jsonl"
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.edge_settings",
            "PORT": str(self.port),
            "DATA_DIR": str(folder),
            "LOG_FILE": str(self.log),
            "MAX_UPLOAD_BYTES": "3000000",
            **variables,
        }
        (folder / "static").mkdir()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "backend.asgi:application", "--config", "backend/server/gunicorn.py"],
            cwd=ROOT,
            env=environment,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                if self.get("/healthz")[0] == 200:
                    return
            except OSError:
                time.sleep(0.1)
        raise AssertionError(self.log.read_text())

    def get(self, path: str, **headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        answer = response.status, response.headers, response.read()
        connection.close()
        return answer

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def send(self, data: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send exactly this and read one answer."""
        with self.connect() as connection:
            with suppress(OSError):  # Hung up on while still sending: its answer is on the way.
                connection.sendall(data)
            return read_answer(connection)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def errors(self) -> list[dict[str, Any]]:
        """What went wrong in there, but for the bug that a route of it has."""
        wrong = [line for line in self.lines() if line["level"] in ("error", "critical")]
        return [line for line in wrong if line["event"] != "Internal Server Error: /api/v1/bug"]

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)


def bearer(user_id: UUID | None = None) -> bytes:
    """The header that a person of this installation sends; the site does not look the user up."""
    session = Session(id=uuid4(), user_id=user_id or uuid4(), amr=["pwd"])
    return f"Authorization: Bearer {AccessToken.of(session)}".encode()


def eventually(condition: Any, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)
