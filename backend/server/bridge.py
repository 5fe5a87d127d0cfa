"""What an ASGI request needs before WSGI can have it: headers that cannot be mistaken, and its turn."""

import asyncio
import re
from urllib.parse import quote_from_bytes

from backend.server.scope import Application, Receive, Scope, Send


def cleaned(scope: Scope) -> Scope:
    """Without headers whose underscores would pass for hyphens, and with a query string of ASCII alone."""
    headers = [(name, value) for name, value in scope["headers"] if b"_" not in name]
    query = quote_from_bytes(scope["query_string"], safe="%&=+/?:@!$'()*,;~-._[]{}|\\^`<>\"")
    return {**scope, "headers": headers, "query_string": query.encode("ascii")}


def in_turn(application: Application, *, paths: "re.Pattern[str]", at_once: int, patience: float = 0.25) -> Application:
    """The application, requests of these paths worked on in order of arrival, so many at a time.

    Side by side all would end when the last one does; one after the other the last one ends no later. Nobody waits
    longer than ``patience`` (seconds) while the others get no further, whatever holds them up. Put it behind
    ``with_bodies``: then a slow sender does not.
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
