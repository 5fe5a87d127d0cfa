"""Collects the body of a request before a thread works on it, so that a slow sender holds no thread.

WSGI in Django reads no body without a Content-Length and takes a connection that broke in the middle of a body for its
end. Therefore a body is collected whole, in the event loop: a small one in memory; a large one (a file) in a temporary
file, and only for a caller who has shown a valid access token and has one of the account's upload places. The
application gets its length, and what is wrong with it as a refusal to answer with, so that every refusal passes the
middleware: the log, the metrics, the headers for other origins.

Steps for a large body: identify the caller (else the application answers 401 itself, and nothing is read); take a
place (else 429); look for free disk (else 503); collect, at the minimum rate (else 408); call the application.
"""

import asyncio
import logging
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import UnreadablePostError

from backend.errors import DomainError, ServiceUnavailable
from backend.http.concurrency import held_async
from backend.server.scope import ACCOUNT, BODY, REFUSAL, Application, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)

Identify = Callable[[Scope], str | None]

FORM_OVERHEAD = 1024 * 1024  # What the other fields and the boundaries of a multipart body may add to its file.
SMALL_BODY_SECONDS = 60  # In all, for a body that is no file.
SPARE_DISK = 64 * 1024 * 1024  # Bytes that no upload may take.
WRITE_BYTES = 1024 * 1024  # Collected before they are written.
FILES = (b"multipart/", b"application/octet-stream")

_aside = ThreadPoolExecutor(4, thread_name_prefix="bodies")  # For disk and Redis; never for a client.


class BodyTooSlow(DomainError):
    """The request arrived too slowly."""

    code = "request_timeout"
    status = HTTPStatus.REQUEST_TIMEOUT


class UploadTooLarge(DomainError):
    """The file is larger than allowed."""

    code = "file_too_large"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class _Gone(Exception):
    """The client left in the middle of its body."""


class _Unread:
    """A body of which nothing was taken."""

    def read(self, size: int = -1) -> bytes:
        raise RequestDataTooBig("the body is larger than this path takes")

    readline = read


class _Pace:
    """After some seconds of grace, a minimum average rate; and an end in any case."""

    def __init__(self, seconds: float) -> None:
        self._began = asyncio.get_running_loop().time()
        self._seconds, self._rate = seconds, settings.CLIENT_MIN_BYTES_PER_SECOND

    async def next(self, receive: Receive, received: int) -> Message:
        """
        :raises BodyTooSlow: the time is over.
        :raises _Gone: the client left.
        """
        allowed = min(settings.CLIENT_GRACE_SECONDS + received / self._rate, self._seconds)
        try:
            async with asyncio.timeout_at(self._began + allowed):
                message = await receive()
        except TimeoutError:
            raise BodyTooSlow(headers={"Connection": "close"}) from None
        if message["type"] == "http.disconnect":
            raise _Gone
        return message


def with_bodies(application: Application, *, identify: Identify) -> Application:
    """The application with every body made fit for WSGI.

    :param identify: the account that the request's access token speaks for; none, or any error, without a valid one.
    """

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name: value for name, value in scope["headers"] if name in (b"content-length", b"content-type")}
        declared = int(headers[b"content-length"]) if b"content-length" in headers else None
        small: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        if declared is not None and declared > small:
            large = True
        else:
            large = declared is None and headers.get(b"content-type", b"").lower().startswith(FILES)
        if not large:
            await _serve_small(application, scope, receive, send, small)
            return
        most = settings.MAX_UPLOAD_BYTES + FORM_OVERHEAD
        account = await _identified(identify, scope) if (declared or 0) <= most else None
        if account is not None:
            await _serve_large(application, scope, receive, send, account=account, declared=declared, most=most)
        elif declared is None:
            await _serve_small(application, scope, receive, send, small)
        else:
            await application({**scope, BODY: _Unread()}, receive, _final(scope, send))

    return serve


