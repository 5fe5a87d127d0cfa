"""Server-sent events: frames, headers, heartbeats, and an end to every stream when the client or the server goes.

Use: an async view returns ``event_stream(frames())`` where ``frames`` is an async generator of ``frame(…)``. A stream
of what not every client may read also passes ``still_allowed``.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any

from django.http import StreamingHttpResponse

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 15.0
HEARTBEAT = b": heartbeat\n\n"
ACCESS_ENDED = b": access ended\n\n"

StillAllowed = Callable[[], Awaitable[bool]]

_open: set[asyncio.Event] = set()


def frame(id: str | None, event: str | None, data: Any) -> bytes:
    """One event. ``data`` is a JSON-serializable object, or text that is sent as it is."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    lines = [f"id: {id}"] if id is not None else []
    if event is not None:
        lines.append(f"event: {event}")
    lines.extend(f"data: {line}" for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    return ("\n".join(lines) + "\n\n").encode()


def event_stream(
    frames: AsyncIterator[bytes], *, still_allowed: StillAllowed | None = None, headers: dict[str, str] | None = None
) -> StreamingHttpResponse:
    """An answer that streams ``frames`` as they come, with a comment every 15 s in between.

    The iterator is closed when it ends, when the client disconnects and when this process is told to stop; then
    the client comes back with ``Last-Event-ID``. The view gives its database connection back before it returns this.

    :param still_allowed: asked every 15 s, however busy the stream is. Once it returns false, or raises, the client
        gets a last comment and no further frame; coming back, it is refused as by any other route.
    """
    return StreamingHttpResponse(
        _paced(frames, still_allowed),
        content_type="text/event-stream",
        headers={"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no", **(headers or {})},
    )


def end_streams() -> None:
    """End every open stream of this process; called in the event loop when the process stops."""
    for ending in _open:
        ending.set()


async def _paced(frames: AsyncIterator[bytes], still_allowed: StillAllowed | None) -> AsyncGenerator[bytes, None]:
    ending = asyncio.Event()
    _open.add(ending)
    end: asyncio.Future[Any] = asyncio.ensure_future(ending.wait())
    access: set[asyncio.Future[Any]] = set() if still_allowed is None else {asyncio.ensure_future(_lost(still_allowed))}
    following: asyncio.Future[Any] | None = None
    try:
        while not ending.is_set():
            following = following or asyncio.ensure_future(anext(frames))
            done, _ = await asyncio.wait(
                {following, end, *access}, timeout=HEARTBEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if access & done:  # Looked at first: a frame that is ready at the same moment is not sent any more.
                yield ACCESS_ENDED
                return
            if following in done:
                try:
                    chunk = following.result()
                except StopAsyncIteration:
                    return
                following = None
                yield chunk
            elif not done:
                yield HEARTBEAT
    finally:
        _open.discard(ending)
        await _finish(frames, [task for task in (following, end, *access) if task is not None])


async def _lost(still_allowed: StillAllowed) -> None:
    """Return when the reader may not read any longer."""
    try:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            if not await still_allowed():
                return
    except Exception:  # Whether the reader may go on is not known: the stream ends, and a new request decides.
        logger.exception("stream_access_unknown")


async def _finish(frames: AsyncIterator[bytes], tasks: "list[asyncio.Future[Any]]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    if isinstance(frames, AsyncGenerator):
        await frames.aclose()
