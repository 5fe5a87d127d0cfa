"""The settings of gunicorn: ``gunicorn backend.asgi:application --config backend/http/gunicorn.py``.

BIND (or HOST and PORT), WEB_CONCURRENCY, WEB_GRACEFUL_SECONDS and FORWARDED_ALLOW_IPS come from the environment; an
option on the command line wins over all of them.
"""

import gc
import os
import shutil
from typing import Any

from backend import settings
from backend.http.logs import dict_config

host, port = os.environ.get("HOST", "127.0.0.1"), os.environ.get("PORT", "8000")
bind = [os.environ.get("BIND", "") or (f"[{host}]:{port}" if ":" in host else f"{host}:{port}")]
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "backend.http.server.Worker"
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
    metrics = settings.DATA_DIR / "run" / "metrics"
    shutil.rmtree(metrics, ignore_errors=True)
    metrics.mkdir(parents=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics)

logconfig_dict = dict_config(format=settings.LOG_FORMAT, level=settings.LOG_LEVEL, file=settings.LOG_FILE)


def when_ready(server: Any) -> None:
    gc.collect()
    gc.freeze()  # What was loaded so far stays out of collections, so its memory stays shared.


def child_exit(server: Any, worker: Any) -> None:
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]  # Untyped upstream.
