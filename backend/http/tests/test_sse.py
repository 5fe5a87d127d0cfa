"""Event streams: frames, heartbeats, and their end."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, cast

import pytest
from django.http import StreamingHttpResponse
from hypothesis import given
from hypothesis import strategies as st

from backend.http import sse
from backend.server import scope


def run(test: Callable[[], Awaitable[Any]]) -> Any:
    return asyncio.run(asyncio.wait_for(cast(Any, test()), 10))


def body_of(response: StreamingHttpResponse) -> AsyncIterator[bytes]:
    return cast(AsyncIterator[bytes], response.streaming_content)


class Source:
    """An endless source that knows whether it was closed."""

    def __init__(self, *frames: bytes) -> None:
        self.frames, self.closed = frames, False

    async def __call__(self) -> AsyncIterator[bytes]:
        try:
            for frame in self.frames:
                yield frame
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0)  # Closing may take its time.
            self.closed = True


def test_a_frame() -> None:
    assert sse.frame("1-0", "text.delta", {"delta": "ç\n"}) == (
        'id: 1-0\nevent: text.delta\ndata: {"delta":"ç\\n"}\n\n'.encode()
    )


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_no_text_can_break_out_of_its_frame(text: str) -> None:
    lines = sse.frame("1", "e", {"text": text}).decode().removesuffix("\n\n").split("\n")
    assert lines[:2] == ["id: 1", "event: e"]
    assert json.loads("\n".join(line.removeprefix("data: ") for line in lines[2:])) == {"text": text}


def test_text_of_many_lines_is_many_data_lines() -> None:
    assert sse.frame(None, None, "a\nb\r\nc") == b"data: a\ndata: b\ndata: c\n\n"


def test_frames_that_are_ready_together_leave_together_and_the_stream_ends_with_them() -> None:
    async def frames() -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"%d" % number

    async def test() -> list[bytes]:
        return [chunk async for chunk in body_of(sse.event_stream(frames()))]

    assert run(test) == [b"012"]


def test_a_client_that_takes_nothing_makes_the_source_wait() -> None:
    given = 0

    async def frames() -> AsyncIterator[bytes]:
        nonlocal given
        while True:
            given += 1
            yield b"x" * 1024

    async def test() -> None:
        stream = body_of(sse.event_stream(frames()))
        assert len(await anext(stream)) <= sse.MAX_WAITING_BYTES + 1024
        for _ in range(1000):
            await asyncio.sleep(0)  # The source may go on, and does not.
        assert given <= 2 * (sse.MAX_WAITING_BYTES // 1024 + 1)
        await cast(Any, stream).aclose()

    run(test)


def test_the_last_comment_reaches_a_client_that_was_slow_to_take_what_came_before() -> None:
    async def test() -> list[bytes]:
        stream = body_of(sse.event_stream(Source(b"first")()))
        chunks = [await anext(stream)]
        for open_stream in list(sse._open):
            open_stream.end(sse.ACCESS_ENDED)
        return chunks + [chunk async for chunk in stream]

    assert run(test) == [b"first", sse.ACCESS_ENDED]


def test_silence_is_filled_with_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "HEARTBEAT_SECONDS", 0.02)
    source = Source(b"first")

    async def test() -> list[bytes]:
        stream = body_of(sse.event_stream(source()))
        chunks = [await anext(stream) for _ in range(3)]
        del stream
        await asyncio.sleep(0.05)
        return chunks

    assert run(test) == [b"first", sse.HEARTBEAT, sse.HEARTBEAT]
    assert source.closed


def test_a_reader_that_leaves_closes_the_source() -> None:
    source = Source(b"first")

    async def read() -> None:
        async for _ in body_of(sse.event_stream(source())):
            pass

    async def test() -> None:
        reader = asyncio.ensure_future(read())
        await asyncio.sleep(0.05)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader

    run(test)
    assert source.closed
    assert not sse._open


def test_a_source_that_loses_a_cancellation_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``asyncio.wait_for`` does before Python 3.12, when its result and the cancellation come together."""
    monkeypatch.setattr(scope, "CANCEL_AGAIN_SECONDS", 0.01)
    waits, closed = asyncio.Event(), asyncio.Event()

    async def frames() -> AsyncIterator[bytes]:
        try:
            with suppress(asyncio.CancelledError):
                waits.set()
                await asyncio.Event().wait()
            await asyncio.Event().wait()
            yield b"never"
        finally:
            closed.set()

    async def read() -> None:
        async for _ in body_of(sse.event_stream(frames())):
            pass

    async def test() -> None:
        reader = asyncio.ensure_future(read())
        await waits.wait()
        reader.cancel()
        async with asyncio.timeout(5):
            await closed.wait()

    run(test)


def test_a_process_that_stops_ends_its_streams() -> None:
    source = Source(b"first")

    async def test() -> list[bytes]:
        asyncio.get_running_loop().call_later(0.05, sse.end_streams)
        return [chunk async for chunk in body_of(sse.event_stream(source()))]

    assert run(test) == [b"first"]
    assert source.closed


def test_an_error_of_the_source_ends_the_stream() -> None:
    async def frames() -> AsyncIterator[bytes]:
        yield b"first"
        raise ZeroDivisionError

    async def test() -> None:
        with pytest.raises(ZeroDivisionError):
            async for _ in body_of(sse.event_stream(frames())):
                pass

    run(test)
    assert not sse._open


def test_proxies_may_not_buffer_or_store_a_stream() -> None:
    response = sse.event_stream(Source()(), headers={"X-More": "yes"})
    assert response["Content-Type"] == "text/event-stream"
    assert response["Cache-Control"] == "no-cache, no-transform"
    assert response["X-Accel-Buffering"] == "no"
    assert response["X-More"] == "yes"


@pytest.mark.parametrize("busy", [False, True])
def test_a_reader_who_may_read_no_longer_gets_a_comment_and_nothing_more(
    busy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "HEARTBEAT_SECONDS", 0.05)
    source, answers = Source(b"first"), [True, True, False]

    async def chatty() -> AsyncIterator[bytes]:
        while True:
            yield b"word"
            await asyncio.sleep(0.005)

    async def allowed() -> bool:
        return answers.pop(0)

    async def test() -> list[bytes]:
        response = sse.event_stream(chatty() if busy else source(), still_allowed=allowed)
        return [chunk async for chunk in body_of(response)]

    chunks = run(test)

    assert chunks[-1] == sse.ACCESS_ENDED
    assert sse.ACCESS_ENDED not in chunks[:-1]
    assert answers == []
    assert not sse._open
    assert busy or source.closed


def test_a_check_that_breaks_ends_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "HEARTBEAT_SECONDS", 0.02)

    async def allowed() -> bool:
        raise ZeroDivisionError

    async def test() -> list[bytes]:
        return [chunk async for chunk in body_of(sse.event_stream(Source(b"first")(), still_allowed=allowed))]

    assert run(test)[-1] == sse.ACCESS_ENDED
