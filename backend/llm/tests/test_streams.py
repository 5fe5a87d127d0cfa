"""Many streams at once, streams that are left, and connections that are kept."""

import asyncio
import gc
import sys
from time import monotonic

import pytest

from backend.llm.catalog import catalog
from backend.llm.chat import TextDelta, chat_model
from backend.llm.clients import client_for
from backend.llm.tests.asking import end_of, events, request, run, text_of
from tests.providers import FakeProvider, Reply

MODELS = ["chat", "responses", "claude"]
SLOW = Reply(chunks=("word ",) * 200, tokens_per_second=50)


@pytest.mark.parametrize("model", MODELS)
def test_fifty_streams_share_a_loop_without_mixing(provider: FakeProvider, model: str) -> None:
    replies = [Reply(chunks=tuple(f"{n}.{i} " for i in range(20)), tokens_per_second=40) for n in range(50)]
    provider.script(*replies)

    async def all_at_once() -> list[str]:
        return [text_of(answer) for answer in await asyncio.gather(*(events(request(model)) for _ in replies))]

    began = monotonic()
    answers = run(all_at_once())

    assert sorted(answers) == sorted("".join(reply.chunks) for reply in replies)
    assert monotonic() - began < 22  # One after the other they would take 25 s.


@pytest.mark.parametrize("model", MODELS)
def test_cancelling_closes_the_connection_at_once(provider: FakeProvider, model: str) -> None:
    provider.script(SLOW)

    async def cancel() -> bool:
        heard = asyncio.Event()

        async def listen() -> None:
            asked = request(model)
            async for _ in chat_model(asked.model).stream(asked):
                heard.set()

        task = asyncio.create_task(listen())
        await heard.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await asyncio.to_thread(provider.requests[0].disconnected.wait, 1)

    assert run(cancel())


@pytest.mark.parametrize("model", MODELS)
def test_cancelling_while_the_provider_is_silent_closes_too(provider: FakeProvider, model: str) -> None:
    provider.script(Reply(stall_before=True))

    async def cancel() -> bool:
        task = asyncio.create_task(events(request(model)))
        while not provider.requests:  # noqa: ASYNC110  # Filled by another thread.
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await asyncio.to_thread(provider.requests[0].disconnected.wait, 1)

    assert run(cancel())


@pytest.mark.parametrize("model", MODELS)
def test_leaving_the_stream_closes_the_connection(provider: FakeProvider, model: str) -> None:
    provider.script(SLOW)

    async def leave() -> bool:
        asked = request(model)
        stream = chat_model(asked.model).stream(asked)
        async for event in stream:
            if isinstance(event, TextDelta):
                break
        await stream.aclose()
        return await asyncio.to_thread(provider.requests[0].disconnected.wait, 1)

    assert run(leave())


@pytest.mark.parametrize("model", MODELS)
def test_connections_are_kept_from_answer_to_answer(provider: FakeProvider, model: str) -> None:
    async def five() -> None:
        for _ in range(5):
            assert end_of(await events(request(model))).reason == "stop"

    run(five())

    assert len(provider.requests) == 5
    assert provider.connections == 1


def test_a_client_is_made_once_for_a_loop_and_a_key(provider: FakeProvider) -> None:
    async def clients() -> list[object]:
        model = catalog().get("chat")
        return list(await asyncio.gather(*(client_for(catalog().provider(model)) for _ in range(20))))

    first, second = run(clients()), run(clients())

    assert len(set(map(id, first))) == 1
    assert first[0] is not second[0]


def test_the_first_piece_is_given_on_before_the_last_is_sent(provider: FakeProvider) -> None:
    provider.script(Reply(chunks=("one ", "two ", "three"), tokens_per_second=5))

    async def listen() -> tuple[float, float]:
        asked = request("chat")
        times = [monotonic() async for event in chat_model(asked.model).stream(asked) if isinstance(event, TextDelta)]
        return times[0], times[-1]

    first, last = run(listen())

    assert last - first > 0.3


def test_closing_leaves_nothing_behind(provider: FakeProvider) -> None:
    """A socket or a generator left open would be reported when it is collected; warnings are errors."""
    unraised: list[object] = []
    hook = sys.unraisablehook
    sys.unraisablehook = unraised.append
    try:
        for model in MODELS:
            provider.script(Reply(text="Whole."), Reply(status=500), Reply(text="Cut short.", cut_after=1))
            run(events(request(model)))
            for _ in range(2):
                with pytest.raises(Exception, match="fake-"):
                    run(events(request(model)))
        gc.collect()
    finally:
        sys.unraisablehook = hook

    assert unraised == []
