"""The settings of gunicorn: ``gunicorn --config backend/server/gunicorn.py``.

Every service is served in the same way: the event loop waits for clients, and threads do the work.

BIND (or HOST and PORT), WEB_CONCURRENCY, WEB_GRACEFUL_SECONDS and FORWARDED_ALLOW_IPS come from the environment; an
option on the command line overrides all of them.
"""

import gc
import os
import resource
import shutil
from typing import Any

from backend import settings
from backend.server import garbage
from backend.server.logs import dict_config

OPEN_FILES = 16_384

# Each connection is an open file. One client alone can open 1,024 connections, a common limit.
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
if 0 <= soft < OPEN_FILES:
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES if hard < 0 else min(OPEN_FILES, hard), hard))

gc.disable()  # While modules load, since their objects stay. The workers enable it.
host, port = os.environ.get("HOST", "127.0.0.1"), os.environ.get("PORT", "8000")
bind = [os.environ.get("BIND", "") or (f"[{host}]:{port}" if ":" in host else f"{host}:{port}")]
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
wsgi_app = "backend.asgi:application"
worker_class = "backend.server.web.Worker"  # It takes WEB_THREADS from the settings.
limit_request_line, limit_request_fields, limit_request_field_size = 8190, 1000, 60 * 1024
preload_app = True  # Loaded once and shared by all workers: less memory and a faster start.
graceful_timeout = int(os.environ.get("WEB_GRACEFUL_SECONDS", "4"))
timeout = 60  # Of a worker whose event loop is blocked; a slow request runs in a thread and does not block it.
keepalive = 15
backlog = 1024
max_requests = 0
control_socket_disable = True
# The addresses whose X-Forwarded-For and -Proto are trusted: the gateway's. By default none.
forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS", "")

# The metrics of all workers are summed through files in this folder, which must be set before prometheus_client is
# imported. A reload executes this file again, and workers that still run keep their folder.
if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
    whole = set(settings.SERVICES) == set(settings.EVERY_SERVICE)  # If not, processes of other services may run here.
    metrics = settings.DATA_DIR / "run" / "-".join(["metrics", *(() if whole else settings.SERVICES)])
    shutil.rmtree(metrics, ignore_errors=True)
    metrics.mkdir(parents=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics)

logconfig_dict = dict_config(format=settings.LOG_FORMAT, level=settings.LOG_LEVEL, file=settings.LOG_FILE)


def when_ready(server: Any) -> None:
    garbage.freeze_loaded_objects()


def post_fork(server: Any, worker: Any) -> None:
    garbage.raise_thresholds()


def child_exit(server: Any, worker: Any) -> None:
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]  # Untyped upstream.
