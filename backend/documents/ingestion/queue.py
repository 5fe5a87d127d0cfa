"""The queue of ingestions: workspaces take turns, and within a workspace small files come before large ones.

The queue is a query in PostgreSQL; a Celery task is only a notification that it is not empty. The order:

1. The workspace with the fewest running ingestions.
2. The workspace that was served longest ago. The processor time of its last ingestion is added to that time. A
   workspace that was never served counts from its oldest waiting file, so that a new one does not come before all
   others.
3. The smallest file. Its size is halved for each minute that it has waited, so that a large file does not starve.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from backend.documents.ingestion import lease
from backend.documents.models import Ingestion, Usage

HALVES_AFTER = 60.0  # Seconds.
MAX_EXHAUSTED = 100  # Ingestions that one call may fail as ``worker_lost`` before it finds one to claim.

# ``own`` is an ingestion that the caller holds: it is ranked as if it were free, and does not count as running.
_NEXT = """
WITH unfinished AS (
    SELECT i.id, i.created_at, i.lease_until, d.workspace_id, d.deleted_at, b.size,
        min(i.created_at) OVER (PARTITION BY d.workspace_id) AS waits_since
    FROM documents_ingestion i
    JOIN documents_document d ON d.id = i.document_id
    JOIN documents_blob b ON b.id = d.blob_id
    WHERE i.status = ANY(%(unfinished)s)
), running AS (
    SELECT workspace_id, count(*) AS ingestions FROM unfinished
    WHERE lease_until >= %(now)s AND id IS DISTINCT FROM %(own)s::uuid GROUP BY workspace_id
)
SELECT waiting.id FROM unfinished waiting
LEFT JOIN running USING (workspace_id)
LEFT JOIN documents_usage USING (workspace_id)
WHERE (waiting.lease_until IS NULL OR waiting.lease_until < %(now)s OR waiting.id = %(own)s::uuid)
    AND waiting.deleted_at IS NULL AND coalesce(ingestions, 0) < %(limit)s
ORDER BY coalesce(ingestions, 0), coalesce(served_at, waits_since),
    ln(size) - ln(2) * extract(epoch FROM %(now)s - waiting.created_at) / %(halves_after)s, waiting.id
LIMIT 1
"""
# Claims are serialized. Otherwise two workers could both count the running ingestions of a workspace before either has
# claimed, and exceed its limit together.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('documents.claim', 0))"


def claim_next() -> Ingestion | None:
    """Claim the first ingestion of the queue; None if none can be claimed now."""
    for _ in range(MAX_EXHAUSTED):
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(_LOCK)
            ingestion_id = _next()
            if ingestion_id is None:
                return None
            ingestion = lease.claim(ingestion_id)
            if ingestion is not None:
                _record_served(ingestion.document.workspace_id)
                return ingestion
    return None


def is_waiting() -> bool:
    """Whether a worker could claim an ingestion now."""
    return _next() is not None


def is_outranked(ingestion: Ingestion) -> bool:
    """Whether another ingestion comes before this one, which the caller holds."""
    return _next(own=ingestion.pk) != ingestion.pk


def _next(*, own: UUID | None = None) -> UUID | None:
    parameters: dict[str, Any] = {
        "unfinished": list(Ingestion.UNFINISHED),
        "now": timezone.now(),
        "own": own,
        "limit": settings.INGESTIONS_PER_WORKSPACE,
        "halves_after": HALVES_AFTER,
    }
    with connection.cursor() as cursor:
        cursor.execute(_NEXT, parameters)
        row = cursor.fetchone()
    return row[0] if row else None


def _record_served(workspace_id: UUID) -> None:
    Usage.objects.bulk_create(
        [Usage(workspace_id=workspace_id, served_at=timezone.now())],
        update_conflicts=True,
        unique_fields=["workspace"],
        update_fields=["served_at"],
    )


def record_cost(workspace_id: UUID, *, cpu_seconds: float) -> None:
    """Count the processor time of a turn or of a finished ingestion against its workspace's place in the queue."""
    served_at = timezone.now() + timedelta(seconds=cpu_seconds)
    Usage.objects.filter(workspace_id=workspace_id).update(served_at=served_at)
