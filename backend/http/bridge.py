"""What an ASGI request needs before WSGI can have it: a body of known length, and headers that cannot be mistaken.

WSGI in Django reads no body without a Content-Length, and takes a connection that broke in the middle of a body for
its end. Small bodies are therefore collected here, where waiting for a slow sender costs no thread; large ones (files)
flow on, counted, and a break becomes an error of the read.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import quote_from_bytes
from wsgiref.util import FileWrapper

from django.conf import settings
from django.core.exceptions import RequestDataTooBig

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

FORM_OVERHEAD = 1024 * 1024  # What the other fields and the boundaries of a multipart body may add to its file.


class Blocks(FileWrapper):
    """What WSGI sends files with: each block crosses from a thread to the event loop, so few large ones are best."""

    def __init__(self, filelike: Any, blksize: int = 0) -> None:
        super().__init__(filelike, max(blksize, 256 * 1024))


def sending_blocks(application: Callable[..., Any]) -> Callable[..., Any]:
    """The WSGI application, its files sent in large blocks."""

    def send(environ: dict[str, Any], start_response: Any) -> Any:
        return application({**environ, "wsgi.file_wrapper": Blocks}, start_response)

    return send


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
            await application(_with_length(scope, len(body)), _replayed(body, receive), send)

    return serve


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


def _replayed(body: bytes, receive: Receive) -> Receive:
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return messages.pop() if messages else await receive()

    return next_message


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