async def _serve_small(application: Application, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
    try:
        body = await _collected(receive, limit)
    except _Gone:
        return
    except DomainError as error:
        await application({**_with_length(scope, 0), REFUSAL: error}, receive, send)
    else:
        await application({**_with_length(scope, len(body)), BODY: body}, receive, send)


async def _serve_large(
    application: Application,
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    account: str,
    declared: int | None,
    most: int,
) -> None:
    scope.get("state", {})[ACCOUNT] = account
    answered = False
    try:
        async with held_async("uploads", account, limit=settings.UPLOADS_PER_USER):
            with await _aside_of(_opened, declared or most) as file:
                length = await _spooled(receive, file, most)
                answered = True
                await application({**_with_length(scope, length), BODY: file}, receive, send)
    except (DomainError, UnreadablePostError) as error:
        if answered:
            raise
        await application({**_with_length(scope, 0), REFUSAL: error}, receive, _final(scope, send))


async def _identified(identify: Identify, scope: Scope) -> str | None:
    try:
        account: str | None = await _aside_of(identify, scope)
    except DomainError:
        return None  # The application says which.
    except Exception as error:
        logger.warning("caller_not_identified error=%r", error)
        return None
    return account


def _opened(size: int) -> IO[bytes]:
    """A file without a name where uploads are kept: it ends with this process, whatever ends that.

    :raises ServiceUnavailable: there is no room for it.
    """
    folder = Path(settings.MEDIA_ROOT) / "incoming"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(folder).free < size + SPARE_DISK:
            logger.error("no room for an upload of %s bytes in %s", size, folder)
            raise ServiceUnavailable
        return tempfile.TemporaryFile(dir=folder)  # The caller closes it.
    except OSError as error:
        logger.error("uploads cannot be kept: %s", error)
        raise ServiceUnavailable from error


async def _spooled(receive: Receive, file: IO[bytes], most: int) -> int:
    """The length of the body, which is in the file then.

    :raises BodyTooSlow: it does not come at the minimum rate.
    :raises UploadTooLarge: it is longer than ``most``.
    :raises UnreadablePostError: the client left before its end.
    """
    pace, received, more = _Pace(settings.CLIENT_MAX_SECONDS), 0, True
    waiting = bytearray()
    try:
        while more:
            message = await pace.next(receive, received)
            waiting += message.get("body", b"")
            received += len(message.get("body", b""))
            more = message.get("more_body", False)
            if received > most:
                raise UploadTooLarge(limit=settings.MAX_UPLOAD_BYTES)
            if len(waiting) >= WRITE_BYTES or not more:
                await _aside_of(file.write, bytes(waiting))
                waiting.clear()
        await _aside_of(file.seek, 0)
    except _Gone:
        raise UnreadablePostError("the client left in the middle of its body") from None
    except OSError as error:
        logger.error("an upload cannot be kept: %s", error)
        raise ServiceUnavailable from error
    return received


async def _collected(receive: Receive, limit: int) -> bytes:
    """The body, or its first ``limit + 1`` bytes, which Django then refuses.

    :raises BodyTooSlow: it does not come at the minimum rate.
    """
    pace = _Pace(SMALL_BODY_SECONDS)
    body = bytearray()
    while True:
        message = await pace.next(receive, len(body))
        body += message.get("body", b"")
        if len(body) > limit or not message.get("more_body", False):
            return bytes(body[: limit + 1])


def _with_length(scope: Scope, length: int) -> Scope:
    headers = [(name, value) for name, value in scope["headers"] if name != b"content-length"]
    if length:
        headers.append((b"content-length", str(length).encode()))
    return {**scope, "headers": headers}


def _final(scope: Scope, send: Send) -> Send:
    """Ends the connection with the answer, where a body was announced that the client was not asked to send.

    It may send the body nevertheless, or its next request: the two cannot be told apart. Bodies that are on their way
    already are drained by ``backend.server.connections``.
    """
    if (b"expect", b"100-continue") not in [(name, value.lower()) for name, value in scope["headers"]]:
        return send

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
        await send(message)

    return sending


async def _aside_of(work: Callable[..., Any], *arguments: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(_aside, work, *arguments)
