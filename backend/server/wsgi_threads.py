"""Runs a WSGI application in threads under ASGI. A thread works for a request, and never waits for a slow client.

A thread calls the application and fetches the first block of the response, which is all of most responses. Of a longer
one (a file, a generator) any of the threads fetches the next block, once the client has received the block before.
Between blocks a response holds neither a thread nor a database connection: a generator may query anew for each block,
but must not keep a cursor or a transaction open across a ``yield``.

A response may have a ``continuation``: the thread makes its head, and the event loop sends the blocks, so that no
thread waits for them.
"""

import asyncio
import contextvars
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO
from typing import Any, cast
from wsgiref.util import FileWrapper

from a2wsgi.wsgi import build_environ
from django.conf import settings

from backend.db.connection import release_connection
from backend.server.scope import (
    ABORT,
    BODY,
    CONTINUES,
    ERROR,
    Continuation,
    Receive,
    Scope,
    Send,
    run_until_disconnect,
    wait_for_disconnect,
)

Environ = dict[str, Any]
WSGI = Callable[..., Iterable[bytes]]
AccountOf = Callable[[Scope], str | None]
OverloadError = Callable[[], Exception]

BLOCK_BYTES = 256 * 1024  # What a thread passes to the event loop at once.
LARGE_BYTES = 64 * 1024  # A whole response above this keeps its account's slot until the client has received it.
MAX_WAITING_PER_ACCOUNT = 256  # Requests that wait for a slot of their account; more are refused.


class LargeBlockFileWrapper(FileWrapper):
    """``wsgi.file_wrapper`` that reads a file in few large blocks."""

    def __init__(self, filelike: Any, blksize: int = 0) -> None:
        super().__init__(filelike, max(blksize, BLOCK_BYTES))


