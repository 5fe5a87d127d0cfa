"""What a tool is. A new kind of tool (HTTP, MCP, another agent, …) is a module beside this one.

It has a class with the members of ``Tool``, and ``toolbox_of`` in ``runs/toolbox.py`` gives it to the runs that have
it. Nothing else needs to know of it.

The runner records a call before it begins and its outcome after it: a tool that changes something outside says so in
``side_effects``, and is never run a second time when a worker died in between.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from backend.agents.answers.citations import CitationTracker, Source
from backend.documents.queries import Readiness


class Policy(StrEnum):
    """Whether a tool may run when the model calls it."""

    AUTO = "auto"
    ASK = "ask"  # Only after a person has approved the call.
    NEVER = "never"  # It is not offered to the model either.


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one call may take.

    :ivar seconds: the tool ends itself within this time, by time-outs of its own; the run's lease is renewed for it.
    :ivar output_bytes: of the text that the model reads; the toolbox cuts what is longer.
    :ivar output_tokens: of the same text. A run holds money and leaves room in the window for them, and
        ``Context.tokens`` is at most this many. The tool itself keeps its output within ``Context.tokens``.
    """

    seconds: float = 10.0
    output_bytes: int = 64 * 1024
    output_tokens: int = 4000


@dataclass(frozen=True, slots=True)
class Context:
    """The run that calls the tool.

    :ivar tokens: how long the output may be, so that it fits the model's window and the money held for it.
    :ivar tracker: numbers what the model may cite.
    """

    workspace_id: UUID
    tokens: int
    tracker: CitationTracker


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call returned.

    :ivar text: what the model reads.
    :ivar shown: what people are shown: ``{"output": …}`` or ``{"error": "…"}``.
    :ivar failed: the tool itself failed; wrong arguments are the model's mistake and no failure.
    :ivar sources: what of it the model may cite by number.
    :ivar readiness: how far the documents have been read that it rests on.
    """

    text: str
    shown: dict[str, Any]
    failed: bool = False
    sources: list[Source] = field(default_factory=list)
    readiness: Readiness | None = None


class BadArguments(Exception):
    """The model's arguments do not fit the tool; the message is for the model."""


class Tool(Protocol):
    """A tool of one run.

    :ivar name: what the model calls it; unique in a toolbox.
    :ivar parameters: a JSON Schema of an object: what ``parse`` takes.
    :ivar instructions: added to the agent's instructions, on how to use the tool and its output; may be empty.
    :ivar side_effects: whether it changes anything outside the run.
    """

    name: str
    description: str
    parameters: dict[str, Any]
    instructions: str
    policy: Policy
    side_effects: bool
    bounds: Bounds

    def parse(self, arguments: Any) -> Any:
        """The arguments as ``run`` takes them, from the JSON value that the model wrote.

        :raises BadArguments: they do not fit the schema.
        """
        ...

    def run(self, context: Context, arguments: Any) -> Outcome:
        """Do the work, within the bounds; in the run's thread, outside any transaction.

        :raises BadArguments: they fit the schema but mean nothing.
        """
        ...
