"""Server-sent events: frames, headers, heartbeats, and an end to every stream when the client or the server goes.

Use: an async view returns ``event_stream(frames())`` where ``frames`` is an async generator of ``frame(…)``.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from django.http import StreamingHttpResponse

HEARTBEAT_SECONDS = 15.0
HEARTBEAT = b": heartbeat\n\n"

_open: set[asyncio.Event] = set()


def frame(id: str | None, event: str | None, data: Any) -> bytes:
    """One event. ``data`` is a JSON-serializable object, or text that is sent as it is."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    lines = [f"id: {id}"] if id is not None else []
    if event is not None:
        lines.append(f"event: {event}")
    lines.extend(f"data: {line}" for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    return ("\n".join(lines) + "\n\n").encode()


def event_stream(frames: AsyncIterator[bytes], *, headers: dict[str, str] | None = None) -> StreamingHttpResponse:
    """An answer that streams ``frames`` as they come, with a comment every 15 s in between.

    The iterator is closed when it ends, when the client disconnects and when this process is told to stop; then
    the client comes back with ``Last-Event-ID``. The view gives its database connection back before it returns this.
    """
    return StreamingHttpResponse(
        _paced(frames),
        content_type="text/event-stream",
        headers={"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no", **(headers or {})},
    )


def end_streams() -> None:
    """End every open stream of this process; called in the event loop when the process stops."""
    for ending in _open:
        ending.set()


async def _paced(frames: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    ending = asyncio.Event()
    _open.add(ending)
    end: asyncio.Future[Any] = asyncio.ensure_future(ending.wait())
    following: asyncio.Future[Any] | None = None
    try:
        while not ending.is_set():
            following = following or asyncio.ensure_future(anext(frames))
            done, _ = await asyncio.wait(
                {following, end}, timeout=HEARTBEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
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
        await _finish(frames, [task for task in (following, end) if task is not None])


async def _finish(frames: AsyncIterator[bytes], tasks: "list[asyncio.Future[Any]]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    if isinstance(frames, AsyncGenerator):
        await frames.aclose()
