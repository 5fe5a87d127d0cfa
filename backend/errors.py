"""The base class of every expected error, which becomes a problem document for the client."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar


class DomainError(Exception):
    """An expected error with a stable code. The docstring of a subclass is the message that the client reads.

    :ivar code: machine-readable, never translated and never changed.
    :ivar status: the HTTP status of the response.
    :ivar detail: what happened, in a sentence for people.
    :ivar extra: further members of the problem document, JSON-serializable. ``headers`` and ``errors`` are not members:
        they are added to the response and to the list of invalid fields.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[HTTPStatus] = HTTPStatus.BAD_REQUEST

    def __init__(self, detail: str | None = None, **extra: Any) -> None:
        self.detail = detail or (type(self).__doc__ or "").strip().splitlines()[0]
        self.extra: Mapping[str, Any] = extra
        super().__init__(self.detail)


class NotFound(DomainError):
    """There is nothing here that you may see."""

    code = "not_found"
    status = HTTPStatus.NOT_FOUND


class Forbidden(DomainError):
    """Your role in this workspace does not allow this."""

    code = "forbidden"
    status = HTTPStatus.FORBIDDEN


class Conflict(DomainError):
    """The object is not in a state that allows this."""

    code = "conflict"
    status = HTTPStatus.CONFLICT


class FieldError(DomainError):
    """A field is not valid."""

    code = "validation_error"
    status = HTTPStatus.UNPROCESSABLE_ENTITY

    def __init__(self, pointer: str, detail: str, code: str = "invalid") -> None:
        super().__init__(detail, errors=[{"pointer": pointer, "code": code, "detail": detail}])


class ServiceUnavailable(DomainError):
    """A part that this needs does not answer; try again shortly."""

    code = "service_unavailable"
    status = HTTPStatus.SERVICE_UNAVAILABLE
