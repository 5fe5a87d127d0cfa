"""How far the documents that a run's agent knows have been read, and the runs that wait until they are.

A run that waits stays queued: no worker, lease or thread holds it. It may start when no document of its knowledge is
being read. This is checked whenever a document of its workspace has changed, and in every sweep.
"""

import logging
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from backend.agents.models import AgentVersion, Run
from backend.agents.readiness import kept, readiness_of
from backend.agents.runs import sql
from backend.agents.stream.publish import publish
from backend.documents.queries import Readiness

logger = logging.getLogger(__name__)

BATCH = 100

Event = tuple[str, dict[str, Any]]


def of_version(version: AgentVersion, workspace_id: UUID) -> Readiness | None:
    """None if the version knows nothing."""
    knowledge = sql.knowledge(version.pk)
    return readiness_of(workspace_id, knowledge) if knowledge else None


def pending_event(run: Run, found: Readiness) -> Event:
    message = run.output_message.public_id
    return "knowledge.pending", {"message": message, **kept(found), "waiting": run.awaits_knowledge}


def note(run: Run, found: Readiness) -> bool:
    """Store how far the documents have been read with the run; returns whether that has changed."""
    if run.knowledge == kept(found):
        return False
    run.knowledge = kept(found)
    Run.objects.filter(pk=run.pk, epoch=run.epoch).update(knowledge=run.knowledge)
    return True


def look(run: Run) -> list[UUID]:
    """Let a waiting run start if it may, else publish what has changed; returns the run if a worker may claim it now.

    Two looks at once do no harm: one of them finds what the other has changed.
    """
    found = of_version(run.agent_version, run.workspace_id) or Readiness(total=0, ready=0, failed=0)
    waiting = Run.objects.awaiting_knowledge().filter(pk=run.pk)
    if not found.pending:
        if not waiting.update(awaits_knowledge=False, knowledge=kept(found), notified_at=timezone.now()):
            return []
        logger.info("run_knowledge_ready run=%s", run.public_id)
        return list(Run.objects.startable().filter(pk=run.pk).values_list("pk", flat=True))
    if run.knowledge != kept(found) and waiting.filter(knowledge=run.knowledge).update(knowledge=kept(found)):
        publish(run_id=run.pk, epoch=run.epoch, events=[pending_event(run, found)], more=True)
    return []


def look_in(workspace_id: UUID) -> list[UUID]:
    """Look at the runs of a workspace that wait; those that workers are to be notified of."""
    waiting = Run.objects.awaiting_knowledge().filter(workspace_id=workspace_id)
    return [started for run in _loaded(waiting) for started in look(run)]


def _loaded(runs: Any) -> list[Run]:
    return list(runs.select_related("agent_version", "output_message").order_by("notified_at")[:BATCH])


def overdue(run: Run, *, at: datetime) -> bool:
    """Whether a waiting run has waited for as long as its agent may take."""
    limit = run.agent_version.limit("timeout_seconds", settings.RUN_TIMEOUT_SECONDS)
    return run.created_at + timedelta(seconds=float(limit)) <= at
