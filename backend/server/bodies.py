"""Reads the body of a request in the event loop, before a thread works on the request: a slow sender holds no thread.

Django under WSGI reads no body without a Content-Length, and takes a connection that broke in the middle of a body for
the end of the body. Therefore a body is read whole first: a small one into memory; a large one (a file) into a
temporary file, and only for a caller who has shown a valid access token and has one of the account's upload slots. The
application receives the body with its length. An error is passed to the application as an exception to answer with, so
that every error response passes the middleware: the log, the metrics, the headers for other origins.

The steps for a large body:

1. Identify the caller. Without a valid token nothing is read, and the application answers 401 itself.
2. Take an upload slot of the account, else 429.
3. Check the free disk space, else 503.
4. Read the body at the minimum rate or faster, else 408.
5. Call the application.
"""

import asyncio
import logging
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import UnreadablePostError

from backend.errors import DomainError, ServiceUnavailable
from backend.server.scope import ACCOUNT, BODY, ERROR, Application, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)

Identify = Callable[[Scope], str | None]
UploadSlot = Callable[[str], AbstractAsyncContextManager[None]]

FORM_OVERHEAD = 1024 * 1024  # Bytes that the other fields and the boundaries of a multipart body may add to its file.
SMALL_BODY_SECONDS = 60  # In all, for a body that is not a file.
RESERVED_DISK = 64 * 1024 * 1024  # Bytes of free disk that no upload may use.
WRITE_BYTES = 1024 * 1024  # Bytes that are collected before they are written to disk.
FILE_TYPES = (b"multipart/", b"application/octet-stream")

_executor = ThreadPoolExecutor(4, thread_name_prefix="bodies")  # Waits for the disk and Redis, never for a client.


class BodyTooSlow(DomainError):
    """The request arrived too slowly."""

    code = "request_timeout"
    status = HTTPStatus.REQUEST_TIMEOUT


class UploadTooLarge(DomainError):
    """The file is larger than allowed."""

    code = "file_too_large"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class _ClientDisconnected(Exception):
    """The client disconnected in the middle of its body."""


class _UnreadBody:
    """A body of which nothing was read."""

    def read(self, size: int = -1) -> bytes:
        raise RequestDataTooBig("the body is larger than this path accepts")

    readline = read


class _Deadline:
    """The time limit of a body: a minimum average rate after a grace period, and a maximum in all."""

    def __init__(self, max_seconds: float) -> None:
        self._began = asyncio.get_running_loop().time()
        self._max_seconds, self._rate = max_seconds, settings.CLIENT_MIN_BYTES_PER_SECOND

    async def next(self, receive: Receive, received: int) -> Message:
        """
        :raises BodyTooSlow: the time limit has passed.
        :raises _ClientDisconnected: the client disconnected.
        """
        allowed = min(settings.CLIENT_GRACE_SECONDS + received / self._rate, self._max_seconds)
        try:
            async with asyncio.timeout_at(self._began + allowed):
                message = await receive()
        except TimeoutError:
            raise BodyTooSlow(headers={"Connection": "close"}) from None
        if message["type"] == "http.disconnect":
            raise _ClientDisconnected
        return message


def read_bodies(application: Application, *, identify: Identify, upload_slot: UploadSlot) -> Application:
    """Wrap the application so that it gets every body whole and with its length.

    :param identify: returns the account of the request's access token; None, or any exception, without a valid one.
    :param upload_slot: takes one of the account's upload slots and frees it at the end of the block.
    """

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name: value for name, value in scope["headers"] if name in (b"content-length", b"content-type")}
        declared = int(headers[b"content-length"]) if b"content-length" in headers else None
        small: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        if declared is not None and declared > small:
            large = True
        else:
            large = declared is None and headers.get(b"content-type", b"").lower().startswith(FILE_TYPES)
        if not large:
            await _serve_small(application, scope, receive, send, small)
            return
        max_bytes = settings.MAX_UPLOAD_BYTES + FORM_OVERHEAD
        account = await _identify(identify, scope) if (declared or 0) <= max_bytes else None
        if account is not None:
            slot = upload_slot(account)
            scope.get("state", {})[ACCOUNT] = account
            await _serve_large(application, scope, receive, send, slot=slot, declared=declared, max_bytes=max_bytes)
        elif declared is None:
            await _serve_small(application, scope, receive, send, small)
        else:
            await application({**scope, BODY: _UnreadBody()}, receive, _close_after_response(scope, send))

    return serve


