"""The refusals and errors of documents."""

from http import HTTPStatus

from backend.errors import DomainError


class FileTooLarge(DomainError):
    """The file is larger than this server takes."""

    code = "file_too_large"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class StorageQuotaExceeded(DomainError):
    """The workspace has as many documents, or as many bytes, as it may have. Delete some of them first."""

    code = "storage_quota_exceeded"
    status = HTTPStatus.CONFLICT


class UnsupportedFile(DomainError):
    """Only PDF, DOCX, HTML, Markdown and plain text can be read."""

    code = "unsupported_file"
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class LeaseLost(Exception):
    """Another worker claimed the ingestion, or it was cancelled: this worker must write nothing more."""


class IngestionFailed(Exception):
    """The document cannot be read.

    :ivar code: stored with the ingestion and shown to clients.
    :ivar retryable: whether reading it again may succeed.
    """

    def __init__(self, code: str, detail: str, *, retryable: bool = False) -> None:
        self.code = code
        self.detail = detail
        self.retryable = retryable
        super().__init__(f"{code}: {detail}")


class ParserTimedOut(IngestionFailed):
    """The parser took too long from one frame to the next.

    :ivar by_clock: wall-clock time ran out, which a busy machine may cause; otherwise processor time ran out.
    """

    by_clock = False


class ParserSilent(ParserTimedOut):
    """The parser sent nothing within its time."""

    by_clock = True
