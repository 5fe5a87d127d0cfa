"""The settings of gunicorn: ``gunicorn --config backend/server/gunicorn.py``.

Every service is served in the same way: whatever waits for a client waits in the event loop, and threads work.

BIND (or HOST and PORT), WEB_CONCURRENCY, WEB_GRACEFUL_SECONDS and FORWARDED_ALLOW_IPS come from the environment; an
option on the command line wins over all of them.
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

# Each connection is an open file, and 1,024 of them, a common limit, is what one client can open.
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
if 0 <= soft < OPEN_FILES:
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES if hard < 0 else min(OPEN_FILES, hard), hard))

gc.disable()  # Until all is loaded: what is loaded stays. The workers have it on.
host, port = os.environ.get("HOST", "127.0.0.1"), os.environ.get("PORT", "8000")
bind = [os.environ.get("BIND", "") or (f"[{host}]:{port}" if ":" in host else f"{host}:{port}")]
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
wsgi_app = "backend.asgi:application"
worker_class = "backend.server.web.Worker"  # It takes WEB_THREADS from the settings.
limit_request_line, limit_request_fields, limit_request_field_size = 8190, 1000, 60 * 1024
preload_app = True  # Loaded once, shared by all workers: less memory and an earlier start.
graceful_timeout = int(os.environ.get("WEB_GRACEFUL_SECONDS", "4"))
timeout = 60  # Of a worker whose event loop stands still; a slow request does not make it stand still.
keepalive = 15
backlog = 1024
max_requests = 0
control_socket_disable = True
# Whose X-Forwarded-For and -Proto are believed: the gateway's. By default nobody's.
forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS", "")

# Metrics of all workers are summed through files in this folder, named before prometheus_client is imported. A reload
# reads this file again, while workers that still run use theirs.
if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
    whole = set(settings.SERVICES) == set(settings.EVERY_SERVICE)  # If not, others may run beside this one.
    metrics = settings.DATA_DIR / "run" / "-".join(["metrics", *(() if whole else settings.SERVICES)])
    shutil.rmtree(metrics, ignore_errors=True)
    metrics.mkdir(parents=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics)

logconfig_dict = dict_config(format=settings.LOG_FORMAT, level=settings.LOG_LEVEL, file=settings.LOG_FILE)


def when_ready(server: Any) -> None:
    garbage.spare_what_is_loaded()


def post_fork(server: Any, worker: Any) -> None:
    garbage.collect_seldom()


def child_exit(server: Any, worker: Any) -> None:
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]  # Untyped upstream.
