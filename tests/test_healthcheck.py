"""``python -m backend.server.healthcheck``: what it believes, and heartbeats of real processes."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from django.conf import settings
from redis import Redis

from backend.server import healthcheck
from tests.gateway import eventually
from tests.live import ROOT, send_to_group

WORKER = ["worker", "--without-gossip", "--without-mingle", "-Q", "nobody", "--concurrency=1"]


class Answers(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        known = self.path == "/healthz" and self.headers["Host"] == "api.example.com"
        self.send_response(self.status if known else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), Answers) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        monkeypatch.setenv("ALLOWED_HOSTS", ".api.example.com,localhost")
        monkeypatch.setenv("BIND", f"0.0.0.0:{made.server_port}")
        yield made
        made.shutdown()


def test_a_web_process_that_answers_is_healthy(server: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert healthcheck.main([]) == healthcheck.main(["web"]) == 0
    monkeypatch.setattr(Answers, "status", 503)
    assert healthcheck.main([]) == 1


def test_a_web_process_that_does_not_answer_is_unhealthy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BIND", "127.0.0.1:9")
    assert healthcheck.main(["web"]) == 1
    assert "does not answer" in capsys.readouterr().err
    assert healthcheck.main(["nonsense"]) == 2


@pytest.mark.parametrize("kind", ["worker", "beat"])
def test_a_heartbeat_must_be_fresh(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEARTBEAT_FILE", raising=False)
    assert healthcheck.main([kind]) == 1
    file = tmp_path / "heartbeat"
    monkeypatch.setenv("HEARTBEAT_FILE", str(file))
    assert healthcheck.main([kind]) == 1
    file.touch()
    assert healthcheck.main([kind]) == 0
    old = time.time() - healthcheck.MAX_AGE_SECONDS - 1
    os.utime(file, (old, old))
    assert healthcheck.main([kind]) == 1


@contextmanager
def celery(file: Path, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "backend", *arguments],
        cwd=ROOT,
        env={**os.environ, "HEARTBEAT_FILE": str(file), "PYTHONWARNINGS": "default"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:  # Else its id may belong to another process by now.
            send_to_group(process, signal.SIGKILL)
        process.wait(10)


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_the_heartbeat_of_a_worker_passes_through_the_broker_and_its_pool(tmp_path: Path, pool: str) -> None:
    file = tmp_path / "heartbeat"
    with celery(file, *WORKER, f"--pool={pool}", "-n", f"{pool}@test") as process:
        eventually(file.exists, seconds=60)
        first = file.stat().st_mtime
        eventually(lambda: file.stat().st_mtime > first, seconds=30)
        if pool == "prefork":  # Its pool hangs, while the worker itself goes on.
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            for child in children:
                os.kill(int(child), signal.SIGSTOP)
            time.sleep(1)
            last = file.stat().st_mtime
            time.sleep(12)
            assert file.stat().st_mtime == last


def test_beat_has_a_heartbeat_when_it_has_sent_a_task(tmp_path: Path) -> None:
    file = tmp_path / "heartbeat"
    with celery(file, "beat", "--schedule", str(tmp_path / "schedule"), "--pidfile="):
        eventually(file.exists, seconds=60)


def test_a_worker_can_run_beat_too(tmp_path: Path) -> None:
    """It takes no tasks of the sweeps here, so that what its beat sends stays in the queue."""
    options = ["--pool=threads", "--with-beat", str(tmp_path / "schedule"), "-n", "beat@test"]
    with Redis.from_url(settings.REDIS_URL) as redis, celery(tmp_path / "heartbeat", *WORKER, *options) as process:
        eventually(lambda: redis.llen("default") > 0, seconds=60)
        process.terminate()
        assert process.wait(20) == 0  # Its beat does not keep it.
