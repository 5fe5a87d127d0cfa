"""Counts how often words occur in workspaces that are too large to count within each search."""

from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Q
from django.utils import timezone

from backend.documents.models import Corpus

_TOTALS = """
SELECT count(*), coalesce(sum(c.length), 0) FROM documents_chunk c
JOIN documents_document d ON d.active_ingestion_id = c.ingestion_id AND d.deleted_at IS NULL
WHERE c.workspace_id = %s
"""
_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))"
_DELETE = "DELETE FROM documents_wordfrequency WHERE workspace_id = %s"
_COUNT = """
INSERT INTO documents_wordfrequency (workspace_id, language, lexeme, chunks)
SELECT %s, c.language, entry.lexeme, count(*) FROM documents_chunk c
JOIN documents_document d ON d.active_ingestion_id = c.ingestion_id AND d.deleted_at IS NULL
CROSS JOIN LATERAL unnest(c.words) AS entry(lexeme, positions, weights)
WHERE c.workspace_id = %s GROUP BY c.language, entry.lexeme
"""


def record_change(*, workspace_id: UUID) -> None:
    """Record that chunks of this workspace were added or removed."""
    now = timezone.now()
    Corpus.objects.bulk_create(
        [Corpus(workspace_id=workspace_id, changed_at=now)],
        update_conflicts=True,
        unique_fields=["workspace"],
        update_fields=["changed_at"],
    )


def changed() -> list[UUID]:
    """Workspaces with counts older than their last change: a hundred in random order, so that none blocks others."""
    stale = Corpus.objects.filter(Q(counted_at=None) | ~Q(counted_at=F("changed_at")))
    return list(stale.order_by("?").values_list("workspace_id", flat=True)[:100])


@transaction.atomic
def refresh(*, workspace_id: UUID) -> None:
    """Count a workspace again. One that is small enough to be counted within each search keeps no word frequencies.

    The row of ``Corpus`` is locked only by the last statement, because uploads and deletions write it and counting may
    take long. A change that commits meanwhile is not lost: ``counted_at`` gets the ``changed_at`` that was read before
    counting, the change writes another ``changed_at``, and the two then differ (``changed``).
    """
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [f"documents.statistics:{workspace_id}"])
        if not cursor.fetchone()[0]:
            return  # Another worker counts.
        seen = Corpus.objects.filter(pk=workspace_id).values_list("changed_at", flat=True).first()
        cursor.execute(_TOTALS, [workspace_id])
        chunks, words = cursor.fetchone()
        cursor.execute(_DELETE, [workspace_id])
        if chunks > settings.SEARCH_EXACT_CHUNKS:
            cursor.execute(_COUNT, [workspace_id, workspace_id])
    Corpus.objects.filter(pk=workspace_id).update(chunks=chunks, words=words, counted_at=seen)
