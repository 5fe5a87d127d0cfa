"""What the model has read and written in one run: loaded, appended to, trimmed, stored. The only memory of the loop.

A transcript is the history of the conversation, which ends with the question, followed by the messages that the steps
of the run added. Each step is a row: stored before it begins, and again when it ends, together with its messages, its
usage and the answer so far. So after any stored step another worker continues from PostgreSQL alone: step numbers,
money spent, tool failures and citations all follow from the rows, and no worker remembers anything else about a run.

What is stored is bounded (an answer by its limit, a tool's output and a provider's state by theirs) and deleted with
the conversation.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import msgspec
from django.db import transaction
from django.utils import timezone

from backend.agents.answers.citations import Source
from backend.agents.models import Run, Step
from backend.agents.runs import metering, prompt, sql
from backend.agents.runs.lease import RunLost
from backend.agents.runs.live import Reply
from backend.agents.tools.interface import Outcome, Tool
from backend.documents.queries import Passage
from backend.documents.spans import Layout, PageSpan
from backend.http.money import MICRO
from backend.llm import chat

MAX_CALLS = 8  # Tool calls of one reply that are used; the model does not read of the others again.
LEFT_OUT = json.dumps({"left_out": "This was too long to be kept. Call the tool again if you need it."})


class Transcript:
    """The steps of a run and the messages that they added.

    :ivar spent: micro-units, exact.
    :ivar estimate_ratio: tokens that the provider measured for each that we estimated; at least 1. Later estimates are
        multiplied by it: if we count the tokens of a model too low, its requests still fit the window and the money.
    :ivar replies: complete replies of the model so far, without failed tries; each counts against ``max_steps``.
    :ivar tool_failures: how many tools failed by themselves.
    """

    def __init__(self, run: Run, steps: list[Step]) -> None:
        self.run, self.steps = run, steps
        self.messages: list[chat.Message] = []
        self.spent, self.estimate_ratio = Decimal(0), 1.0
        self.replies = self.tool_failures = 0
        for step in steps:
            if step.finished_at is not None:
                self._add(step)

    def pending(self) -> list[chat.ToolCall]:
        """The calls of the last reply whose results are missing. By their place, since providers repeat call ids."""
        for results, message in enumerate(reversed(self.messages)):
            if message.role == "assistant":
                return list(message.tool_calls[results:])
        return []

    def last_step(self) -> Step | None:
        """The step that ended last or, if one has begun and not ended, that one."""
        return self.steps[-1] if self.steps else None

    def is_answered(self) -> bool:
        """Whether the model's last reply called no tool."""
        return bool(self.messages) and self.messages[-1].role == "assistant" and not self.pending()

    def extend(self, opening: chat.ChatRequest) -> chat.ChatRequest:
        """The run's first request, followed by the messages of its steps."""
        return msgspec.structs.replace(opening, messages=(*opening.messages, *self.messages))

    def model_step(self, request: chat.ChatRequest, *, input_tokens: int) -> Step:
        """A new step, not yet stored. ``input_tokens`` is our estimate, kept in case the provider does not measure."""
        return self._step(
            kind=Step.Kind.MODEL,
            model=request.model.name,
            provider=request.model.provider,
            request={
                "messages": len(request.messages),
                "tools": [tool.name for tool in request.tools],
                "temperature": request.temperature,
                "max_tokens": request.max_tokens,
                "estimated_input_tokens": input_tokens,
            },
        )

    def tool_step(self, name: str, arguments: Any, *, tool: Tool | None) -> Step:
        """A new step or, of a tool without side effects, the one that a dead worker began and did not end."""
        last = self.last_step()
        if last is not None and last.kind == Step.Kind.TOOL and last.finished_at is None:
            return last
        return self._step(
            kind=Step.Kind.TOOL,
            request={"name": name[:200], "arguments": arguments},
            side_effects=tool is not None and tool.side_effects,
        )

    def append(self, step: Step) -> None:
        """Take in a step that has ended and is stored."""
        if step not in self.steps:
            self.steps.append(step)
        self._add(step)

    def _step(self, **fields: Any) -> Step:
        return Step(run=self.run, attempt=self.run.attempt, index=len(self.steps) + 1, **fields)

    def _add(self, step: Step) -> None:
        messages = [chat.message_from_json(message) for message in step.messages or []]
        self.messages += messages
        self.spent += step.cost * MICRO
        if step.kind == Step.Kind.TOOL:
            self.tool_failures += step.error is not None
            return
        self.replies += bool(messages)
        estimated, measured = step.request.get("estimated_input_tokens"), step.usage.get("input_tokens")
        if estimated and measured and not step.usage.get("estimated"):
            self.estimate_ratio *= max(1.0, measured / estimated)


