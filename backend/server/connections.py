"""HTTP/1.1 connections that end in bounded time, whatever their clients do or leave undone.

uvicorn's protocol has no clock but that of an idle connection between two requests. Here one look per second at every
connection of the process (``examine``) finds what takes too long, at no cost to an ordinary request:

- a head that does not come, or not to its end: 408 and the connection ends;
- an answer that its client does not take at the minimum rate: the connection is cut. Streams are included, so no reader
  that stands still makes the process keep what it was sent;
- a body that goes on after its answer: it is drained for some seconds and bytes, for a client that is hung up on while
  it sends might never read the answer;
- more than some slow heads and bodies from one address: the oldest go. Bodies of accounts are counted per account.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any

from django.conf import settings
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from backend.server.scope import ABORT, ACCOUNT

LONGEST_HEAD = 64 * 1024  # Bytes of request line and headers; llhttp itself would collect them without end.
PIPELINED = 16  # Requests that may wait on one connection while one is answered; each costs more than its bytes.
DRAIN_SECONDS, DRAIN_BYTES = 5.0, 16 * 1024 * 1024  # What may follow of a body when its request has been answered.
SLOW_SECONDS = 2.0  # From then on an unfinished request counts as slow.
SLOW_PER_ADDRESS = 64  # Of one process.


class Flow(FlowControl):
    """uvicorn's, of a connection that may have been cut a moment ago: uvloop's transport takes no orders then."""

    def pause_reading(self) -> None:
        if not self._transport.is_closing():
            super().pause_reading()

    def resume_reading(self) -> None:
        if not self._transport.is_closing():
            super().resume_reading()


class Protocol(HttpToolsProtocol):
    """HTTP/1.1 of one connection.

    :cvar refusal: the whole answer to what never became a request, by status and code; ``backend.asgi`` sets it.
    """

    refusal: Callable[[int, str], bytes] = staticmethod(lambda status, code: b"")

    _running: RequestResponseCycle | None = None  # The request that is answered; ``cycle`` is the one read last.
    _received = 0  # Bytes since the head began, for one that never ends.
    _parsed = 0  # Bytes of the head's parts, for one that comes at once.
    _in_head = True
    _in_body = False
    _since = 0.0  # When this head, or this body, began.
    _answered: float | None = None  # When the answer was complete, while its request was not.
    _drained = 0
    _stuck_until: float | None = None  # When what waits to be sent must have left.

    def connection_made(self, transport: Any) -> None:
        self._since = self.loop.time()
        super().connection_made(transport)
        self.flow = Flow(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tells the request that is answered, where uvicorn tells the one read last, which may wait behind it."""
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
        self._in_head, self._in_body, self._drained = False, True, 0
        if len(self.pipeline) >= PIPELINED:
            raise ValueError("too many requests at once")  # Stops the parser, which then asks for a refusal.
        scope: Any = self.scope
        scope[ABORT] = self.transport.abort
        super().on_headers_complete()

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
        self._in_head, self._in_body, self._received, self._answered = True, False, 0, None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        if self._in_body and not self.pipeline:
            self._answered = self.loop.time()
        super().on_response_complete()

    def timeout_keep_alive_handler(self) -> None:
        """An idle connection ends; one whose client still takes the answer is not idle."""
        if self.transport.get_write_buffer_size():
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        else:
            super().timeout_keep_alive_handler()

    def examine(self, now: float) -> str | None:
        """Ends what takes too long. Returns the client's address when a request of no known account is slow to come."""
        if self._is_stuck(now) or (self._answered is not None and now - self._answered > DRAIN_SECONDS):
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
        """The client's, as a trusted gateway names it where there is one."""
        client: Any = self.cycle.scope.get("client") if self._in_body else self.client
        return str(client[0]) if client else ""

    def _is_stuck(self, now: float) -> bool:
        """Whether the client takes too long over what cannot be followed by more until it has taken it."""
        size = self.transport.get_write_buffer_size()
        if not size or not (self.flow.write_paused or self._idle or self.transport.is_closing()):
            self._stuck_until = None
            return False
        if self._stuck_until is None:
            self._stuck_until = now + settings.CLIENT_GRACE_SECONDS + size / settings.CLIENT_MIN_BYTES_PER_SECOND
        return now > self._stuck_until

    def _count(self, *parts: bytes) -> None:
        self._parsed += sum(map(len, parts))
        if self._parsed > LONGEST_HEAD:
            raise ValueError("the head is too long")  # As above.

    def send_400_response(self, msg: str) -> None:
        if self._running is not None and self._running.response_started and not self._idle:
            self.transport.abort()  # In the middle of an answer, another would be taken for a part of it.
        elif self._parsed > LONGEST_HEAD:
            self._refuse(431, "headers_too_large")
        else:
            self._refuse(400, "bad_request")

    def _refuse(self, status: int, code: str) -> None:
        """Answer what never became a request, and hang up."""
        self.transport.write(self.refusal(status, code))
        self.transport.close()


def examine(connections: Iterable[Any]) -> None:
    """Look at each connection of the process once."""
    now = asyncio.get_running_loop().time()
    slow: defaultdict[str, deque[Protocol]] = defaultdict(deque)
    for connection in list(connections):
        if (address := connection.examine(now)) is not None:
            slow[address].append(connection)
    for found in slow.values():
        if len(found) > SLOW_PER_ADDRESS:
            for connection in sorted(found, key=lambda each: each.since)[: len(found) - SLOW_PER_ADDRESS]:
                connection.transport.abort()
