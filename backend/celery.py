"""The Celery application. PostgreSQL holds the truth about work; a task only rings the bell.

A task carries the request id and the actor of the request that caused it, and its worker's log lines show them.
"""

import os
import warnings
from typing import Any

from celery import Celery
from celery.exceptions import SecurityWarning
from celery.signals import setup_logging, task_postrun, worker_init
from click import Option
from django.conf import settings
from django.db import connections
from django_structlog.celery.steps import DjangoStructLogInitStep

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.settings")

# On one machine the whole product may run as root; that is the operator's choice.
warnings.filterwarnings("ignore", category=SecurityWarning)

app = Celery("orquestra")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.steps["worker"].add(DjangoStructLogInitStep)
app.steps["worker"].add("backend.server.heartbeat:Heartbeat")
app.steps["worker"].add("backend.server.presence:Presence")
app.steps["worker"].add("backend.server.garbage:Collector")
app.steps["worker"].add("backend.server.beat:EmbeddedBeat")
app.user_options["worker"].add(Option(["--with-beat"], help="Be beat as well; keep in this file when tasks were sent."))
app.autodiscover_tasks()


@setup_logging.connect
def keep_logging(**_: Any) -> None:
    """Django has set logging up; that something listens here keeps Celery from doing it again."""


@worker_init.connect
def allow_long_statements(**_: Any) -> None:
    """Before the pool starts: connections of this worker are opened with the limits of workers."""
    options = settings.DATABASES["default"]["OPTIONS"]
    rest = options["options"].removeprefix(settings.DATABASE_SESSION_OPTIONS)
    options["options"] = f"{settings.DATABASE_WORKER_SESSION_OPTIONS}{rest}"


@task_postrun.connect
def give_connections_back(*, sender: Any, **_: Any) -> None:
    """Back to the pool, which keeps them for the next task and checks them before. Celery would close the pool too."""
    if not sender.request.is_eager:
        connections.close_all()
