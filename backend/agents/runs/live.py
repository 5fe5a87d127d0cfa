"""A claimed run while it is at work: its answer so far, its readers, its deadline, and each step while it streams.

The run's thread calls everything here but ``stream_step``, which runs on the worker's event loop: provider → answer →
event stream, token by token. The loop never waits for PostgreSQL, and the thread holds no connection while it waits.
"""

import asyncio
import logging
import time
from concurrent.futures import Future
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.utils import timezone

from backend.agents.answers.answer import Answer, Citation
from backend.agents.answers.citations import CitationTracker
from backend.agents.models import Run
from backend.agents.representations import message_data
from backend.agents.runs import awaiting, lease, worker
from backend.agents.runs.lease import RunLost
from backend.agents.runs.worker import RunHandle
from backend.agents.stream.writer import StreamWriter
from backend.db.connection import release_connection, retry_on_disconnect
from backend.documents.queries import Readiness
from backend.llm import chat
from backend.llm.errors import ProviderError

logger = logging.getLogger(__name__)

CLOSE_SECONDS = 10.0
TICK_SECONDS = 1.0  # How often the lease and the stored answer are brought up to date while text streams.
MAX_CHARACTERS_PER_TOKEN = 16  # More than any token of an answer has, taken together.

Event = tuple[str, dict[str, Any]]


class Stopped(Exception):
    """The run was interrupted; its handle has the reason."""


@dataclass(slots=True)
class Reply:
    """What one request to a provider returned.

    The first three become true in this order, and say what may be done after a failure:

    :ivar sent: the adapter was called, so the provider may have received the request. A reply that we interrupt after
        this is charged.
    :ivar began: the provider has returned text, reasoning, a tool call or an end. It will charge even for a reply that
        broke off, so the workspace is charged too.
    :ivar shown: text or reasoning was written to the stream, so readers may have it. The request is not repeated: a
        second reply would contradict the first.
    :ivar interrupted: we ended it ourselves.
    """

    text: str = ""
    reasoning: str = ""
    calls: list[chat.ToolCall] = field(default_factory=list)
    state: chat.ProviderState | None = None
    usage: chat.Usage | None = None
    finish_reason: chat.FinishReason | None = None
    error: ProviderError | None = None
    fault: Exception | None = None  # A bug of ours.
    sent: bool = False
    began: bool = False
    shown: bool = False
    interrupted: bool = False


