"""Which ingestion a worker takes next: workspaces by turns, and within one the small before the large.

PostgreSQL holds the queue; a task is only a notification that it is not empty. First comes the workspace with the
fewest readings under way, then the one that was served longest ago. A reading counts until its end, and as much later
as it took of the processor; a workspace that was never served counts from its oldest waiting file, so that new
workspaces come behind older customers and not before them. Within a workspace files come by size, and a file's size
counts half for each minute that it has waited, so that a large one is not passed over for ever.
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
MAX_EXHAUSTED = 100  # Ingestions that one call fails as ``worker_lost`` on its way to one that can be read.

# ``own`` is an ingestion that the caller holds: it is ranked as if it were free, and does not count as under way.
_NEXT = """
WITH unfinished AS (
    SELECT i.id, i.created_at, i.lease_until, d.workspace_id, d.deleted_at, b.size,
        min(i.created_at) OVER (PARTITION BY d.workspace_id) AS waits_since
    FROM documents_ingestion i
    JOIN documents_document d ON d.id = i.document_id
    JOIN documents_blob b ON b.id = d.blob_id
    WHERE i.status = ANY(%(unfinished)s)
), under_way AS (
    SELECT workspace_id, count(*) AS readings FROM unfinished
    WHERE lease_until >= %(now)s AND id IS DISTINCT FROM %(own)s::uuid GROUP BY workspace_id
)
SELECT waiting.id FROM unfinished waiting
LEFT JOIN under_way USING (workspace_id)
LEFT JOIN documents_usage USING (workspace_id)
WHERE (waiting.lease_until IS NULL OR waiting.lease_until < %(now)s OR waiting.id = %(own)s::uuid)
    AND waiting.deleted_at IS NULL AND coalesce(readings, 0) < %(limit)s
ORDER BY coalesce(readings, 0), coalesce(served_at, waits_since),
    ln(size) - ln(2) * extract(epoch FROM %(now)s - waiting.created_at) / %(halves_after)s, waiting.id
LIMIT 1
"""
# Workers claim one after the other, or two of them would count the readings of a workspace before either has claimed.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('documents.claim', 0))"


def claim_next() -> Ingestion | None:
    """Take the ingestion that is due; none if none can be read now."""
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
    """Whether a worker could claim something now."""
    return _next() is not None


def is_outranked(ingestion: Ingestion) -> bool:
    """Whether another ingestion is due before this one, which the caller holds."""
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
    """A reading has ended, for good or for others' turns, that took so much processor time."""
    served_at = timezone.now() + timedelta(seconds=cpu_seconds)
    Usage.objects.filter(workspace_id=workspace_id).update(served_at=served_at)
