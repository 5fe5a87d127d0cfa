"""Limits how many requests of some paths a process works on at once; the others wait in order of arrival."""

import asyncio
import re

from backend.server.scope import Application, Message, Receive, Scope, Send


def queue_requests(
    application: Application, *, paths: "re.Pattern[str]", max_concurrent: int, max_wait: float = 0.25
) -> Application:
    """Wrap the application so that it works on ``max_concurrent`` POSTs to these paths at a time.

    Such requests wait for CPU time most of all. Side by side all of them would end when the last one does; few at a
    time, the last one ends no later. A request waits ``max_wait`` seconds at most while none of the others gets a
    slot, whatever blocks them; then it passes without one. Put this inside ``read_bodies``, so that a slow sender
    blocks no slot. A request leaves its slot when its response begins: one that streams may last for hours.
    """
    queue = _Queue(max_concurrent, max_wait)

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST" or not paths.fullmatch(scope["path"]):
            await application(scope, receive, send)
            return
        acquired = await queue.acquire()

        def release() -> None:
            nonlocal acquired
            if acquired:
                acquired = False
                queue.release()

        async def send_and_release(message: Message) -> None:
            release()
            await send(message)

        try:
            await application(scope, receive, send_and_release)
        finally:
            release()

    return serve


class _Queue:
    def __init__(self, max_concurrent: int, max_wait: float) -> None:
        self._slots, self._max_wait = asyncio.Semaphore(max_concurrent), max_wait
        self._timeouts: set[asyncio.Timeout] = set()  # Of the requests that wait.

    async def acquire(self) -> bool:
        """Wait for a slot. Returns False when no request got one for ``max_wait`` seconds.

        Each request that gets a slot restarts the clock of all that wait: a queue that moves is waited for.
        """
        try:
            async with asyncio.timeout(self._max_wait) as timeout:
                self._timeouts.add(timeout)
                try:
                    await self._slots.acquire()
                finally:
                    self._timeouts.discard(timeout)
        except TimeoutError:
            return False
        until = asyncio.get_running_loop().time() + self._max_wait
        for other in self._timeouts:
            if not other.expired():
                other.reschedule(until)
        return True

    def release(self) -> None:
        self._slots.release()
