"""uvicorn inside gunicorn, with three things added: bounded heads, refusals as problems, streams that end in time."""

import logging
import socket
import sys
from typing import Any

from gunicorn.arbiter import Arbiter
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import Server
from uvicorn_worker import UvicornWorker

from backend.http.refusals import refusal
from backend.http.sse import end_streams

LONGEST_HEAD = 64 * 1024  # Bytes of request line and headers; llhttp itself would collect them without end.


class Protocol(HttpToolsProtocol):
    """HTTP/1.1 of one connection."""

    _received = 0  # Bytes since the head began, for one that never ends.
    _parsed = 0  # Bytes of the head's parts, for one that comes at once.
    _in_head = True

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._received += len(data)
        super().data_received(data)
        if self._in_head and self._received > LONGEST_HEAD and not self.transport.is_closing():
            self._refuse(431, "headers_too_large")

    def on_message_begin(self) -> None:
        self._in_head, self._received, self._parsed = True, 0, 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(name, value)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head, self._received = True, 0
        super().on_message_complete()

    def _count(self, *parts: bytes) -> None:
        self._parsed += sum(map(len, parts))
        if self._parsed > LONGEST_HEAD:
            raise ValueError("the head is too long")  # Stops the parser, which then asks for a refusal.

    def send_400_response(self, msg: str) -> None:
        if self._parsed > LONGEST_HEAD:
            self._refuse(431, "headers_too_large")
        else:
            self._refuse(400, "bad_request")

    def _refuse(self, status: int, code: str) -> None:
        """Answer what never became a request, and hang up."""
        self.transport.write(refusal(status, code))
        self.transport.close()


class StreamingServer(Server):
    """Ends the event streams before it waits for requests to end: their clients come back elsewhere and resume."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        end_streams()
        await super().shutdown(sockets)


class Worker(UvicornWorker):  # type: ignore[misc]  # Untyped upstream.
    """gunicorn's worker class of the web process."""

    CONFIG_KWARGS: dict[str, Any] = {
        "loop": "auto",
        "http": Protocol,
        "ws": "none",
        "lifespan": "on",
        "server_header": False,
        "access_log": False,
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.config.timeout_graceful_shutdown = max(1, int(self.cfg.graceful_timeout) - 1)
        for name in ("uvicorn.error", "uvicorn.access"):  # Back to our own handlers, from those of gunicorn.
            logger = logging.getLogger(name)
            logger.handlers, logger.propagate = [], True
            logger.setLevel(logging.NOTSET)

    async def _serve(self) -> None:
        self.config.app = self.wsgi
        server = StreamingServer(config=self.config)
        self._install_sigquit_handler()
        await server.serve(sockets=self.sockets)
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)
