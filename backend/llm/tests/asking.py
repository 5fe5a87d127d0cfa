"""Ask a model and collect what it answers."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from backend.llm.catalog import catalog
from backend.llm.chat import ChatEvent, ChatRequest, Finished, Message, TextDelta, chat_model
from backend.llm.clients import close_clients

T = TypeVar("T")
QUESTION = (Message(role="user", text="What is it?"),)


def run(work: Coroutine[Any, Any, T]) -> T:
    """On a loop of its own that leaves no connection open."""

    async def inner() -> T:
        try:
            return await work
        finally:
            await close_clients()

    return asyncio.run(inner())


def request(model: str, **members: Any) -> ChatRequest:
    return ChatRequest(model=catalog().get(model), **{"messages": QUESTION, **members})


async def events(asked: ChatRequest) -> list[ChatEvent]:
    return [event async for event in chat_model(asked.model).stream(asked)]


def ask(model: str, **members: Any) -> list[ChatEvent]:
    return run(events(request(model, **members)))


def text_of(answer: list[ChatEvent]) -> str:
    return "".join(event.text for event in answer if isinstance(event, TextDelta))


def end_of(answer: list[ChatEvent]) -> Finished:
    assert isinstance(answer[-1], Finished)
    assert not any(isinstance(event, Finished) for event in answer[:-1])
    return answer[-1]