class LiveRun:
    """What the thread of a claimed run needs beside the transcript. Only ``answer`` is shared with the event loop."""

    def __init__(self, run: Run, handle: RunHandle) -> None:
        self.run, self.handle = run, handle
        self.answer, self.tracker = Answer(), CitationTracker()
        self.message = run.output_message.public_id
        timeout = float(run.agent_version.limit("timeout_seconds", settings.RUN_TIMEOUT_SECONDS))
        elapsed = (timezone.now() - (run.started_at or timezone.now())).total_seconds()
        self.deadline = time.monotonic() + timeout - max(0.0, elapsed)  # A run that is continued began earlier.
        self._stored = self.answer.changes
        self._renewed = time.monotonic()
        run.output_message.run = run
        self._messages = [message_data(run.input_message), message_data(run.output_message)]
        self._writer = StreamWriter(run_id=run.pk, epoch=run.epoch, snapshot=self.snapshot)

    def publish(self, *events: Event) -> None:
        """Write events to the run's stream, in this order."""
        worker.worker_loop().call_soon_threadsafe(self._put, events)

    def publish_knowledge(self, found: Readiness) -> None:
        """Publish how far the documents have been read that the answer rests on."""
        self._messages[-1] = {**self._messages[-1], "knowledge": self.run.knowledge}
        if found.pending:
            self.publish(awaiting.pending_event(self.run, found))

    def snapshot(self) -> dict[str, Any]:
        """Both messages as they are now. The event loop calls this too, so it must not ask the database."""
        question, answer = self._messages
        return {"messages": [question, {**answer, "parts": self.answer.parts(), "citations": self.answer.citations()}]}

    def close(self) -> None:
        """Have Redis take what was published. Never fails: the run has ended whatever its readers receive."""
        release_connection()
        try:
            worker.submit(self._writer.close()).result(CLOSE_SECONDS)
        except Exception as error:
            logger.warning("run_stream_not_closed run=%s error=%r", self.run.public_id, error)

    def check(self) -> None:
        """Return only if the run may begin a step.

        :raises Stopped: its time is over, it was interrupted, or its worker shuts down.
        """
        if time.monotonic() >= self.deadline:
            self.handle.stop("timed_out")
        elif worker.is_draining():
            self.handle.stop("shutdown")
        if self.handle.stop_reason is not None:
            raise Stopped

    def pause(self, seconds: float) -> None:
        """Wait that long between two steps.

        :raises Stopped: as ``check``.
        """
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.check()
            release_connection()
            self.handle.stopped.wait(min(TICK_SECONDS, left))
            self._tick()
        self.check()

    def wait_for(self, streaming: "Future[Reply]") -> Reply:
        """The reply, once ``stream_step`` has ended. Meanwhile renews the lease and stores the answer every second."""
        while True:
            release_connection()
            try:
                return streaming.result(max(0.01, min(TICK_SECONDS, self.deadline - time.monotonic())))
            except TimeoutError:
                if time.monotonic() >= self.deadline:
                    self.handle.stop("timed_out")
                    return streaming.result(10)
                self._tick()

    def unstored(self) -> dict[str, Any] | None:
        """The answer, if it changed since the last call."""
        changes = self.answer.changes
        if changes == self._stored:
            return None
        self._stored = changes
        return {"parts": self.answer.parts(), "citations": self.answer.citations()}

    def _tick(self) -> None:
        """What the run's thread does about once a second while it waits:

        1. Store the answer so far, if it has changed, and renew the lease with it. If it has not changed, renew the
           lease after a quarter of its time.
        2. Stop the run if the row says that it is cancelled: the message to this process may be lost.
        3. Stop it if the row belongs to another worker.
        """
        answer = self.unstored()
        due = time.monotonic() - self._renewed > settings.RUN_LEASE_SECONDS / 4
        if answer is None and not due:
            return
        try:
            cancelled = retry_on_disconnect(lambda: lease.checkpoint(self.run, answer), seconds=0)
        except RunLost:
            self.handle.stop("lease_lost")
        except Exception as error:  # PostgreSQL does not answer: the next tick tries again, the text is in the stream.
            logger.warning("checkpoint_failed run=%s error=%s", self.run.public_id, str(error).strip())
            self._stored = -1
        else:
            self._renewed = time.monotonic()
            if cancelled:
                self.handle.stop("cancelled")

    # From here on the event loop's part ------------------------------------------------------------------------------

    async def stream_step(self, model: chat.ChatModel, request: chat.ChatRequest) -> Reply:
        """Stream one request to its end, its failure or its interruption; never raises."""
        reply = Reply()
        self.handle.task = asyncio.current_task()
        try:
            if self.handle.stop_reason is not None:
                reply.interrupted = True
                return reply
            reply.sent = True
            async with aclosing(model.stream(request)) as events:
                async for event in events:
                    self._receive(event, reply)
                    if _is_overlong(reply, request):
                        reply.finish_reason = "length"
                        break
        except asyncio.CancelledError:
            reply.interrupted = True
        except ProviderError as error:
            reply.error = error
        except Exception as error:  # A bug of an adapter must not end the loop; the run reports it.
            reply.fault = error
        finally:
            self.handle.task = None
            self._add_citations(self.tracker.finish())
        return reply

    def _receive(self, event: chat.ChatEvent, reply: Reply) -> None:
        match event:
            case chat.TextDelta(text=text) if text:
                reply.began = reply.shown = True
                new = not reply.text
                reply.text += text
                part = self.answer.add_text(text, new=new)
                self._writer.delta("text.delta", message=self.message, part=part, text=text)
                self._add_citations(self.tracker.feed(text, part=part))
            case chat.ReasoningDelta(text=text) if text:
                reply.began = reply.shown = True
                reply.reasoning += text
                part = self.answer.add_text(text, kind="reasoning")
                self._writer.delta("reasoning.delta", message=self.message, part=part, text=text)
            case chat.ToolCall():
                reply.began = True
                reply.calls.append(event)
            case chat.Spent(usage=usage):
                reply.usage = usage
            case chat.Finished(usage=usage, reason=reason, state=state):
                reply.began = True
                reply.usage, reply.finish_reason, reply.state = usage, reason, state

    def _add_citations(self, citations: list[Citation]) -> None:
        for citation in citations:
            self.answer.add_citation(citation)
            self._writer.put("citation.added", {"message": self.message, "citation": citation})

    def _put(self, events: tuple[Event, ...]) -> None:
        for name, data in events:
            self._writer.put(name, data)


def _is_overlong(reply: Reply, request: chat.ChatRequest) -> bool:
    """The provider goes beyond the limit that it was given: what it charges for that would be ours to pay."""
    limit = (request.max_tokens or request.model.max_output_tokens) * MAX_CHARACTERS_PER_TOKEN
    return len(reply.text) + len(reply.reasoning) > limit
