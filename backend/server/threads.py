"""WSGI in threads under ASGI. A thread works for a request while the application does, never while a client is slow.

The application is called in a thread, which also fetches the first block of the answer; most answers end with it. Of a
longer one (a file, a generator) each next block is fetched by a thread, any of them, once the client has taken the one
before. Between blocks such an answer holds neither a thread nor a database connection: a generator may query anew for
each block, but must keep no cursor or transaction open across a ``yield``.
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
from backend.server.scope import ABORT, BODY, REFUSAL, Receive, Scope, Send

Environ = dict[str, Any]
WSGI = Callable[..., Iterable[bytes]]
AccountOf = Callable[[Scope], str | None]
Refusal = Callable[[], Exception]

BLOCK = 256 * 1024  # Bytes that cross from a thread to the event loop at once.
KEPT_BYTES = 64 * 1024  # Of a whole answer; a larger one counts until its client has taken it.
WAITING_PER_ACCOUNT = 256  # Requests beyond its share of the threads; more are refused.


class Blocks(FileWrapper):
    """``wsgi.file_wrapper``: files are read in few large blocks."""

    def __init__(self, filelike: Any, blksize: int = 0) -> None:
        super().__init__(filelike, max(blksize, BLOCK))


class Threads:
    """The WSGI application as an ASGI application; bodies come collected (``backend.http.bodies``).

    :param refusal: what a request of an account raises that has too many waiting.
    :param account_of: whose request it is. One account's requests have half as many places as there are threads, and
        wait for them in order of arrival. A large answer keeps its place until it is taken, since it is in memory.
    """

    def __init__(
        self, application: WSGI, *, workers: int, refusal: Refusal, account_of: AccountOf = lambda scope: None
    ) -> None:
        self._application, self._refusal, self._account_of = application, refusal, account_of
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="WSGI")
        self._shares = _Shares(max(1, workers // 2))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        context, answer = contextvars.copy_context(), _Answer()
        environ = _environ(scope)
        loop = asyncio.get_running_loop()

        async def fetch(work: Callable[[], bytes]) -> bytes:
            return await loop.run_in_executor(self._executor, context.run, work)

        account = self._account_of(scope)
        taken = account is not None and await self._shares.take(account)
        if account is not None and not taken:
            environ[REFUSAL] = self._refusal()
        try:
            block = await fetch(partial(answer.begin, self._application, environ))
            whole = answer.ended or scope["method"] == "HEAD"
            if taken and not (whole and len(block) > KEPT_BYTES):
                taken = self._shares.give(str(account))
            await send(answer.start)
            if whole and len(block) > KEPT_BYTES:  # The second message waits until the client has taken the first.
                await send({"type": "http.response.body", "body": block, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
            elif whole:
                await send({"type": "http.response.body", "body": block})
            else:
                await _send_blocks(scope, receive, send, block=block, answer=answer, fetch=fetch)
        finally:
            if taken:
                self._shares.give(str(account))
            if not answer.closed:
                self._executor.submit(context.copy().run, answer.close)


class _Answer:
    """What the application answers: a head, blocks, an end. Used by one thread at a time."""

    def __init__(self) -> None:
        self.start: dict[str, Any] = {}
        self.ended = self.closed = False
        self._lock = threading.Lock()
        self._iterable: Iterable[bytes] = ()
        self._pieces: Iterator[bytes] = iter(())

    def begin(self, application: WSGI, environ: Environ) -> bytes:
        """The first block; the whole body, unless it is a stream."""
        with self._lock:
            self._iterable = application(environ, self._start_response)
            self._pieces = iter(self._iterable)
            return self._take(BLOCK if getattr(self._iterable, "streaming", True) else None)

    def next(self) -> bytes:
        with self._lock:
            return b"" if self.closed else self._take(BLOCK)

    def close(self) -> None:
        """Ends the request for Django too, in a thread of its own choosing; waits for one that is still at work."""
        with self._lock:
            self._close()

    def _take(self, size: int | None) -> bytes:
        taken: list[bytes] = []
        received = 0
        for piece in self._pieces:
            taken.append(piece)
            received += len(piece)
            if size is not None and received >= size:
                release_connection()  # Back to the pool while the client takes its time.
                break
        else:
            self.ended = True
            self._close()
        return taken[0] if len(taken) == 1 else b"".join(taken)

    def _close(self) -> None:
        if not self.closed:
            self.closed = True
            getattr(self._iterable, "close", lambda: None)()

    def _start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
        """Django neither gives ``exc_info`` nor uses the ``write`` that WSGI has for old applications."""
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
    answer: _Answer,
    fetch: Callable[[Callable[[], bytes]], Awaitable[bytes]],
) -> None:
    """Sends ``block`` and those that follow. ``send`` waits for a slow client; one too slow loses its connection."""
    loop = asyncio.get_running_loop()
    until = loop.time() + settings.CLIENT_MAX_SECONDS
    leaving = asyncio.ensure_future(_gone(receive))
    try:
        while not leaving.done():
            await send({"type": "http.response.body", "body": block, "more_body": not answer.ended})
            if answer.ended:
                return
            if loop.time() > until and ABORT in scope:
                scope[ABORT]()
                await leaving
            elif not leaving.done():
                block = await fetch(answer.next)
    finally:
        leaving.cancel()


class _Shares:
    """So many at a time for each name; the others wait in order of arrival."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._working: dict[str, int] = {}
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    async def take(self, name: str) -> bool:
        """Whether there is a place; none when too many wait for one already."""
        working = self._working.get(name, 0)
        if working < self._limit:
            self._working[name] = working + 1
            return True
        queue = self._waiting.setdefault(name, deque())
        if len(queue) >= WAITING_PER_ACCOUNT:
            return False
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._forget(name, turn)
            else:
                self.give(name)
            raise
        return True

    def give(self, name: str) -> bool:
        """The place to the next in line. Returns that it is taken no longer: False."""
        queue = self._waiting.get(name)
        while queue:
            turn = queue.popleft()
            if not queue:
                del self._waiting[name]
            if not turn.done():
                turn.set_result(None)
                return False
        self._working[name] -= 1
        if not self._working[name]:
            del self._working[name]
        return False

    def _forget(self, name: str, turn: "asyncio.Future[None]") -> None:
        queue = self._waiting.get(name)
        if queue is not None and turn in queue:
            queue.remove(turn)
            if not queue:
                del self._waiting[name]


def _environ(scope: Scope) -> Environ:
    environ: Environ = dict(build_environ(cast(Any, scope), cast(Any, None)))
    body = scope.get(BODY, b"")
    environ["wsgi.input"] = BytesIO(body) if isinstance(body, bytes) else body
    environ["wsgi.file_wrapper"] = Blocks
    if REFUSAL in scope:
        environ[REFUSAL] = scope[REFUSAL]
    return environ


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
