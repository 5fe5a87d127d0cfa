"""What every provider demands of a conversation: each call followed by its result, its own records given back."""

from collections.abc import Iterable
from typing import Any

import msgspec

from backend.llm.catalog import Model
from backend.llm.chat import Message

NO_RESULT = '{"error":"The tool did not finish."}'


def paired(messages: Iterable[Message]) -> list[Message]:
    """The messages with each tool result right behind the turn that asked for it.

    A call that was cut short gets a result that says so; a result that nobody asked for is left out, and so is an
    assistant's turn that says and asks nothing. A question that was never answered is joined with the next one: the
    templates of many local models take strict turns alone.
    """
    turns = list(messages)
    ordered: list[Message] = []
    for position, turn in enumerate(turns):
        if turn.role == "tool" or (turn.role == "assistant" and not turn.text and not turn.tool_calls):
            continue
        if turn.role == "user" and ordered and ordered[-1].role == "user":
            ordered[-1] = msgspec.structs.replace(turn, text=f"{ordered[-1].text}\n\n{turn.text}")
            continue
        ordered.append(turn)
        results = _results(turns, after=position) if turn.tool_calls else {}
        for call in turn.tool_calls:
            missing = Message(role="tool", text=NO_RESULT, tool_call_id=call.id)
            ordered.append(results.get(call.id, missing))
    return ordered


def _results(turns: list[Message], *, after: int) -> dict[str | None, Message]:
    """The results of the calls of that turn: those before the next turn with calls, whose ids may be the same again."""
    until = next((at for at in range(after + 1, len(turns)) if turns[at].tool_calls), len(turns))
    return {turn.tool_call_id: turn for turn in turns[after + 1 : until] if turn.role == "tool"}


def make_state(items: list[dict[str, Any]], model: Model) -> str | None:
    """A model's own record of its reasoning, to be given back with the turn; None when there is none."""
    if not items:
        return None
    return msgspec.json.encode({"model": f"{model.provider}/{model.name}", "items": items}).decode()


def state_of(turn: Message, model: Model) -> list[dict[str, Any]]:
    """The record that this model made; nothing when another made it."""
    if turn.state is None:
        return []
    try:
        state = msgspec.json.decode(turn.state)
        return list(state["items"]) if state["model"] == f"{model.provider}/{model.name}" else []
    except (msgspec.MsgspecError, TypeError, KeyError):
        return []
