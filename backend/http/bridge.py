"""What an ASGI request needs before WSGI can have it: a body of known length, and headers that cannot be mistaken.

WSGI in Django reads no body without a Content-Length, and takes a connection that broke in the middle of a body for
its end. Small bodies are therefore collected here, where waiting for a slow sender costs no thread; large ones (files)
flow on, counted, and a break becomes an error of the read.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from io import BytesIO
from typing import Any
from urllib.parse import quote_from_bytes
from wsgiref.util import FileWrapper

from a2wsgi.wsgi import WSGIMiddleware, WSGIResponder
from django.conf import settings
from django.core.exceptions import RequestDataTooBig

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY = "orquestra.body"  # In the scope: all of it, where it was collected here.
FORM_OVERHEAD = 1024 * 1024  # What the other fields and the boundaries of a multipart body may add to its file.


class Threads(WSGIMiddleware):
    """a2wsgi, but a thread does not wait for the event loop where nothing could be too much for it.

    Each wait costs two changes of thread, and on a busy process as many turns at the interpreter's lock.
    """

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await _Responder(self.app, self.executor, self.send_queue_size)(scope, receive, send)


class _Responder(WSGIResponder):
    _sent = 0

    def send(self, message: Any) -> None:
        """The first messages have room in the queue; later ones wait until the client has taken some."""
        self._sent += 1
        if self._sent <= self.send_queue.maxsize:
            self.loop.call_soon_threadsafe(self.send_queue.put_nowait, message)
        else:
            super().send(message)


class Blocks(FileWrapper):
    """What WSGI sends files with: each block crosses from a thread to the event loop, so few large ones are best."""

    def __init__(self, filelike: Any, blksize: int = 0) -> None:
        super().__init__(filelike, max(blksize, 256 * 1024))


def fitted(application: Callable[..., Any]) -> Callable[..., Any]:
    """The WSGI application; files leave in large blocks, and a body that is there already is read from memory."""

    def serve(environ: dict[str, Any], start_response: Any) -> Any:
        body = environ["asgi.scope"].get(BODY)
        if body is not None:
            environ["wsgi.input"] = BytesIO(body)
        return application({**environ, "wsgi.file_wrapper": Blocks}, start_response)

    return serve


def cleaned(scope: Scope) -> Scope:
    """Without headers whose underscores would pass for hyphens, and with a query string of ASCII alone."""
    headers = [(name, value) for name, value in scope["headers"] if b"_" not in name]
    query = quote_from_bytes(scope["query_string"], safe="%&=+/?:@!$'()*,;~-._[]{}|\\^`<>\"")
    return {**scope, "headers": headers, "query_string": query.encode("ascii")}


def served_by_threads(application: Application) -> Application:
    """The application with every body made fit for WSGI."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name: value for name, value in scope["headers"] if name in (b"content-length", b"content-type")}
        declared = int(headers[b"content-length"]) if b"content-length" in headers else None
        limit: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        kind = headers.get(b"content-type", b"").lower()
        if declared is not None and declared > limit:
            await application(scope, _counted(receive, settings.MAX_UPLOAD_BYTES + FORM_OVERHEAD), send)
        elif declared is None and kind.startswith((b"multipart/", b"application/octet-stream")):
            most = settings.MAX_UPLOAD_BYTES + FORM_OVERHEAD
            await application(_with_length(scope, most), _counted(receive, most), send)
        elif (body := await _collected(receive, limit)) is not None:
            await application({**_with_length(scope, len(body)), BODY: body}, receive, send)

    return serve


def in_turn(application: Application, *, paths: "re.Pattern[str]", at_once: int, patience: float = 0.25) -> Application:
    """The application, requests of these paths worked on in order of arrival, so many at a time.

    Side by side all would end when the last one does; one after the other the last one ends no later. Nobody waits
    longer than ``patience`` (seconds) while the others get no further, whatever holds them up. Put it behind
    ``served_by_threads``: then a slow sender does not.
    """
    turns = _Turns(at_once, patience)

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if not paths.fullmatch(scope["path"]):
            await application(scope, receive, send)
            return
        mine = await turns.take()
        try:
            await application(scope, receive, send)
        finally:
            if mine:
                turns.end()

    return serve


class _Turns:
    def __init__(self, at_once: int, patience: float) -> None:
        self._places, self._patience = asyncio.Semaphore(at_once), patience
        self._waiting: set[asyncio.Timeout] = set()

    async def take(self) -> bool:
        """A place, as soon as it is one's turn; none when nobody has taken one for too long."""
        try:
            async with asyncio.timeout(self._patience) as clock:
                self._waiting.add(clock)
                try:
                    await self._places.acquire()
                finally:
                    self._waiting.discard(clock)
        except TimeoutError:
            return False
        until = asyncio.get_running_loop().time() + self._patience
        for other in self._waiting:
            if not other.expired():
                other.reschedule(until)
        return True

    def end(self) -> None:
        self._places.release()


def _with_length(scope: Scope, length: int) -> Scope:
    headers = [(name, value) for name, value in scope["headers"] if name != b"content-length"]
    if length:
        headers.append((b"content-length", str(length).encode()))
    return {**scope, "headers": headers}


async def _collected(receive: Receive, limit: int) -> bytes | None:
    """The body, or its first ``limit + 1`` bytes, which Django then refuses; none when the client has gone."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > limit or not message.get("more_body", False):
            return bytes(body[: limit + 1])


def _counted(receive: Receive, most: int) -> Receive:
    seen = 0

    async def next_message() -> Message:
        nonlocal seen
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError("the client left in the middle of its body")
        seen += len(message.get("body", b""))
        if seen > most:
            raise RequestDataTooBig("the body is larger than any file may be")
        return message

    return next_message
