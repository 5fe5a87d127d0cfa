"""Pages as pictures: rendered in the parser process when first asked for, then kept in storage."""

import threading
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.files import File
from django.core.files.base import ContentFile

from backend.documents import filetypes, storage
from backend.documents.errors import IngestionFailed
from backend.documents.ingestion.parsers.frames import Job
from backend.documents.ingestion.process import ParserProcess
from backend.documents.models import Blob
from backend.errors import NotFound, ServiceUnavailable

PAGE_WIDTH = 1240  # Pixels.
THUMBNAIL_WIDTH = 240
_slots = threading.BoundedSemaphore(2)  # Renderings at once in this process.


@dataclass(frozen=True, slots=True)
class _Image:
    key: str
    page: int
    width: int


def page_image(blob: Blob, *, page: int, width: int = PAGE_WIDTH) -> "File[Any]":
    """A page as PNG.

    :raises NotFound: there is no such page, or the format has none, or this one cannot be drawn.
    :raises ServiceUnavailable: too many pages are being rendered.
    """
    if blob.content_type != filetypes.PDF or not 1 <= page <= settings.MAX_DOCUMENT_PAGES:
        raise NotFound
    image = _Image(f"{blob.images_folder}/{page}-{width}.png", page, width)
    try:
        return storage.open_object(image.key)
    except FileNotFoundError:
        pass
    if not _slots.acquire(timeout=20):
        raise ServiceUnavailable
    try:
        data = _render(blob, image)
    finally:
        _slots.release()
    storage.save(image.key, ContentFile(data))
    return ContentFile(data)


def _render(blob: Blob, image: _Image) -> bytes:
    job_limits = {
        "cpu_seconds": settings.PARSER_CPU_SECONDS,
        "total_cpu_seconds": settings.PARSER_CPU_SECONDS,
        "memory_bytes": settings.PARSER_MEMORY_BYTES,
    }
    try:
        with storage.local_path(blob.key) as path:
            job = Job(
                task="render",
                content_type=blob.content_type,
                page=image.page,
                width=image.width,
                **job_limits,
            )
            process = ParserProcess()
            try:
                frames = list(process.run(job, path=path, seconds=settings.PARSER_BATCH_SECONDS))
            finally:
                process.close()
    except (IngestionFailed, FileNotFoundError) as error:
        raise NotFound from error
    return frames[0].image
