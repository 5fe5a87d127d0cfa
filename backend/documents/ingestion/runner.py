"""Reads one document: claims it, has it parsed, and commits what comes, batch by batch."""

import logging
from functools import partial
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from backend.documents import progress, storage
from backend.documents.errors import IngestionFailed, LeaseLost
from backend.documents.ingestion import lease
from backend.documents.ingestion.parsers.frames import Frame, Job
from backend.documents.ingestion.process import parser_process
from backend.documents.ingestion.writing import Writer
from backend.documents.models import Document, Ingestion

logger = logging.getLogger(__name__)


def execute(*, ingestion_id: UUID) -> Document | None:
    """Read the document to its end, truthfully: ready, failed with the reason, or left for the next worker.

    The document, if this call read it; none if there was nothing to claim.
    """
    ingestion = lease.claim(ingestion_id)
    if ingestion is None:
        return None
    document = ingestion.document
    progress.announce(document.pk)
    try:
        _read(ingestion)
    except LeaseLost:
        logger.info("ingestion %s was taken over or cancelled", ingestion.public_id)
    except IngestionFailed as failure:
        _fail(ingestion, failure)
    except Exception:  # Whatever it is, the document must not stay "parsing" for ever.
        logger.exception("ingestion %s was interrupted", ingestion.public_id)
        lease.give_back(ingestion)
    progress.announce(document.pk)
    return document


def _read(ingestion: Ingestion) -> None:
    blob = ingestion.document.blob
    renew = partial(lease.write, ingestion)
    try:
        with storage.local_path(blob.key, on_block=renew) as path, parser_process() as process:
            job = Job(
                task="parse",
                path=str(path),
                content_type=blob.content_type,
                start=ingestion.pages_done,
                batch=settings.INGESTION_BATCH_PAGES,
                max_pages=settings.MAX_DOCUMENT_PAGES,
                max_characters=settings.MAX_DOCUMENT_CHARACTERS,
                max_unpacked_bytes=settings.MAX_UNPACKED_BYTES,
                cpu_seconds=settings.PARSER_CPU_SECONDS,
                memory_bytes=settings.PARSER_MEMORY_BYTES,
            )
            writer = Writer(ingestion)
            frames = process.run(job, seconds=settings.PARSER_BATCH_SECONDS, on_wait=renew)
            for frame in frames:
                _take(ingestion, writer, frame)
    except FileNotFoundError as error:
        raise IngestionFailed("file_missing", "The file is not in storage any more.") from error
    writer.finish()


def _take(ingestion: Ingestion, writer: Writer, frame: Frame) -> None:
    if frame.kind == "opened":
        status = Ingestion.Status.PARSING
        lease.write(ingestion, status=status, pages_total=frame.total, paged=frame.paged)
    elif frame.kind == "pages" and frame.pages:
        writer.add(frame.pages, frame.warnings)
        if ingestion.text_length > settings.MAX_DOCUMENT_CHARACTERS:
            most = settings.MAX_DOCUMENT_CHARACTERS
            raise IngestionFailed("too_large", f"The text is longer than {most} characters.")
    progress.announce(ingestion.document_id)


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
        logger.info("ingestion %s was taken over or cancelled", ingestion.public_id)
