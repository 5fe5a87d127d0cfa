"""Renders pages as images, in the parser process at the first request; afterwards they are read from storage.

A rendering occupies a web thread. So it has a short time limit, few run at the same time, each workspace has a limit of
processor time, and a failure is cached: the same page is not rendered again until that entry expires.
"""

import contextlib
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.core.files import File
from django.core.files.base import ContentFile
from redis.exceptions import RedisError

from backend.documents import filetypes, storage
from backend.documents.admission import Admission, CpuRateLimit
from backend.documents.errors import IngestionFailed, ParserTimedOut
from backend.documents.ingestion.parsers.frames import Job
from backend.documents.ingestion.process import ParserProcess
from backend.documents.models import Blob
from backend.errors import NotFound, ServiceUnavailable
from backend.http.concurrency import hold_slot

PAGE_WIDTH = 1240  # Pixels.
THUMBNAIL_WIDTH = 240
MAX_IMAGE_BYTES = 64 * 1024 * 1024  # Bytes.
FAILURE_TTL = 24 * 3600  # Seconds for which a page that cannot be rendered is not tried again.
TIMEOUT_TTL = 5 * 60  # Likewise, for a page that took too long by the clock: the machine may have been busy.
_NO_IMAGE, _TOO_SLOW = "no_image", "too_slow"
_admission = Admission(
    max_running=2,
    max_admitted=settings.WEB_THREADS // 4,
    max_wait=4.0,
    heavy_seconds=settings.RENDER_CPU_SECONDS_PER_MINUTE / 4,
)


@dataclass(frozen=True, slots=True)
class _Image:
    key: str
    page: int
    width: int


def page_image(blob: Blob, *, page: int, width: int = PAGE_WIDTH) -> "File[Any]":
    """A page as PNG.

    :raises NotFound: there is no such page, the format has no pages, or this one cannot be rendered.
    :raises RateLimited: too many pages of the workspace are being rendered, or they have used up its processor time.
    :raises ServiceUnavailable: too many pages are being rendered, or this one took too long shortly before.
    """
    if blob.content_type != filetypes.PDF or not 1 <= page <= settings.MAX_DOCUMENT_PAGES:
        raise NotFound
    image = _Image(f"{blob.images_folder}/{page}-{width}.png", page, width)
    try:
        return storage.open_object(image.key)
    except FileNotFoundError:
        pass
    _raise_known_failure(image)
    seconds = settings.RENDER_SECONDS + 10  # Of one rendering, including the waits for a thread and for the storage.
    limit, workspace = settings.RENDERINGS_PER_WORKSPACE, str(blob.workspace_id)
    spent = _cpu_limit().spent(workspace)
    with hold_slot("renderings", workspace, limit=limit, seconds=seconds), _admission.admitted(workspace, spent=spent):
        data = _render(blob, image)
    storage.save(image.key, ContentFile(data))
    return ContentFile(data)


def _cpu_limit() -> CpuRateLimit:
    return CpuRateLimit("renderings", settings.RENDER_CPU_SECONDS_PER_MINUTE)


def _raise_known_failure(image: _Image) -> None:
    """:raises NotFound, ServiceUnavailable: as at the last attempt, while its result is cached."""
    known = None
    with contextlib.suppress(RedisError):  # Without Redis nothing is cached; ``Admission`` still bounds the work.
        known = cache.get(f"rendering:{image.key}")
    if known == _NO_IMAGE:
        raise NotFound
    if known == _TOO_SLOW:
        raise ServiceUnavailable(headers={"Retry-After": str(TIMEOUT_TTL)})


def _record_failure(image: _Image, failure: str, *, seconds: int) -> None:
    with contextlib.suppress(RedisError):
        cache.set(f"rendering:{image.key}", failure, seconds)


def _render(blob: Blob, image: _Image) -> bytes:
    job_limits = {
        "cpu_seconds": settings.RENDER_CPU_SECONDS,
        "total_cpu_seconds": settings.RENDER_CPU_SECONDS,
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
                result = process.run_for_result(
                    job, path=path, seconds=settings.RENDER_SECONDS, max_bytes=MAX_IMAGE_BYTES
                )
            finally:
                process.close()
                # The time of a process that was killed is unknown; it counts as the maximum.
                _cpu_limit().spend(str(blob.workspace_id), process.cpu_seconds or settings.RENDER_CPU_SECONDS)
    except ConnectionError as error:
        raise ServiceUnavailable from error
    except ParserTimedOut as error:
        if error.by_clock:
            _record_failure(image, _TOO_SLOW, seconds=TIMEOUT_TTL)
            raise ServiceUnavailable(headers={"Retry-After": str(TIMEOUT_TTL)}) from error
        _record_failure(image, _NO_IMAGE, seconds=FAILURE_TTL)
        raise NotFound from error
    except (IngestionFailed, FileNotFoundError) as error:
        _record_failure(image, _NO_IMAGE, seconds=FAILURE_TTL)
        raise NotFound from error
    return result.image
