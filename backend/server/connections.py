"""HTTP/1.1 connections with time limits on all that clients can delay.

The only time-out of uvicorn's protocol is that of an idle connection between two requests. Here a check of every
connection of the process once per second (``check_connections``) enforces these limits, at no cost to an ordinary
request:

- a head that does not arrive, or not completely: 408, and the connection closes;
- a response that the client does not read at the minimum rate: the connection is cut. This includes event streams, so
  that a stalled reader does not make the process keep its data in memory;
- a body that continues after its response: the process drains it for some seconds and bytes, since a client whose
  connection is cut while it sends might never read the response;
- too many slow heads and bodies from one address: the oldest connections are cut. Bodies of known accounts are limited
  per account instead.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from django.conf import settings
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from backend.server.scope import ABORT, ACCOUNT

MAX_HEAD_BYTES = 64 * 1024  # Of request line and headers; llhttp itself has no limit.
MAX_PIPELINED = 16  # Requests that wait on one connection for the one before; each costs more memory than its bytes.
DRAIN_SECONDS, DRAIN_BYTES = 5.0, 16 * 1024 * 1024  # Limits on the rest of a body after the response to its request.
SLOW_SECONDS = 2.0  # After this time an unfinished request counts as slow.
MAX_SLOW_PER_ADDRESS = 64  # Connections, per process.


class Flow(FlowControl):
    """uvicorn's flow control, except on a connection that is closing: uvloop's transport raises errors then."""

    def pause_reading(self) -> None:
        if not self._transport.is_closing():
            super().pause_reading()

    def resume_reading(self) -> None:
        if not self._transport.is_closing():
            super().resume_reading()


class Protocol(HttpToolsProtocol):
    """HTTP/1.1 on one connection.

    :cvar error_response: returns the bytes of the response to bytes that are not a request, by status and code;
        ``backend.asgi`` sets it.
    """

    error_response: Callable[[int, str], bytes] = staticmethod(lambda status, code: b"")

    _running: RequestResponseCycle | None = None  # The request in progress; ``cycle`` is the one that was read last.
    _received = 0  # Bytes since the head began, to limit a head that never ends.
    _parsed = 0  # Bytes of the parsed parts of the head, to limit a head that arrives at once.
    _in_head = True
    _in_body = False
    _since = 0.0  # When this head, or this body, began.
    _responded: float | None = None  # When the response was complete, while its request was not.
    _drained = 0
    _write_deadline: float | None = None  # When the client must have received what waits to be sent.

    def connection_made(self, transport: Any) -> None:
        self._since = self.loop.time()
        super().connection_made(transport)
        self.flow = Flow(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Disconnect the request in progress. uvicorn disconnects the one read last, which may still be waiting."""
        self.pipeline.clear()
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            if not self._received:
                self._since = self.loop.time()
            self._received += len(data)
        super().data_received(data)
        if self._in_head and self._received > MAX_HEAD_BYTES and not self.transport.is_closing():
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
        self._in_head, self._in_body, self._drained = False, True, 0
        if len(self.pipeline) >= MAX_PIPELINED:
            raise ValueError("too many requests at once")  # The parser stops and calls ``send_400_response``.
        scope: Any = self.scope
        scope[ABORT] = self.transport.abort
        super().on_headers_complete()
        if scope["http_version"] == "1.0":
            self.cycle.send = partial(_send_unchunked, self.cycle)  # type: ignore[method-assign]

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        if self.cycle.response_complete:
            self._drained += len(body)
            if self._drained > DRAIN_BYTES:
                self.transport.abort()
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_head, self._in_body, self._received, self._responded = True, False, 0, None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        if self._in_body and not self.pipeline:
            self._responded = self.loop.time()
        super().on_response_complete()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection. One whose client is still receiving a response is not idle."""
        if self.transport.get_write_buffer_size():
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        else:
            super().timeout_keep_alive_handler()

    def check(self, now: float) -> str | None:
        """Enforce the time limits. Returns the client's address if it is slow to send a request of no known account."""
        if self._is_stalled(now) or (self._responded is not None and now - self._responded > DRAIN_SECONDS):
            self.transport.abort()
            return None
        if self.transport.is_closing():
            return None
        waiting = self._idle
        if self._in_head and waiting and (self._received or self.cycle is None):
            if now - self._since > settings.CLIENT_GRACE_SECONDS:
                if self._received:
                    self._refuse(408, "request_timeout")
                else:
                    self.transport.abort()
                return None
            return self._address() if now - self._since > SLOW_SECONDS else None
        if self._in_body and not waiting and now - self._since > SLOW_SECONDS:
            known: Any = self.cycle.scope.get("state", {})
            return None if ACCOUNT in known else self._address()
        return None

    @property
    def since(self) -> float:
        return self._since

    @property
    def _idle(self) -> bool:
        return self._running is None or self._running.response_complete

    def _address(self) -> str:
        """The address of the client, as reported by a trusted gateway where there is one."""
        client: Any = self.cycle.scope.get("client") if self._in_body else self.client
        return str(client[0]) if client else ""

    def _is_stalled(self, now: float) -> bool:
        """Whether the client has not received, within its time, data that blocks this connection."""
        size = self.transport.get_write_buffer_size()
        if not size or not (self.flow.write_paused or self._idle or self.transport.is_closing()):
            self._write_deadline = None
            return False
        if self._write_deadline is None:
            self._write_deadline = now + settings.CLIENT_GRACE_SECONDS + size / settings.CLIENT_MIN_BYTES_PER_SECOND
        return now > self._write_deadline

    def _count(self, *parts: bytes) -> None:
        self._parsed += sum(map(len, parts))
        if self._parsed > MAX_HEAD_BYTES:
            raise ValueError("the head is too long")  # As above.

    def send_400_response(self, msg: str) -> None:
        if self._running is not None and self._running.response_started and not self._idle:
            self.transport.abort()  # In the middle of a response, the client would take another for a part of it.
        elif self._parsed > MAX_HEAD_BYTES:
            self._refuse(431, "headers_too_large")
        else:
            self._refuse(400, "bad_request")

    def _refuse(self, status: int, code: str) -> None:
        """Send the response to bytes that are not a request, and close the connection."""
        self.transport.write(self.error_response(status, code))
        self.transport.close()


async def _send_unchunked(cycle: RequestResponseCycle, message: Any) -> None:
    """Send a message of a response to HTTP/1.0, which has no chunks: the end of the connection ends the body.

    uvicorn sends what has no Content-Length in chunks, and else compares each part with what is left of the length.
    """
    if message["type"] == "http.response.start":
        if not any(name.lower() == b"content-length" for name, _ in message.get("headers", ())):
            cycle.chunked_encoding = False
    elif cycle.chunked_encoding is False and not cycle.expected_content_length:
        cycle.expected_content_length = len(message.get("body", b""))
    await RequestResponseCycle.send(cycle, message)


def check_connections(connections: Iterable[Any]) -> None:
    """Check each connection of the process once."""
    now = asyncio.get_running_loop().time()
    slow: defaultdict[str, deque[Protocol]] = defaultdict(deque)
    for connection in list(connections):
        if (address := connection.check(now)) is not None:
            slow[address].append(connection)
    for found in slow.values():
        if len(found) > MAX_SLOW_PER_ADDRESS:
            for connection in sorted(found, key=lambda each: each.since)[: len(found) - MAX_SLOW_PER_ADDRESS]:
                connection.transport.abort()
