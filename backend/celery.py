"""The Celery application. PostgreSQL holds the state of all work; a task is only a notification.

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
from django_structlog.celery.steps import DjangoStructLogInitStep

from backend.db.connection import release_connection

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.settings")

# On one machine the whole product may run as root; that is the operator's choice.
warnings.filterwarnings("ignore", category=SecurityWarning)

app = Celery("orquestra")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.steps["worker"].add(DjangoStructLogInitStep)
app.steps["worker"].add("backend.server.heartbeat:Heartbeat")
app.steps["worker"].add("backend.server.worker_status:StatusReporter")
app.steps["worker"].add("backend.server.garbage:GarbageCollectorSetup")
app.steps["worker"].add("backend.server.beat:EmbeddedBeat")
app.user_options["worker"].add(
    Option(["--with-beat"], help="Also run beat, which stores in this file when it sent tasks.")
)
app.autodiscover_tasks()


@setup_logging.connect
def keep_logging(**_: Any) -> None:
    """Django has configured logging; a receiver of this signal keeps Celery from configuring it again."""


@worker_init.connect
def allow_long_statements(**_: Any) -> None:
    """Runs before the pool starts: this worker opens its connections with the time limits of workers."""
    options = settings.DATABASES["default"]["OPTIONS"]
    rest = options["options"].removeprefix(settings.DATABASE_SESSION_OPTIONS)
    options["options"] = f"{settings.DATABASE_WORKER_SESSION_OPTIONS}{rest}"


@worker_init.connect
def drop_copies_of_notifications(**_: Any) -> None:
    """A worker that only executes runs leaves no copy of a message in Redis until it is acknowledged.

    The copies took a sixth of the processor time of such a worker, and a lost notification is no loss: the sweep
    notifies again. Other queues keep them: an e-mail has no sweep.
    """
    if {"default", "documents"}.isdisjoint(app.amqp.queues.consume_from):
        app.conf.broker_transport_options = {**app.conf.broker_transport_options, "ack_emulation": False}


@task_postrun.connect
def release_connection_after_task(*, sender: Any, **_: Any) -> None:
    """The pool keeps the connection for the next task and checks it first. Celery itself would close the pool too."""
    if not sender.request.is_eager:
        release_connection()