def load(run: Run) -> Transcript:
    """The transcript of a run that was just claimed: empty at the first claim."""
    return Transcript(run, sql.steps(run) if run.epoch > 1 else [])


def store(run: Run, step: Step, *, usage: chat.Usage | None, answer: dict[str, Any] | None) -> None:
    """Store a step that has ended and after which the run continues, record what it used, and store the answer so far.

    :raises RunLost: the run is not the caller's any more; nothing is stored or recorded.
    """
    parts = None if answer is None else (answer["parts"], answer["citations"])
    if usage is None:
        owned = sql.end_step(run, step, answer=parts)
    else:
        with transaction.atomic():  # The run's lock is taken before billing's, as everywhere.
            if not sql.lock_owned_run(run):
                raise RunLost
            metering.record(step, usage)
            owned = sql.end_step(run, step, answer=parts)
    if not owned:
        raise RunLost


def sources_of(steps: list[Step]) -> list[Source]:
    """What the model may cite by number, as the steps stored it."""
    return [_source(stored) for step in steps for stored in step.sources or []]


def end_model_step(step: Step, reply: Reply) -> None:
    """Fill in what the model returned; a reply that failed or was interrupted adds nothing to the transcript."""
    whole = reply.error is None and reply.fault is None and not reply.interrupted
    calls = tuple(reply.calls[:MAX_CALLS])
    message = chat.Message(role="assistant", text=reply.text, tool_calls=calls, state=reply.state)
    step.reply = {
        "text_length": len(reply.text),
        "tool_calls": [call.name for call in reply.calls],
        "finish_reason": reply.finish_reason,
    }
    step.messages = [storable(chat.message_to_json(message))] if whole else []
    step.finished_at = timezone.now()


def end_tool_step(step: Step, call: chat.ToolCall, outcome: Outcome) -> None:
    """Fill in what the tool returned."""
    message = chat.Message(role="tool", text=outcome.text, tool_call_id=call.id)
    step.reply = outcome.shown
    step.messages = [storable(chat.message_to_json(message))]
    step.sources = [storable(_stored(source)) for source in outcome.sources] or None
    if outcome.failed:
        detail = str(outcome.shown.get("error", ""))
        step.error = {"code": "tool_failed", "detail": detail, "provider": None, "retryable": True}
    step.finished_at = timezone.now()


def trimmed(request: chat.ChatRequest, *, tokens: int) -> chat.ChatRequest:
    """The request within so many tokens, if that can be: without the oldest messages of the conversation and, if that
    is not enough, without what tools returned to earlier replies of this run.
    """
    request = prompt.fitted(request, tokens=tokens)
    messages, size = list(request.messages), chat.count_request(request)
    last_reply = max((place for place, message in enumerate(messages) if message.role == "assistant"), default=0)
    for place in range(last_reply):
        if size <= tokens:
            break
        if (message := messages[place]).role == "tool":
            messages[place] = msgspec.structs.replace(message, text=LEFT_OUT)
            size -= chat.count_turn(message) - chat.count_turn(messages[place])
    return msgspec.structs.replace(request, messages=tuple(messages))


def storable(value: Any) -> Any:
    """The JSON value as PostgreSQL can keep it: without NUL characters, halves of surrogate pairs replaced."""
    try:
        if b"\\u0000" not in msgspec.json.encode(value):
            return value
    except UnicodeEncodeError:
        pass
    return _each_text(value, lambda text: text.replace("\0", "").encode("utf-8", "replace").decode())


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    match value:
        case str():
            return change(value)
        case list() | tuple():
            return [_each_text(each, change) for each in value]
        case dict():
            return {change(name): _each_text(each, change) for name, each in value.items()}
        case _:
            return value


def _stored(source: Source) -> dict[str, Any]:
    """Without the lines of its pages: the passage's ``boxes`` are those that it stands in."""
    stored: dict[str, Any] = msgspec.to_builtins(source)
    stored["passage"]["layout"] = [[page.number, page.char_start] for page in source.passage.layout.pages]
    return stored


def _source(stored: dict[str, Any]) -> Source:
    pages = tuple(PageSpan(number, char_start, ()) for number, char_start in stored["passage"]["layout"])
    passage = msgspec.convert({**stored["passage"], "layout": {"pages": ()}}, Passage)
    return Source(stored["n"], replace(passage, layout=Layout(pages)))
