"""Server-sent events: frames, headers, heartbeats, and the end of a stream when the client or the server leaves.

Use: an async view returns ``event_stream(frames())`` where ``frames`` is an async generator of ``frame(…)``. A stream
that not every client may read also passes ``still_allowed``.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any

from django.http import StreamingHttpResponse

from backend.server.scope import Continuation, cancel

logger = logging.getLogger(__name__)

CONTENT_TYPE = "text/event-stream"
HEARTBEAT_SECONDS = 15.0
HEARTBEAT = b": heartbeat\n\n"
ACCESS_ENDED = b": access ended\n\n"
MAX_WAITING_BYTES = 64 * 1024  # Of frames that the client has not received; above it the source waits.

StillAllowed = Callable[[], Awaitable[bool]]

_open: set["_Stream"] = set()


def frame(id: str | None, event: str | None, data: Any) -> bytes:
    """One event. ``data`` is a JSON-serializable object, or text that is sent unchanged."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    lines = [f"id: {id}"] if id is not None else []
    if event is not None:
        lines.append(f"event: {event}")
    lines.extend(f"data: {line}" for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    return ("\n".join(lines) + "\n\n").encode()


def event_stream(
    frames: AsyncIterator[bytes], *, still_allowed: StillAllowed | None = None, headers: dict[str, str] | None = None
) -> StreamingHttpResponse:
    """A response that streams ``frames`` as they arrive, with a comment every 15 s.

    The iterator is closed when it ends, when the client disconnects and when this process stops; then the client
    reconnects with ``Last-Event-ID``. The view releases its database connection before it returns this.

    :param still_allowed: called every 15 s, however busy the stream is. Once it returns false, or raises, the client
        gets a last comment and no further frame; when it reconnects, it is refused as by any other route.
    """
    return _response(_Stream(frames, still_allowed).chunks(), headers)


def continued_stream(
    frames: AsyncIterator[bytes],
    *,
    still_allowed: StillAllowed,
    headers: dict[str, str],
    closed: Callable[[], Awaitable[Any]],
) -> StreamingHttpResponse:
    """As ``event_stream``, for a synchronous view: its thread ends with it, and the event loop sends the frames.

    Only where the server can do so: the request's environment has ``CONTINUES`` then (``backend.server.wsgi_threads``).

    :param closed: called in the event loop when the stream has ended, also if the client left before its first frame
        and ``frames`` never started.
    """
    response = _response((), headers)
    chunks = _Stream(frames, still_allowed).chunks()
    response.continuation = Continuation(chunks, closed)  # type: ignore[attr-defined]  # Read by backend.server.wsgi_threads.
    return response


def _response(content: Any, headers: dict[str, str] | None) -> StreamingHttpResponse:
    own = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
    return StreamingHttpResponse(content, content_type=CONTENT_TYPE, headers={**own, **(headers or {})})


def end_streams() -> None:
    """End every open stream of this process; called in the event loop when the process stops."""
    for stream in list(_open):
        stream.end()


class _Stream:
    """An open stream: the frames that the source has produced and the client has not received yet.

    One task reads the source and one sends heartbeats, both for as long as the stream lasts, so that a frame costs
    neither a task nor a timer. Frames that are ready together are sent as one chunk.
    """

    def __init__(self, frames: AsyncIterator[bytes], still_allowed: StillAllowed | None) -> None:
        self._frames, self._still_allowed = frames, still_allowed
        self._waiting: list[bytes] = []
        self._bytes = 0
        self._error: BaseException | None = None
        self._exhausted = False  # The source has ended; waiting frames are still sent.
        self._ended = False  # Ended from outside; waiting frames are dropped.
        self._news = asyncio.Event()  # There are frames to send, or the stream ends.
        self._room = asyncio.Event()  # The waiting frames have been sent.

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        _open.add(self)
        tasks = [asyncio.ensure_future(self._read()), asyncio.ensure_future(self._watch())]
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                waiting, self._waiting, self._bytes = self._waiting, [], 0
                self._room.set()
                if waiting:
                    yield b"".join(waiting)
                if (self._ended or self._exhausted) and not self._waiting:
                    break
            if self._error is not None:
                raise self._error
        finally:
            _open.discard(self)
            await cancel(*tasks)
            if isinstance(self._frames, AsyncGenerator):
                await self._frames.aclose()

    def end(self, last: bytes | None = None) -> None:
        """End the stream now and drop waiting frames: the client may not read them, or gets them when it reconnects."""
        if not self._ended:
            self._ended, self._waiting = True, [last] if last else []
            self._news.set()

    def _put(self, chunk: bytes) -> None:
        if not self._ended:
            self._waiting.append(chunk)
            self._bytes += len(chunk)
            self._news.set()

    async def _read(self) -> None:
        try:
            async for chunk in self._frames:
                self._put(chunk)
                if self._bytes > MAX_WAITING_BYTES:
                    self._room.clear()
                    await self._room.wait()
        except Exception as error:
            self._error = error
        self._exhausted = True
        self._news.set()

    async def _watch(self) -> None:
        """Send heartbeats; end the stream when the reader may not read any longer."""
        try:
            while True:
                await asyncio.sleep(HEARTBEAT_SECONDS)
                if not self._waiting:
                    self._put(HEARTBEAT)
                if self._still_allowed is not None and not await self._still_allowed():
                    break
        except Exception:  # Access is unknown: the stream ends, and the client's next request decides.
            logger.exception("stream_access_unknown")
        self.end(ACCESS_ENDED)
