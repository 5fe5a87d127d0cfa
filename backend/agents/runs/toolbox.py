"""The tools of a run: which it has, how they are offered to the model, and running one within its policy and bounds.

What a tool is, and how to add a kind of tool, is in ``agents/tools/interface.py``.
"""

import json
import logging
from collections.abc import Sequence
from typing import Any

from backend.agents.models import Knowledge
from backend.agents.tools.interface import BadArguments, Context, Outcome, Policy, Tool
from backend.agents.tools.search_knowledge import SearchKnowledge
from backend.llm import chat

logger = logging.getLogger(__name__)

FAILED = "The tool failed."
CUT = "… (the rest was too long)"


class ApprovalNeeded(Exception):
    """A tool with the policy ``ask`` needs approvals, which do not exist yet."""


def definition_of(tool: Tool) -> chat.ToolDefinition:
    return chat.ToolDefinition(name=tool.name, description=tool.description, parameters=tool.parameters)


def toolbox_of(knowledge: Sequence[Knowledge]) -> "Toolbox":
    """The tools of a version of an agent. A new kind of tool is added to this list.

    This list alone decides what the model is offered, how many steps a run may take, and how much money and room in the
    window it needs for the outputs of tools: when the run is accepted, and again when a worker carries it.

    :param knowledge: of the version.
    """
    tools: list[Tool] = []
    if knowledge:
        tools.append(SearchKnowledge(knowledge))
    return Toolbox(tools)


class Toolbox:
    """The tools of one run by name."""

    def __init__(self, tools: Sequence[Tool]) -> None:
        """:raises ApprovalNeeded: one of them asks before it runs."""
        if asking := [tool.name for tool in tools if tool.policy is Policy.ASK]:
            raise ApprovalNeeded(f"Tools that ask before they run cannot be used yet: {', '.join(asking)}.")
        self._tools = {tool.name: tool for tool in tools if tool.policy is Policy.AUTO}

    @property
    def definitions(self) -> tuple[chat.ToolDefinition, ...]:
        """What the model is offered."""
        return tuple(map(definition_of, self._tools.values()))

    @property
    def instructions(self) -> tuple[str, ...]:
        """What each tool adds to the instructions of the agent."""
        return tuple(tool.instructions for tool in self._tools.values())

    @property
    def max_output_tokens(self) -> int:
        """Tokens that the model may have to read of one call; 0 without tools."""
        return max((tool.bounds.output_tokens for tool in self._tools.values()), default=0)

    def find(self, name: str) -> Tool | None:
        return self._tools.get(name)

    def use(self, name: str, arguments: Any, context: Context) -> Outcome:
        """Run the tool. Never raises: whatever goes wrong is an outcome that the model reads.

        The model reads of wrong arguments and unknown tools, and may do better; a tool that fails by itself counts
        as failed, and the run ends when that happens too often.
        """
        try:
            tool = self._tools.get(name)
            if tool is None:
                raise BadArguments(f"There is no tool {name[:100]!r}.")
            return _cut(tool.run(context, tool.parse(arguments)), limit=tool.bounds.output_bytes)
        except BadArguments as error:
            shown = {"error": str(error)}
            return Outcome(text=json.dumps(shown, ensure_ascii=False), shown=shown)
        except Exception:
            logger.exception("tool_failed tool=%s", name[:100])
            return Outcome(text=json.dumps({"error": FAILED}), shown={"error": FAILED}, failed=True)


def _cut(outcome: Outcome, *, limit: int) -> Outcome:
    encoded = outcome.text.encode("utf-8", "replace")
    if len(encoded) <= limit:
        return outcome
    text = encoded[: limit - len(CUT.encode())].decode("utf-8", "ignore") + CUT
    return Outcome(text, outcome.shown, outcome.failed, outcome.sources, outcome.readiness)
