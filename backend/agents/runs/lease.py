"""Who may write to a run: the worker that claimed it, while it renews its lease and nobody claimed it after."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from backend.agents.models import Run
from backend.agents.runs import sql


class LeaseLost(Exception):
    """Somebody else ended or claimed the run: its writer must stop and leave everything as it is."""


def claim(hint: UUID | None = None) -> Run | None:
    """Take the queued run whose turn it is, in its workspace the one of ``hint`` first; none if none may start."""
    now, owner = timezone.now(), f"{socket.gethostname()}:{os.getpid()}"[:128]
    bound = settings.RUNS_AT_ONCE_PER_WORKSPACE
    return sql.claim(hint, owner=owner, now=now, until=now + lease_time(), bound=bound)


def put_back(run: Run) -> bool:
    """Queue a claimed run again of which nothing was sent; whether it was still ours and nobody asked to cancel it.

    Repeating it after a lost connection answers the same, unless somebody has claimed the run meanwhile.
    """
    held = Run.objects.filter(pk=run.pk, epoch=run.epoch, status__in=[Run.Status.RUNNING, Run.Status.QUEUED])
    return bool(held.update(status=Run.Status.QUEUED, lease_owner="", lease_until=None, started_at=None))


@contextmanager
def fenced(run: Run) -> Iterator[Run]:
    """A transaction in which the run's row is locked and still ours.

    :raises LeaseLost: it is not ours any more.
    """
    with transaction.atomic():
        rows = Run.objects.select_for_update().held_by(epoch=run.epoch).filter(pk=run.pk)
        row = rows.only("cancel_requested_at", "output_message").order_by().first()
        if row is None:
            raise LeaseLost
        yield row


def checkpoint(run: Run, answer: dict[str, Any] | None) -> bool:
    """Renew the lease and store the answer so far; whether somebody asked to cancel.

    :raises LeaseLost: the run is not ours any more.
    """
    stored = None if answer is None else (answer["parts"], answer["citations"])
    cancelled = sql.checkpoint(run, until=timezone.now() + lease_time(), answer=stored)
    if cancelled is None:
        raise LeaseLost
    return cancelled


def lease_time() -> timedelta:
    return timedelta(seconds=settings.RUN_LEASE_SECONDS)
