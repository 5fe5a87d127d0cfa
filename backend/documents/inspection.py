"""Detects the content type of an archive in the parser process; the web process opens no archives."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from typing import IO

from django.conf import settings

from backend.documents.admission import Admission, CpuRateLimit
from backend.documents.errors import IngestionFailed, ParserSilent, UnsupportedFile
from backend.documents.ingestion.parsers.frames import Job
from backend.documents.ingestion.pool import parser_process
from backend.errors import ServiceUnavailable

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
CPU_SECONDS = 2  # An ordinary DOCX takes a few milliseconds.
SECONDS = 10.0  # Wall clock.
MAX_RESULT_BYTES = 64 * 1024  # Bytes.
_cpu_limit = CpuRateLimit("inspections", 20.0)
_admission = Admission(max_running=2, max_admitted=settings.WEB_THREADS // 4, max_wait=5.0, heavy_seconds=5.0)


def type_of_archive(file: IO[bytes], *, workspace: str) -> str:
    """The content type of an archive.

    :param workspace: whose upload it is.
    :raises UnsupportedFile: it is not a supported type, or detecting it exceeds the limits.
    :raises RateLimited: archives of the workspace have used up its processor time.
    :raises ServiceUnavailable: too many archives are being inspected, or the machine is too busy.
    """
    try:
        spent = _cpu_limit.spent(workspace)
        with _admission.admitted(workspace, spent=spent), _path_of(file) as path:
            kind = _detect(path, workspace)
    except ParserSilent as error:  # The limit of processor time is far lower, so the machine is busy.
        raise ServiceUnavailable from error
    except IngestionFailed as error:
        raise UnsupportedFile(error.detail) from error
    if kind != DOCX:  # It is stored and sent to browsers; a parser that a malicious file controls may return anything.
        raise UnsupportedFile
    return kind


def _detect(path: str, workspace: str) -> str:
    job = Job(
        task="detect",
        content_type="",
        cpu_seconds=CPU_SECONDS,
        total_cpu_seconds=CPU_SECONDS,
        memory_bytes=settings.PARSER_MEMORY_BYTES,
    )
    for _attempt in range(2):  # The idle parser process may have ended.
        with contextlib.suppress(ConnectionError), parser_process() as process:
            try:
                return process.run_for_result(job, path=path, seconds=SECONDS, max_bytes=MAX_RESULT_BYTES).content_type
            finally:
                _cpu_limit.spend(workspace, process.cpu_seconds or CPU_SECONDS)
    raise ServiceUnavailable


@contextlib.contextmanager
def _path_of(file: IO[bytes]) -> Iterator[str]:
    """The path of the file; uploads have one, others are copied."""
    path = getattr(file, "temporary_file_path", None)
    if path is not None:
        file.flush()
        yield path()
        return
    with tempfile.NamedTemporaryFile(prefix="orquestra-") as copy:
        shutil.copyfileobj(file, copy)
        copy.flush()
        yield copy.name
