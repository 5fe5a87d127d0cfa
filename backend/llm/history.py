"""Prepares a conversation for a provider: each call followed by its result, ids unique, its own state in place."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from backend.llm.catalog import Model
from backend.llm.chat import Message, ProviderState, ToolCall

MAX_STATE_BYTES = 256 * 1024
NO_RESULT = '{"error":"The tool did not finish."}'
TEXT = "text"
CALL = "call:"


def paired(messages: Iterable[Message], *, usable: Callable[[str], str] = str) -> list[Message]:
    """The messages with each tool result right after the message that asked for it.

    A call that was cut short gets a result that says so; a result without a call is left out, and so is an assistant's
    message without text and calls. A question without an answer is joined with the next one: the templates of many
    local models take strict turns alone.

    Ids of calls are unique in what is returned, since Anthropic and OpenAI refuse the request otherwise, while many
    servers number the calls of each answer anew. ``usable`` makes an id of characters that the provider takes.
    """
    turns = list(messages)
    ordered: list[Message] = []
    known: set[str] = set()
    for position, turn in enumerate(turns):
        if turn.role == "tool" or (turn.role == "assistant" and not turn.text and not turn.tool_calls):
            continue
        if turn.role == "user" and ordered and ordered[-1].role == "user":
            ordered[-1] = msgspec.structs.replace(turn, text=f"{ordered[-1].text}\n\n{turn.text}")
            continue
        if not turn.tool_calls:
            ordered.append(turn)
            continue
        results = _results(turns, after=position)
        ids = [_unique(usable(call.id), known) for call in turn.tool_calls]
        ordered.append(_with_ids(turn, ids))
        for call, id in zip(turn.tool_calls, ids, strict=True):
            result = results.get(call.id)
            text = NO_RESULT if result is None else result.text
            ordered.append(Message(role="tool", text=text, tool_call_id=id))
    return ordered


def _results(turns: list[Message], *, after: int) -> dict[str | None, Message]:
    """The results of the calls of that turn: those before the next turn with calls, whose ids may be the same again."""
    until = next((at for at in range(after + 1, len(turns)) if turns[at].tool_calls), len(turns))
    return {turn.tool_call_id: turn for turn in turns[after + 1 : until] if turn.role == "tool"}


def _unique(id: str, known: set[str]) -> str:
    """The id, with a number after it where an earlier call has it; ``known`` then holds it."""
    unique, number = id, 1
    while unique in known:
        number += 1
        unique = f"{id}_{number}"
    known.add(unique)
    return unique


def _with_ids(turn: Message, ids: list[str]) -> Message:
    """The message with other ids of its calls, also where its state names them."""
    if [call.id for call in turn.tool_calls] == ids:
        return turn
    calls = tuple(msgspec.structs.replace(call, id=id) for call, id in zip(turn.tool_calls, ids, strict=True))
    if turn.state is None:
        return msgspec.structs.replace(turn, tool_calls=calls)
    places = {CALL + before.id: CALL + after.id for before, after in zip(turn.tool_calls, calls, strict=True)}
    items = [places.get(item, item) if isinstance(item, str) else item for item in turn.state.items]
    return msgspec.structs.replace(turn, tool_calls=calls, state=msgspec.structs.replace(turn.state, items=items))


def make_state(items: list[Any], model: Model) -> ProviderState | None:
    """The state of an answer of this model; None where the provider sent nothing of its own, or too much to keep.

    It is kept whole or not at all: providers refuse a part of it.
    """
    if not any(isinstance(item, dict) for item in items):
        return None
    encoded = msgspec.json.encode(items)
    if len(encoded) > MAX_STATE_BYTES:
        return None
    # PostgreSQL stores no NUL, and a signature does not hold for a text without it.
    if b"\\u0000" in encoded.replace(rb"\\", b""):
        return None
    return ProviderState(provider=model.provider, model=model.name, items=items)


def ordered_parts(turn: Message, model: Model) -> Iterator[dict[str, Any] | str | ToolCall]:
    """The parts of an assistant's message in the order in which they came: the provider's own, the text, the calls.

    Without a state of this provider and model: the text, then the calls. A part of the provider's own stands only
    before a text or a call that it led to: OpenAI refuses reasoning that nothing follows.
    """
    text, calls = turn.text, {call.id: call for call in turn.tool_calls}
    own: list[dict[str, Any]] = []
    for item in items_for(turn, model):
        if isinstance(item, dict):
            own.append(item)
        elif item == TEXT and text:
            yield from own
            yield text
            own, text = [], ""
        elif str(item).startswith(CALL) and (call := calls.pop(item[len(CALL) :], None)) is not None:
            yield from own
            yield call
            own = []
    if text or calls:
        yield from own
    if text:
        yield text
    yield from calls.values()


def items_for(turn: Message, model: Model) -> list[Any]:
    state = turn.state
    if state is None or (state.provider, state.model) != (model.provider, model.name):
        return []
    return state.items
