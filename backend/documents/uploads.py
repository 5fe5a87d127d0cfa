"""Receives the file of a multipart form: writes it to disk while hashing it, up to the allowed size."""

import contextlib
import fcntl
import hashlib
import logging
import os
import tempfile
import time
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.core.files.uploadedfile import TemporaryUploadedFile, UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, StopFutureHandlers
from django.http import HttpRequest, multipartparser
from django.utils.http import parse_header_parameters
from rest_framework.exceptions import ParseError
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request

from backend.documents.errors import FileTooLarge

logger = logging.getLogger(__name__)

CLEAN_EVERY = 600.0  # Seconds.
UNLOCKED_SECONDS = 60.0  # A file is created shortly before it is locked; younger files are left alone.
FORM_OVERHEAD = 1024 * 1024  # Bytes that boundaries and other fields may add to a body.

# Django refuses more than 1,024 bytes of headers per part: too few for a name of 255 characters of other alphabets,
# which clients send in UTF-8, percent-encoded (RFC 8187), or both.
multipartparser.MAX_TOTAL_HEADER_SIZE = 8 * 1024  # type: ignore[attr-defined]  # Not in its stubs.


class HashedUpload(TemporaryUploadedFile):
    """A temporary file in the same file system as a storage folder, so that storing it is a rename.

    It is locked while it is open, so that ``remove_abandoned`` removes only files of dead processes.
    """

    sha256 = ""

    def __init__(self, name: str, content_type: str, charset: str | None, extra: dict[str, Any] | None) -> None:
        folder = incoming()
        folder.mkdir(parents=True, exist_ok=True)
        _clean_periodically()
        file = tempfile.NamedTemporaryFile(prefix="upload-", dir=folder)  # noqa: SIM115  # Closed with the upload.
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        UploadedFile.__init__(self, file, name, content_type, 0, charset, extra)


def incoming() -> Path:
    return Path(settings.MEDIA_ROOT) / "incoming"


class HashingUploadHandler(FileUploadHandler):
    """Writes one file to disk, hashing it on the way.

    :raises FileTooLarge: it exceeds MAX_UPLOAD_BYTES; the rest is not read.
    """

    chunk_size = 256 * 1024

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self.file = HashedUpload(self.file_name or "", self.content_type or "", self.charset, self.content_type_extra)
        self.digest = hashlib.sha256()
        self.received = 0
        raise StopFutureHandlers

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self.received += len(raw_data)
        if self.received > settings.MAX_UPLOAD_BYTES:
            self.file.close()
            raise FileTooLarge(limit=settings.MAX_UPLOAD_BYTES)
        self.digest.update(raw_data)
        self.file.write(raw_data)

    def file_complete(self, file_size: int) -> HashedUpload:
        self.file.seek(0)
        self.file.size = file_size
        self.file.sha256 = self.digest.hexdigest()
        return self.file

    def upload_interrupted(self) -> None:
        if hasattr(self, "file"):
            self.file.close()


class _TailRecorder:
    """Wraps a body and keeps its last bytes, because a truncated body parses as a shorter file."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self.tail = b""

    def read(self, size: int = -1) -> bytes:
        data = self.stream.read(size)
        self.tail = (self.tail + data)[-512:]
        return data


class UploadParser(MultiPartParser):
    """DRF's multipart parser with ``HashingUploadHandler``; refuses truncated bodies."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        request: HttpRequest = parser_context["request"]._request
        request.upload_handlers = [HashingUploadHandler(request)]
        recorder = _TailRecorder(stream)
        parsed: Any = super().parse(recorder, media_type, parser_context)  # type: ignore[arg-type]  # It only reads.
        boundary = parse_header_parameters(media_type or "")[1].get("boundary", "")
        if f"--{boundary}--".encode() not in recorder.tail:
            for file in parsed.files.values():
                file.close()
            raise ParseError("The body ended before it was complete.")
        return parsed


def refuse_too_long(request: Request) -> None:
    """Check the declared length before the body is read.

    :raises FileTooLarge: it exceeds what a permitted file can need.
    """
    declared = request.META.get("CONTENT_LENGTH") or "0"
    if declared.isdigit() and int(declared) > settings.MAX_UPLOAD_BYTES + FORM_OVERHEAD:
        raise FileTooLarge(limit=settings.MAX_UPLOAD_BYTES)


def remove_abandoned() -> int:
    """Remove incoming files of killed processes from this machine's disk, and return their number."""
    removed = 0
    folder = incoming()
    for path in folder.glob("upload-*") if folder.exists() else ():
        with contextlib.suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
            if path.stat().st_mtime > time.time() - UNLOCKED_SECONDS:
                continue
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # The kernel releases the lock of a dead process.
            os.unlink(path)
            removed += 1
    return removed


_cleaned_at: dict[Path, float] = {}


def _clean_periodically() -> None:
    """Remove abandoned files at the first upload and then regularly. No other process may have access to this disk."""
    folder, now = incoming(), time.monotonic()
    if now - _cleaned_at.get(folder, -CLEAN_EVERY) >= CLEAN_EVERY:
        _cleaned_at[folder] = now
        if removed := remove_abandoned():
            logger.warning("removed %d incoming files of killed processes", removed)
