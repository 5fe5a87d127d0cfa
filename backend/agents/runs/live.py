"""The asynchronous half of a step: provider → answer and stream, event by event, on the worker's loop."""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field

from backend.agents.answers.answer import Answer, Citation
from backend.agents.answers.citations import CitationTracker
from backend.agents.runs.worker import Job
from backend.agents.stream.writer import StreamWriter
from backend.llm import chat
from backend.llm.errors import ProviderError


@dataclass(slots=True)
class Reply:
    """What came of one request to a provider.

    :ivar began: the provider had begun to answer, so that it will charge even if it did not end.
    :ivar shown: the client has seen some of it, so that it cannot be asked again unseen.
    :ivar interrupted: we ended it ourselves.
    """

    text: str = ""
    reasoning: str = ""
    calls: list[chat.ToolCall] = field(default_factory=list)
    usage: chat.Usage | None = None
    finish_reason: chat.FinishReason | None = None
    error: ProviderError | None = None
    fault: Exception | None = None  # A bug of ours.
    sent: bool = False
    began: bool = False
    shown: bool = False
    interrupted: bool = False


CHARACTERS_OF_TOKEN = 16  # More than any token of an answer has, taken together.


def _overlong(reply: Reply, request: chat.ChatRequest) -> bool:
    """The provider goes on beyond the limit that it was given: what it charges would not be paid by anyone but us."""
    longest = (request.max_tokens or request.model.max_output_tokens) * CHARACTERS_OF_TOKEN
    return len(reply.text) + len(reply.reasoning) > longest


@dataclass(slots=True)
class Pump:
    """Where the events of one run go."""

    job: Job
    message: str  # The public id of the answer.
    answer: Answer
    tracker: CitationTracker
    writer: StreamWriter

    async def pour(self, model: chat.ChatModel, request: chat.ChatRequest) -> Reply:
        """Stream one request to its end, its failure or its interruption; never raises."""
        reply = Reply()
        self.job.task = asyncio.current_task()
        try:
            if self.job.stop_reason is not None:
                reply.interrupted = True
                return reply
            reply.sent = True
            async with aclosing(model.stream(request)) as events:
                async for event in events:
                    self._take(event, reply)
                    if _overlong(reply, request):
                        reply.finish_reason = "length"
                        break
        except asyncio.CancelledError:
            reply.interrupted = True
        except ProviderError as error:
            reply.error = error
        except Exception as error:  # An adapter's bug must not take the loop along; the run reports it.
            reply.fault = error
        finally:
            self.job.task = None
            self._add(self.tracker.finish())
        return reply

    def _add(self, citations: list[Citation]) -> None:
        for citation in citations:
            self.answer.add_citation(citation)
            self.writer.put("citation.added", {"message": self.message, "citation": citation})

    def _take(self, event: chat.ChatEvent, reply: Reply) -> None:
        match event:
            case chat.TextDelta(text=text) if text:
                reply.began = reply.shown = True
                new = not reply.text
                reply.text += text
                part = self.answer.add_text(text, new=new)
                self.writer.delta("text.delta", message=self.message, part=part, text=text)
                self._add(self.tracker.feed(text, part=part))
            case chat.ReasoningDelta(text=text) if text:
                reply.began = reply.shown = True
                reply.reasoning += text
                part = self.answer.add_text(text, kind="reasoning")
                self.writer.delta("reasoning.delta", message=self.message, part=part, text=text)
            case chat.ToolCall():
                reply.began = True
                reply.calls.append(event)
            case chat.Spent(usage=usage):
                reply.usage = usage
            case chat.Finished(usage=usage, reason=reason):
                reply.began = True
                reply.usage, reply.finish_reason = usage, reason
