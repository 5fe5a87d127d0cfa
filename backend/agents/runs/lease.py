"""Who may write to a run: the worker that claimed it last, while it renews its lease.

Each claim and each recovery counts the run's ``epoch`` up, and every write of a worker names the epoch of its claim.
Case: a worker is frozen for a minute, its lease expires, the sweep queues the run and another worker claims it; then
the first one wakes up. Without the epoch it would continue to write text, steps and charges beside the second one.
"""

import os
import socket
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Case, Exists, F, OuterRef, When
from django.utils import timezone

from backend.agents.models import Run, Step
from backend.agents.runs import sql


class RunLost(Exception):
    """The run has ended or belongs to another worker: the caller must leave everything as it is."""


def claim(hint: UUID | None = None) -> Run | None:
    """Claim the queued run that is to start next; None if no run may start.

    :param hint: the run to take among those of its workspace.
    """
    now, owner = timezone.now(), f"{socket.gethostname()}:{os.getpid()}"[:128]
    bound = settings.RUNS_AT_ONCE_PER_WORKSPACE
    return sql.claim(hint, owner=owner, now=now, until=now + lease_time(), bound=bound)


def begin_step(run: Run, step: Step, *, seconds: float = 0.0) -> bool:
    """Store a step that begins; returns whether the run is to be cancelled.

    :param seconds: that the step takes without a checkpoint; the lease is renewed for all of it.
    :raises RunLost: the run is not the caller's any more.
    """
    until = timezone.now() + lease_time() + timedelta(seconds=seconds) if seconds else None
    cancelled = sql.begin_step(run, step, until=until)
    if cancelled is None:
        raise RunLost
    return cancelled


def checkpoint(run: Run, answer: dict[str, Any] | None) -> bool:
    """Renew the lease and store the answer so far; returns whether the run is to be cancelled.

    :raises RunLost: the run is not the caller's any more.
    """
    stored = None if answer is None else (answer["parts"], answer["citations"])
    cancelled = sql.checkpoint(run, until=timezone.now() + lease_time(), answer=stored)
    if cancelled is None:
        raise RunLost
    return cancelled


def give_back(run: Run) -> bool:
    """Queue a claimed run again that has nothing in flight; False if it is not the caller's or is to be cancelled.

    Repeating it after a lost connection returns the same, unless another worker has claimed the run meanwhile.
    """
    owned = Run.objects.filter(pk=run.pk, epoch=run.epoch, status__in=[Run.Status.RUNNING, Run.Status.QUEUED])
    return bool(owned.update(**queued_again(), notified_at=timezone.now()))


def queued_again() -> dict[str, Any]:
    """The columns of a run that has no worker any more. One that has done a step keeps the time at which it began."""
    begun = Case(When(Exists(Step.objects.filter(run=OuterRef("pk"))), then=F("started_at")), default=None)
    return {"status": Run.Status.QUEUED, "lease_owner": "", "lease_until": None, "started_at": begun}


def lease_time() -> timedelta:
    return timedelta(seconds=settings.RUN_LEASE_SECONDS)
