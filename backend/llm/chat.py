"""One protocol for every model: a request goes out, a stream of typed events comes back.

``chat_model(model).stream(request)`` is an asynchronous generator. It yields text, reasoning and tool calls and ends
with exactly one ``Finished``, or raises ``ProviderError``. Closing it, or cancelling the task that reads it, closes
the connection to the provider. It never retries: the caller does, visibly.
"""

from collections.abc import AsyncGenerator, Iterable
from importlib import import_module
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

from backend.llm.catalog import Model, Provider, catalog
from backend.llm.errors import ProviderError
from backend.llm.tokens import count_tokens

__all__ = [
    "ChatEvent",
    "ChatModel",
    "ChatRequest",
    "Finished",
    "Message",
    "ProviderError",
    "ProviderState",
    "ReasoningDelta",
    "TextDelta",
    "ToolCall",
    "ToolDefinition",
    "Usage",
    "chat_model",
    "count_calls",
    "count_request",
    "count_tokens",
    "count_turn",
    "message_from_json",
    "message_to_json",
    "output_limit",
]

MESSAGE_OVERHEAD = 6  # Tokens of a role and its separators, as the providers count them.
STATE_BYTES_OF_TOKEN = 4  # Fewer than any provider has: encrypted reasoning is base64 of text.
MIN_ANSWER_TOKENS = 256  # The estimate of the input is high, so this much is requested even where no room seems left.
FinishReason = Literal["stop", "length", "tool_calls"]

ADAPTERS = {
    "openai-chat": "backend.llm.openai_chat",
    "openai-responses": "backend.llm.openai_responses",
    "anthropic": "backend.llm.anthropic",
    "offline": "backend.llm.offline",
}


class ToolDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """A tool offered to the model; ``parameters`` is a JSON Schema of an object."""

    name: str
    description: str
    parameters: dict[str, Any]


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """The model asks for a tool. ``arguments`` is JSON text as the model wrote it: it may be invalid."""

    id: str
    name: str
    arguments: str


class ProviderState(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider wants back verbatim with the assistant message that it came with: its record of the reasoning.

    An adapter sends it only where provider and model are those of the request: another provider cannot read it, and
    most refuse it.

    :ivar items: the parts of the answer in the order in which they came. An object is the provider's own; a text is the
        place of a part that the message holds itself: ``text``, or ``call:`` and the id of a tool call.
    """

    provider: str
    model: str
    items: list[Any]


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message. ``tool_calls`` belong to the assistant; a ``tool`` message is the result of the call
    ``tool_call_id``; ``state`` is what ``Finished`` gave for an assistant's message.
    """

    role: Literal["user", "assistant", "tool"]
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    state: ProviderState | None = None


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request to a model. ``max_tokens`` None means the model's own limit.

    ``tool_choice`` none keeps the tools declared, which a conversation with tool calls in it needs, and forbids calls.

    ``language`` is that of the asking client, such as ``pt-br``, or empty; only the offline model reads it, where the
    question does not show its language.
    """

    model: Model
    messages: tuple[Message, ...]
    instructions: str = ""
    tools: tuple[ToolDefinition, ...] = ()
    temperature: float | None = None
    max_tokens: int | None = None
    tool_choice: Literal["auto", "none"] = "auto"
    language: str = ""


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of one request. ``input_tokens`` includes the cached ones; ``output_tokens`` includes reasoning."""

    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    estimated: bool = False


class TextDelta(msgspec.Struct, frozen=True):
    text: str


class ReasoningDelta(msgspec.Struct, frozen=True):
    text: str


class Spent(msgspec.Struct, frozen=True):
    """What an answer has cost that the provider withholds; the failure follows."""

    usage: Usage


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """The last event of every stream that did not fail. ``state`` belongs to the message that the answer becomes."""

    reason: FinishReason
    usage: Usage
    state: ProviderState | None = None


ChatEvent: TypeAlias = TextDelta | ReasoningDelta | ToolCall | Spent | Finished


class ChatModel(Protocol):
    def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """:raises ProviderError: before or in the middle of the events."""
        ...


class Adapter(Protocol):
    """What each module of ADAPTERS offers as ``Chat``."""

    def __call__(self, provider: Provider) -> ChatModel: ...


def chat_model(model: Model) -> ChatModel:
    """The adapter that talks to the model's provider. Its SDK is loaded now, not before: imports take seconds."""
    provider = catalog().provider(model)
    adapter: Adapter = import_module(ADAPTERS[provider.kind]).Chat
    return adapter(provider)


def count_request(request: ChatRequest) -> int:
    """About how many input tokens the request is, on the high side."""
    tools = count_tokens(msgspec.json.encode(request.tools).decode()) if request.tools else 0
    return MESSAGE_OVERHEAD + count_tokens(request.instructions) + tools + sum(map(count_turn, request.messages))


def count_turn(turn: Message) -> int:
    state = len(msgspec.json.encode(turn.state.items)) // STATE_BYTES_OF_TOKEN if turn.state else 0
    return MESSAGE_OVERHEAD + count_tokens(turn.text) + count_calls(turn.tool_calls) + state


def count_calls(calls: Iterable[ToolCall]) -> int:
    return sum(MESSAGE_OVERHEAD + count_tokens(call.name) + count_tokens(call.arguments) for call in calls)


def message_to_json(message: Message) -> dict[str, Any]:
    """The message as an object of JSON, to be stored; ``message_from_json`` restores it exactly."""
    stored: dict[str, Any] = msgspec.to_builtins(message)
    return stored


def message_from_json(stored: Any) -> Message:
    """Members that a later version added are ignored.

    :raises msgspec.ValidationError: it is no message.
    """
    return msgspec.convert(stored, Message)


def output_limit(request: ChatRequest) -> int:
    """The maximum tokens of the answer: those requested, within the model's limit and the room in its window."""
    model = request.model
    left = max(model.context_window - count_request(request), MIN_ANSWER_TOKENS)
    return max(1, min(request.max_tokens or model.max_output_tokens, model.max_output_tokens, left))
