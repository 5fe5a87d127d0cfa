"""Reads one document: claims its ingestion, has the file parsed, and commits the result batch by batch."""

import logging
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from backend.documents import progress, storage
from backend.documents.errors import IngestionFailed, LeaseLost, ParserTimedOut
from backend.documents.ingestion import lease, queue
from backend.documents.ingestion.budget import Budget, TurnEnded
from backend.documents.ingestion.parsers.frames import Frame, Job, PageText
from backend.documents.ingestion.pool import parser_process
from backend.documents.ingestion.writing import Writer
from backend.documents.models import Document, Ingestion

logger = logging.getLogger(__name__)


def execute_next() -> Document | None:
    """Read the first document of the queue, for one turn or to its end; None if none can be claimed."""
    ingestion = queue.claim_next()
    return _execute(ingestion) if ingestion is not None else None


def execute(*, ingestion_id: UUID) -> Document | None:
    """Read this document as ``execute_next`` does; None if it cannot be claimed."""
    ingestion = lease.claim(ingestion_id)
    return _execute(ingestion) if ingestion is not None else None


def _execute(ingestion: Ingestion) -> Document:
    """Read the claimed document. It ends ready, failed with the reason, or released for another worker."""
    document = ingestion.document
    cpu_seconds_before = ingestion.cpu_seconds
    progress.publish(document.pk)
    try:
        _read(ingestion)
    except LeaseLost:
        logger.info("ingestion %s was claimed by another worker or cancelled", ingestion.public_id)
    except IngestionFailed as failure:
        _fail(ingestion, failure)
    except Exception:  # Of any kind: the document must not stay "parsing" forever.
        logger.exception("ingestion %s was interrupted", ingestion.public_id)
        lease.release(ingestion)
    queue.record_cost(document.workspace_id, cpu_seconds=ingestion.cpu_seconds - cpu_seconds_before)
    progress.publish(document.pk)
    return document


def _read(ingestion: Ingestion) -> None:
    """
    1. Fetch the file, if it is not on this machine.
    2. Have it parsed from the cursor on; commit each batch.
    3. After each batch, end the turn if another document comes first.
    4. If the parser took too long, continue page by page, and skip the page that takes too long.
    5. Activate the reading in place of the one before.
    """
    blob = ingestion.document.blob
    budget = Budget(ingestion)
    try:
        with storage.local_path(blob.key, on_block=budget.renew) as path:
            writer = Writer(ingestion)
            batch = settings.INGESTION_BATCH_PAGES
            while True:
                try:
                    _parse(ingestion, writer, budget, path=str(path), batch=batch)
                    break
                except ParserTimedOut:
                    budget.check()
                    if not ingestion.paged:
                        raise
                    if batch == 1:
                        _skip_page(ingestion, writer)
                    batch = 1
    except FileNotFoundError as error:
        raise IngestionFailed("file_missing", "The file is not in storage any more.") from error
    except TurnEnded:
        lease.end_turn(ingestion)
        return
    writer.finish()


def _parse(ingestion: Ingestion, writer: Writer, budget: Budget, *, path: str, batch: int) -> None:
    """Read from the cursor to the end.

    :raises ParserTimedOut: one page, or opening the file, takes too long.
    """
    budget.begin_job()
    job = Job(
        task="parse",
        content_type=ingestion.document.blob.content_type,
        start=ingestion.pages_done,
        batch=batch,
        batch_seconds=settings.INGESTION_TURN_SECONDS,
        max_pages=settings.MAX_DOCUMENT_PAGES,
        max_characters=settings.MAX_DOCUMENT_CHARACTERS,
        max_unpacked_bytes=settings.MAX_UNPACKED_BYTES,
        cpu_seconds=min(settings.PARSER_CPU_SECONDS, budget.cpu_seconds_left),
        page_cpu_seconds=min(settings.PARSER_PAGE_CPU_SECONDS, budget.cpu_seconds_left),
        total_cpu_seconds=budget.cpu_seconds_left,
        memory_bytes=settings.PARSER_MEMORY_BYTES,
    )
    with parser_process() as process:
        frames = process.run(
            job,
            path=path,
            seconds=settings.PARSER_BATCH_SECONDS,
            on_wait=lambda: budget.renew(job_cpu_seconds=process.cpu_seconds),
        )
        try:
            for frame in frames:
                budget.record(job_cpu_seconds=process.cpu_seconds)
                _store_frame(ingestion, writer, budget, frame)
                budget.check()
        finally:
            budget.record(job_cpu_seconds=process.cpu_seconds)


def _store_frame(ingestion: Ingestion, writer: Writer, budget: Budget, frame: Frame) -> None:
    if frame.kind == "opened":
        budget.record_opening()
        status = Ingestion.Status.PARSING
        lease.write(ingestion, status=status, pages_total=frame.total, paged=frame.paged)
    elif frame.kind == "pages" and frame.pages:
        writer.add(frame.pages, frame.warnings)
        if ingestion.text_length > settings.MAX_DOCUMENT_CHARACTERS:
            limit = settings.MAX_DOCUMENT_CHARACTERS
            raise IngestionFailed("too_large", f"The text is longer than {limit} characters.")
        if ingestion.pages_total is None or ingestion.pages_done < ingestion.pages_total:
            budget.end_turn_if_due()
    progress.publish(ingestion.document_id)


def _skip_page(ingestion: Ingestion, writer: Writer) -> None:
    """Commit the page at the cursor without text, with a warning."""
    number = ingestion.pages_done + 1
    warning = ("page_too_slow", f"Page {number} takes too long to read and was left out.")
    writer.add([PageText(number=number, text="")], [warning])


def _fail(ingestion: Ingestion, failure: IngestionFailed) -> None:
    logger.warning("ingestion %s failed: %s", ingestion.public_id, failure)
    try:
        lease.write(
            ingestion,
            status=Ingestion.Status.FAILED,
            error_code=failure.code,
            error_detail=failure.detail,
            error_retryable=failure.retryable,
            finished_at=timezone.now(),
            lease_until=None,
        )
    except LeaseLost:
        logger.info("ingestion %s was claimed by another worker or cancelled", ingestion.public_id)
