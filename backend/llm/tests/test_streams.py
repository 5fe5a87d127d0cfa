"""Many streams at once, streams that are left, and connections that are kept."""

import asyncio
import gc
import json
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from backend.llm.catalog import catalog
from backend.llm.chat import ChatEvent, TextDelta, chat_model
from backend.llm.clients import client_for
from backend.llm.tests.asking import end_of, events, request, run, text_of
from backend.llm.tests.frames import DONE, chunk, frames, named
from tests.providers import FakeProvider, Reply

MODELS = ["chat", "responses", "claude"]
SLOW = Reply(chunks=("word ",) * 200, tokens_per_second=50)


@pytest.mark.parametrize("model", MODELS)
def test_fifty_streams_share_a_loop_without_mixing(
    provider: FakeProvider, model: str, settings: Settings, tmp_path: Path
) -> None:
    settings.MODELS_FILE = provider.models_file(tmp_path, read_timeout=60)
    all_begun = threading.Event()
    chunks = [tuple(f"{n}.{i} " for i in range(20)) for n in range(50)]
    # None goes on before all have begun: one after the other they would never end.
    provider.script(*(Reply(chunks=each, stall_after=1, go_on=all_begun) for each in chunks))
    begun = 0

    async def listen() -> str:
        nonlocal begun
        said = ""
        asked = request(model)
        async for event in chat_model(asked.model).stream(asked):
            if isinstance(event, TextDelta):
                begun += not said
                said += event.text
            if begun == len(chunks):
                all_begun.set()
        return said

    async def all_at_once() -> list[str]:
        return list(await asyncio.gather(*(listen() for _ in chunks)))

    assert sorted(run(all_at_once())) == sorted("".join(each) for each in chunks)


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
        return await asyncio.to_thread(provider.requests[0].disconnected.wait, 10)

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
        return await asyncio.to_thread(provider.requests[0].disconnected.wait, 10)

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
        return await asyncio.to_thread(provider.requests[0].disconnected.wait, 10)

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
    heard = threading.Event()
    provider.script(Reply(chunks=("one ", "two ", "three"), stall_after=1, go_on=heard))

    async def listen() -> str:
        asked = request("chat")
        said = ""
        async for event in chat_model(asked.model).stream(asked):
            if isinstance(event, TextDelta):
                said += event.text
                heard.set()
        return said

    assert run(listen()) == "one two three"


def test_closing_leaves_no_task_and_no_connection(provider: FakeProvider) -> None:
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


CHAT = [chunk(content="Whole."), chunk("stop")]
SPENT = {"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 2}}
CLAUDE: list[dict[str, Any]] = [
    {"type": "message_start", "message": {"usage": {"input_tokens": 10}}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Whole."}},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
]
RESPONSES: list[dict[str, Any]] = [
    {"type": "response.output_text.delta", "delta": "Whole."},
    {"type": "response.completed", "response": {"status": "completed", "usage": None}},
]


@pytest.mark.parametrize("kept_open_by", [b"", b": hi\n\n", b'data: {"choices":[],"type":"ping"}\n\n'], ids=len)
@pytest.mark.parametrize(
    ("model", "body"),
    [
        ("chat", frames(*CHAT, SPENT)),
        ("chat", frames(*CHAT, SPENT) + DONE),
        ("chat", frames(*CHAT)),
        ("claude", named(*CLAUDE)),
        ("responses", named(*RESPONSES)),
    ],
    ids=["usage", "mark", "end", "claude", "responses"],
)
def test_a_connection_that_stays_open_after_the_answer_is_left(
    provider: FakeProvider, model: str, body: bytes, kept_open_by: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AFTER_USAGE", "AFTER_END"):
        monkeypatch.setattr(f"backend.llm.transport.{name}", 0.1, raising=False)
    provider.script(Reply(raw=body, stays_open=kept_open_by))

    async def asked() -> list[ChatEvent]:
        answer = await events(request(model))
        assert await asyncio.to_thread(provider.requests[0].disconnected.wait, 5)
        return answer

    answer = run(asked())

    assert (text_of(answer), end_of(answer).reason) == ("Whole.", "stop")
    assert end_of(answer).usage.estimated == (b"tokens" not in body)
    assert not provider.requests[0].completed.is_set()  # It was not waited for.


def test_usage_that_comes_a_little_later_is_waited_for(provider: FakeProvider) -> None:
    """And the comments before it are not taken for the end."""
    late = b": wait\n\n" * 3 + frames(SPENT)
    provider.script(Reply(raw=frames(*CHAT), stays_open=late))

    usage = end_of(run(events(request("chat")))).usage

    assert (usage.input_tokens, usage.output_tokens, usage.estimated) == (10, 2, False)


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "text/plain", "x/y"])
@pytest.mark.parametrize("streamed", [True, False])
def test_the_type_of_a_body_decides_nothing_that_the_body_shows(
    provider: FakeProvider, content_type: str, streamed: bool
) -> None:
    document = {"choices": [{"message": {"content": "Whole."}, "finish_reason": "stop"}], "usage": SPENT["usage"]}
    body = frames(*CHAT, SPENT) if streamed else json.dumps(document, indent=1).encode()
    provider.script(Reply(raw=body, content_type=content_type))

    answer = run(events(request("chat")))

    assert (text_of(answer), end_of(answer).usage.output_tokens) == ("Whole.", 2)
