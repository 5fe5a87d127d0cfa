"""What real providers demand of the conversation that a request holds, for the fake one to refuse the rest."""

from typing import Any

from tests.provider_frames import Reply, seal


class Issued:
    """The calls that the fake provider made after reasoning: a later request must bring that reasoning back."""

    def __init__(self) -> None:
        self._reasoned: dict[tuple[str, str], str] = {}  # Model and id of a call: the reasoning before it.

    def note(self, path: str, body: dict[str, Any], reply: Reply) -> None:
        if reply.reasoning and reply.raw is None:
            for number in range(len(reply.tool_calls)):
                self._reasoned[str(body.get("model")), reply.call_id(number)] = reply.reasoning

    def complaint(self, path: str, body: dict[str, Any]) -> str | None:
        parts = PARTS.get(path)
        found = parts(body) if parts else []
        return self._calls(found) or self._states(body, found)

    def _calls(self, parts: list[tuple[str, str]]) -> str | None:
        calls = [value for kind, value in parts if kind == "call"]
        results = [value for kind, value in parts if kind == "result"]
        if len(set(calls)) < len(calls):
            return "Ids of calls must be unique."
        if sorted(calls) != sorted(results):
            return "Every call must have one result, and every result a call."
        return None

    def _states(self, body: dict[str, Any], parts: list[tuple[str, str]]) -> str | None:
        model = str(body.get("model"))
        thought: str | None = None
        for kind, value in parts:
            if kind == "thought":
                thought = value
            elif kind == "call":
                wanted = self._reasoned.get((model, value))
                if wanted is not None and thought not in (wanted, seal(body, wanted)):
                    return "The reasoning before a call must be given back as it was sent."
            elif kind == "result":
                thought = None
        return None


def _chat(body: dict[str, Any]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for message in body.get("messages", []):
        if message["role"] == "tool":
            found.append(("result", message["tool_call_id"]))
        if message.get("reasoning_content") is not None:
            found.append(("thought", message["reasoning_content"]))
        found += [("call", call["id"]) for call in message.get("tool_calls") or []]
    return found


def _responses(body: dict[str, Any]) -> list[tuple[str, str]]:
    names = {"function_call": "call", "function_call_output": "result", "reasoning": "thought"}
    keys = {"call": "call_id", "result": "call_id", "thought": "encrypted_content"}
    kinds = [(names.get(item.get("type", ""), "text"), item) for item in body.get("input", [])]
    return [(kind, item[keys[kind]] if kind in keys else "") for kind, item in kinds]


def _anthropic(body: dict[str, Any]) -> list[tuple[str, str]]:
    names = {"tool_use": "call", "tool_result": "result", "thinking": "thought"}
    keys = {"call": "id", "result": "tool_use_id", "thought": "signature"}
    blocks = [block for turn in body.get("messages", []) for block in turn["content"] if isinstance(block, dict)]
    kinds = [(names.get(block["type"], "text"), block) for block in blocks]
    return [(kind, block[keys[kind]] if kind in keys else "") for kind, block in kinds]


PARTS = {"/v1/chat/completions": _chat, "/v1/responses": _responses, "/v1/messages": _anthropic}