class ThreadedWSGI:
    """The WSGI application as an ASGI application. ``backend.server.bodies`` has read the bodies.

    :param overload_error: makes the exception that the application answers with when too many requests of an account
        wait.
    :param account_of: the account of a request. Each account has half as many slots as there are threads, and its
        requests wait for them in order of arrival. A large response keeps its slot until the client has received it,
        since it stays in memory.
    """

    def __init__(
        self,
        application: WSGI,
        *,
        workers: int,
        overload_error: OverloadError,
        account_of: AccountOf = lambda scope: None,
    ) -> None:
        self._application, self._overload_error, self._account_of = application, overload_error, account_of
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="WSGI")
        self._slots = _AccountSlots(max(1, workers // 2))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        context, response = contextvars.copy_context(), _Response()
        environ = _environ(scope)
        loop = asyncio.get_running_loop()

        async def fetch(work: Callable[[], bytes]) -> bytes:
            return await loop.run_in_executor(self._executor, context.run, work)

        account = self._account_of(scope)
        holds_slot = account is not None and await self._slots.acquire(account)
        if account is not None and not holds_slot:
            environ[ERROR] = self._overload_error()
        try:
            block = await fetch(partial(response.begin, self._application, environ))
            whole = response.ended or scope["method"] == "HEAD"
            if holds_slot and not (whole and len(block) > LARGE_BYTES):
                self._slots.release(str(account))
                holds_slot = False
            await send(response.start)
            if response.continuation is not None:
                await run_until_disconnect(_send_continuation(response.continuation, send), receive)
            elif whole and len(block) > LARGE_BYTES:
                # Two messages: the second one waits until the client has received the first.
                await send({"type": "http.response.body", "body": block, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
            elif whole:
                await send({"type": "http.response.body", "body": block})
            else:
                await _send_blocks(scope, receive, send, block=block, response=response, fetch=fetch)
        finally:
            if holds_slot:
                self._slots.release(str(account))
            if not response.closed:
                self._executor.submit(context.copy().run, response.close)
            if response.continuation is not None:
                await response.continuation.aclose()


class _Response:
    """The response of the WSGI application: a head, then blocks. One thread at a time uses it."""

    def __init__(self) -> None:
        self.start: dict[str, Any] = {}
        self.continuation: Continuation | None = None
        self.ended = self.closed = False
        self._lock = threading.Lock()
        self._iterable: Iterable[bytes] = ()
        self._pieces: Iterator[bytes] = iter(())

    def begin(self, application: WSGI, environ: Environ) -> bytes:
        """Call the application. Returns the first block of a stream, or else the whole body."""
        with self._lock:
            self._iterable = application(environ, self._start_response)
            self.continuation = getattr(self._iterable, "continuation", None)
            self._pieces = iter(self._iterable)
            return self._read(BLOCK_BYTES if getattr(self._iterable, "streaming", True) else None)

    def next(self) -> bytes:
        """The next block; empty once the response is closed."""
        with self._lock:
            return b"" if self.closed else self._read(BLOCK_BYTES)

    def close(self) -> None:
        """Close the response, which ends the request for Django. Waits for a thread that still works on it."""
        with self._lock:
            self._close()

    def _read(self, size: int | None) -> bytes:
        pieces: list[bytes] = []
        received = 0
        for piece in self._pieces:
            pieces.append(piece)
            received += len(piece)
            if size is not None and received >= size:
                release_connection()  # The client may take long to receive this block.
                break
        else:
            self.ended = True
            self._close()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _close(self) -> None:
        if not self.closed:
            self.closed = True
            getattr(self._iterable, "close", lambda: None)()

    def _start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
        """Django neither passes ``exc_info`` nor calls the ``write`` function that WSGI has for old applications."""
        self.start = {
            "type": "http.response.start",
            "status": int(status[:3]),
            "headers": [(name.lower().encode("latin1"), value.strip().encode("latin1")) for name, value in headers],
        }


async def _send_blocks(
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    block: bytes,
    response: _Response,
    fetch: Callable[[Callable[[], bytes]], Awaitable[bytes]],
) -> None:
    """Send ``block`` and all blocks after it. ``send`` waits for a slow client; one too slow loses its connection."""
    loop = asyncio.get_running_loop()
    until = loop.time() + settings.CLIENT_MAX_SECONDS
    disconnect = asyncio.ensure_future(wait_for_disconnect(receive))
    try:
        while not disconnect.done():
            await send({"type": "http.response.body", "body": block, "more_body": not response.ended})
            if response.ended:
                return
            if loop.time() > until and ABORT in scope:
                scope[ABORT]()
                await disconnect
            elif not disconnect.done():
                block = await fetch(response.next)
    finally:
        disconnect.cancel()


async def _send_continuation(blocks: Continuation, send: Send) -> None:
    async for block in blocks:
        await send({"type": "http.response.body", "body": block, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


class _AccountSlots:
    """``limit`` slots for each account. Requests wait for them in order of arrival."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used: dict[str, int] = {}
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    async def acquire(self, account: str) -> bool:
        """Wait for a slot. Returns False at once when too many requests wait already."""
        used = self._used.get(account, 0)
        if used < self._limit:
            self._used[account] = used + 1
            return True
        queue = self._waiting.setdefault(account, deque())
        if len(queue) >= MAX_WAITING_PER_ACCOUNT:
            return False
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(granted)
        try:
            await granted
        except asyncio.CancelledError:
            if granted.cancelled():
                self._remove(account, granted)
            else:  # The slot was granted in the same moment: pass it on.
                self.release(account)
            raise
        return True

    def release(self, account: str) -> None:
        """Pass the slot to the request that has waited longest, or free it."""
        queue = self._waiting.get(account)
        while queue:
            granted = queue.popleft()
            if not queue:
                del self._waiting[account]
            if not granted.done():
                granted.set_result(None)
                return
        self._used[account] -= 1
        if not self._used[account]:
            del self._used[account]

    def _remove(self, account: str, granted: "asyncio.Future[None]") -> None:
        queue = self._waiting.get(account)
        if queue is not None and granted in queue:
            queue.remove(granted)
            if not queue:
                del self._waiting[account]


def _environ(scope: Scope) -> Environ:
    environ: Environ = dict(build_environ(cast(Any, scope), cast(Any, None)))
    body = scope.get(BODY, b"")
    environ["wsgi.input"] = BytesIO(body) if isinstance(body, bytes) else body
    environ[CONTINUES] = True
    environ["wsgi.file_wrapper"] = LargeBlockFileWrapper
    if ERROR in scope:
        environ[ERROR] = scope[ERROR]
    return environ