async def _serve_small(application: Application, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
    try:
        body = await _read_into_memory(receive, limit)
    except _ClientDisconnected:
        return
    except DomainError as error:
        await application({**_with_length(scope, 0), ERROR: error}, receive, send)
    else:
        await application({**_with_length(scope, len(body)), BODY: body}, receive, send)


async def _serve_large(
    application: Application,
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    slot: AbstractAsyncContextManager[None],
    declared: int | None,
    max_bytes: int,
) -> None:
    called = False
    try:
        async with slot:
            with await _in_thread(_open_file, declared or max_bytes) as file:
                length = await _read_into_file(receive, file, max_bytes)
                called = True
                await application({**_with_length(scope, length), BODY: file}, receive, send)
    except (DomainError, UnreadablePostError) as error:
        if called:
            raise
        await application({**_with_length(scope, 0), ERROR: error}, receive, _close_after_response(scope, send))


async def _identify(identify: Identify, scope: Scope) -> str | None:
    try:
        account: str | None = await _in_thread(identify, scope)
    except DomainError:
        return None  # The application raises it again and answers with it.
    except Exception as error:
        logger.warning("caller_not_identified error=%r", error)
        return None
    return account


def _open_file(size: int) -> IO[bytes]:
    """A file without a name in the folder of uploads: it disappears when this process ends, however it ends.

    :raises ServiceUnavailable: the disk has no room for it.
    """
    folder = Path(settings.MEDIA_ROOT) / "incoming"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(folder).free < size + RESERVED_DISK:
            logger.error("upload_disk_full bytes=%s folder=%s", size, folder)
            raise ServiceUnavailable
        return tempfile.TemporaryFile(dir=folder)  # The caller closes it.
    except OSError as error:
        logger.error("upload_file_not_opened error=%s", error)
        raise ServiceUnavailable from error


async def _read_into_file(receive: Receive, file: IO[bytes], max_bytes: int) -> int:
    """Write the body into the file. Returns its length.

    :raises BodyTooSlow: it arrives below the minimum rate.
    :raises UploadTooLarge: it is longer than ``max_bytes``.
    :raises UnreadablePostError: the client disconnected before its end.
    """
    deadline, received, more = _Deadline(settings.CLIENT_MAX_SECONDS), 0, True
    buffer = bytearray()
    try:
        while more:
            message = await deadline.next(receive, received)
            buffer += message.get("body", b"")
            received += len(message.get("body", b""))
            more = message.get("more_body", False)
            if received > max_bytes:
                raise UploadTooLarge(limit=settings.MAX_UPLOAD_BYTES)
            if len(buffer) >= WRITE_BYTES or not more:
                await _in_thread(file.write, bytes(buffer))
                buffer.clear()
        await _in_thread(file.seek, 0)
    except _ClientDisconnected:
        raise UnreadablePostError("the client disconnected in the middle of its body") from None
    except OSError as error:
        logger.error("upload_not_written error=%s", error)
        raise ServiceUnavailable from error
    return received


async def _read_into_memory(receive: Receive, limit: int) -> bytes:
    """The body, or its first ``limit + 1`` bytes, which Django then refuses.

    :raises BodyTooSlow: it arrives below the minimum rate.
    """
    deadline = _Deadline(SMALL_BODY_SECONDS)
    body = bytearray()
    while True:
        message = await deadline.next(receive, len(body))
        body += message.get("body", b"")
        if len(body) > limit or not message.get("more_body", False):
            return bytes(body[: limit + 1])


def _with_length(scope: Scope, length: int) -> Scope:
    headers = [(name, value) for name, value in scope["headers"] if name != b"content-length"]
    if length:
        headers.append((b"content-length", str(length).encode()))
    return {**scope, "headers": headers}


def _close_after_response(scope: Scope, send: Send) -> Send:
    """Close the connection after the response where the client waits for ``100 Continue``, which it did not get.

    The client may send the body nevertheless, or its next request: the server cannot tell the two apart. A body that is
    on its way already is drained by ``backend.server.connections``.
    """
    if (b"expect", b"100-continue") not in [(name, value.lower()) for name, value in scope["headers"]]:
        return send

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
        await send(message)

    return sending


async def _in_thread(work: Callable[..., Any], *arguments: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(_executor, work, *arguments)
