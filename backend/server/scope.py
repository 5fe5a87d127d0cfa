"""The types of ASGI, and the keys under which our layers pass values to each other in the scope of a request."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, MutableMapping
from typing import Any
from urllib.parse import quote_from_bytes

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY = "orquestra.body"  # The body: bytes, or a file open for reading.
ERROR = "orquestra.error"  # An exception that the application must answer with; also in the WSGI environment.
CONTINUES = "orquestra.continues"  # In the WSGI environment: a response may have a ``continuation``.
ABORT = "orquestra.abort"  # A function that cuts the connection at once.
ACCOUNT = "orquestra.account"  # In the scope's ``state``: the account that uploads this body.

CANCEL_AGAIN_SECONDS = 1.0


class Continuation:
    """The blocks of a response that the event loop sends, and what to do after the last one.

    ``aclose`` calls ``closed`` even if no block was asked for: a generator that has not started skips its ``finally``,
    and the client may have disconnected before the first block.
    """

    def __init__(self, blocks: AsyncGenerator[bytes, None], closed: Callable[[], Awaitable[Any]]) -> None:
        self._blocks, self._closed = blocks, closed

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._blocks

    async def aclose(self) -> None:
        try:
            await self._blocks.aclose()
        finally:
            await self._closed()


def sanitized(scope: Scope) -> Scope:
    """The scope without headers whose underscores WSGI would turn into hyphens, and with an ASCII query string."""
    headers = [(name, value) for name, value in scope["headers"] if b"_" not in name]
    query = quote_from_bytes(scope["query_string"], safe="%&=+/?:@!$'()*,;~-._[]{}|\\^`<>\"")
    return {**scope, "headers": headers, "query_string": query.encode("ascii")}


async def run_until_disconnect(work: Coroutine[Any, Any, None], receive: Receive) -> None:
    """Run the coroutine; cancel it when the client disconnects."""
    working, disconnect = asyncio.ensure_future(work), asyncio.ensure_future(wait_for_disconnect(receive))
    try:
        await asyncio.wait({working, disconnect}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await cancel(working, disconnect)
    if not working.cancelled():
        working.result()


async def cancel(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel the tasks and wait until they have ended.

    A cancellation is repeated until then, since one may be lost: before Python 3.12, ``asyncio.wait_for``, with which
    redis-py sends commands, returns its result instead if both come in the same moment. A stream whose client left as
    it began would go on, and hold its slot, until its run ends.
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_SECONDS)


async def wait_for_disconnect(receive: Receive) -> None:
    """Return when the client has disconnected."""
    while (await receive())["type"] != "http.disconnect":
        pass
