"""Celery tasks. A task only notifies: the work is in the database, and a second delivery finds nothing to claim."""

import logging
import time
from typing import Any
from uuid import UUID

from celery import current_app, shared_task
from celery.signals import worker_process_init, worker_process_shutdown
from django.conf import settings
from django.db import connections

from backend.db import sweeps
from backend.documents import deletion, reconciliation, statistics, uploads
from backend.documents.ingestion import lease, pool, queue, runner

logger = logging.getLogger(__name__)

QUEUE = "documents"


@shared_task(ignore_result=True)
def ingest_document(*, ingestion_id: str) -> None:
    """Read the first document of the queue.

    :param ingestion_id: the cause of the notification, for the log. The queue decides which ingestion is read.
    """
    document = runner.execute_next()
    if document is None:
        return
    purge_replaced.delay(document_id=str(document.pk))
    # This ingestion after its turn, or one whose notification came while its workspace was at its limit.
    if queue.is_waiting():
        ingest_document.delay(ingestion_id=ingestion_id)


@shared_task(ignore_result=True)
def purge_document(*, document_id: str) -> None:
    deletion.purge_document(UUID(document_id))


@shared_task(ignore_result=True)
def purge_replaced(*, document_id: str) -> None:
    deletion.purge_replaced(UUID(document_id))


@shared_task(ignore_result=True)
def sweep() -> None:
    """Notify workers again of ingestions without a worker, and finish purges that did not end."""
    sweeps.each([_notify_again, _purge_again, _remove_abandoned_uploads], lambda part: part(), name="documents_sweep")


def _notify_again() -> None:
    for ingestion_id in lease.overdue():
        logger.info("notifying a worker again of ingestion %s", ingestion_id)
        ingest_document.delay(ingestion_id=str(ingestion_id))


def _remove_abandoned_uploads() -> None:
    uploads.remove_abandoned()


def _purge_again() -> None:
    """Each in a task of its own, so that a failure affects no other."""
    deleted, replaced = deletion.left_over()
    for document_id in deleted:
        purge_document.delay(document_id=str(document_id))
    for document_id in replaced:
        purge_replaced.delay(document_id=str(document_id))


@shared_task(ignore_result=True)
def refresh_statistics() -> None:
    changed = statistics.changed()
    sweeps.each(changed, lambda workspace_id: statistics.refresh(workspace_id=workspace_id), name="statistics")


@shared_task(ignore_result=True)
def reconcile_storage(*, folder: int | None = None, after: str = "") -> None:
    """Compare one folder of the storage with the database: the scheduled one, or the rest of a large one."""
    if folder is None:
        folder = int(time.time() // settings.RECONCILE_SECONDS) % reconciliation.FOLDERS
    if rest := reconciliation.reconcile(folder=folder, after=after):
        reconcile_storage.delay(folder=folder, after=rest)


@worker_process_init.connect
def _warm_up(**kwargs: Any) -> None:
    """Start the parser process of a document worker before its first document."""
    if QUEUE in current_app.amqp.queues.consume_from:
        connections.close_all()
        pool.warm_up()


@worker_process_shutdown.connect
def _end_parser(**kwargs: Any) -> None:
    pool.end_idle()
