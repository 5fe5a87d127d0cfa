"""The first request of a run: instructions, those of its tools, and as much of the conversation as fits."""

from collections.abc import Sequence

import msgspec
from django.conf import settings

from backend.agents.answers.markers import MARKER
from backend.agents.models import AgentVersion, Message
from backend.agents.runs import sql
from backend.agents.runs.toolbox import Toolbox
from backend.llm import chat
from backend.llm.catalog import Model

MAX_HISTORY_MESSAGES = 100  # Messages.
SPARE_OVERHEAD = 100  # Tokens of what is put around the passages of a search, and of the last step's instruction.

LAST_STEP = "Do not call a tool again: answer now from what you have."


def instructions_of(version: AgentVersion, toolbox: Toolbox) -> str:
    return "\n\n".join(text for text in (version.instructions.strip(), *toolbox.instructions) if text)


def opening(
    *, version: AgentVersion, model: Model, history: Sequence[Message], toolbox: Toolbox, language: str = ""
) -> chat.ChatRequest:
    """The first request of a run; ``history`` ends with the question. Old messages are left out until it fits."""
    request = chat.ChatRequest(
        model=model,
        instructions=instructions_of(version, toolbox),
        messages=tuple(turn for message in history if (turn := _turn(message)) is not None),
        tools=toolbox.definitions,
        temperature=version.setting("temperature", None) if model.temperature else None,
        language=language,
    )
    return fitted(request, tokens=room(model, toolbox))


def fitted(request: chat.ChatRequest, *, tokens: int) -> chat.ChatRequest:
    """The request without its oldest messages, as many as make it longer than ``tokens``.

    It begins with a question then. The last question and what follows it always stay.
    """
    turns, size = request.messages, chat.count_request(request)
    start, last = 0, _last_question(turns)
    while start < last and (size > tokens or (start and turns[start].role != "user")):
        size -= chat.count_turn(turns[start])
        start += 1
    return msgspec.structs.replace(request, messages=turns[start:]) if start else request


def spare(request: chat.ChatRequest, *, answered: int) -> int:
    """Tokens for what one more tool call returns, after what the request holds and an answer of ``answered`` tokens.

    Old messages are left out for it, as far as it needs a quarter of the window.
    """
    window = request.model.context_window
    older = sum(map(chat.count_turn, request.messages[: _last_question(request.messages)]))
    left = window - answered - chat.count_request(request) - SPARE_OVERHEAD
    return max(0, min(left + older, max(left, window // 4)))


def _last_question(turns: Sequence[chat.Message]) -> int:
    return max((place for place, turn in enumerate(turns) if turn.role == "user"), default=0)


def room(model: Model, toolbox: Toolbox) -> int:
    """Tokens for the conversation, with the answer and the output of one tool call left free."""
    returned = min(toolbox.max_output_tokens, model.context_window // 4)
    answered = min(settings.RUN_MAX_OUTPUT_TOKENS, model.max_output_tokens, model.context_window // 2)
    return model.context_window - answered - returned


def history_of(last: Message) -> list[Message]:
    """The branch that ends with ``last``, which need not be stored yet: MAX_HISTORY_MESSAGES at most, oldest first."""
    if last.parent_id is None:
        return [last]
    before = sql.branch_until(last.parent_id, limit=MAX_HISTORY_MESSAGES - 1)
    return [*before[::-1], last]


def _turn(message: Message) -> chat.Message | None:
    text = message.text
    if not text:
        return None
    if message.role == Message.Role.USER:
        return chat.Message(role="user", text=text)
    return chat.Message(role="assistant", text=_uncited(message) if message.citations else text)


def _uncited(message: Message) -> str:
    """The answer without its markers: their numbers name other passages, or none, in the next run."""
    if any("start" not in citation for citation in message.citations):  # It was kept before markers had places.
        return MARKER.sub("", message.text)
    markers = {(citation["part"], citation["start"], citation["end"]) for citation in message.citations}
    texts = [part["text"] if part["type"] == "text" else "" for part in message.parts]
    for part, start, end in sorted(markers, reverse=True):
        if part < len(texts):
            texts[part] = texts[part][:start] + texts[part][end:]
    return "".join(texts)
