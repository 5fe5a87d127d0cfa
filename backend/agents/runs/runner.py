"""Carries a run from its claim to its end: asks the provider, runs the tools it asks for, asks again.

This is the thread's half: it keeps the books. The other half, ``pump``, streams on the worker's event loop.
"""

import json
import logging
import math
import random
import time
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from django.conf import settings
from django.utils import timezone

from backend.agents.models import Knowledge, Run
from backend.agents.readiness import readiness_of
from backend.agents.representations import step_data
from backend.agents.runs import awaiting, cost, lease, metering, offer, prompt, settlement, sql, steps, worker
from backend.agents.runs.admission import Turn
from backend.agents.runs.lease import LeaseLost
from backend.agents.runs.live import Reply
from backend.agents.runs.session import Session, Stopped
from backend.agents.runs.settlement import Ended, Ending, Failed
from backend.agents.runs.worker import Job
from backend.agents.tools import search_knowledge
from backend.db.connection import release_connection, retry_on_disconnect
from backend.documents.queries import Readiness
from backend.http.money import MICRO
from backend.llm import chat
from backend.llm.errors import UnknownModel

logger = logging.getLogger(__name__)

LONGEST_RETRY_AFTER = 30.0
TOOL_FAILURES = 3
MAX_CALLS = 8  # Tools that are used of one reply; the others count as not asked for.


def execute(*, run_id: UUID | None = None) -> UUID | None:
    """Claim the run whose turn it is, among those of its workspace the one named, and carry it to its end.

    Returns the run that may start now that this one has ended, if its workspace has one that waits.
    """
    try:
        with Turn() as turn:
            run = retry_on_disconnect(lambda: lease.claim(run_id))
            if run is None:
                return None
            _carry(run, turn)
        if worker.is_ending():
            return None  # Another worker's sweep finds what waits.
        return retry_on_disconnect(lambda: sql.next_queued(run.workspace_id))
    finally:
        release_connection()


def _carry(run: Run, turn: Turn) -> None:
    job = Job(run.pk)
    worker.enlist(job)
    try:
        Runner(run, job, turn).carry()
    except LeaseLost:
        logger.warning("run_lease_lost run=%s epoch=%s", run.public_id, run.epoch)
    finally:
        worker.dismiss(job)


class Runner:
    """One claimed run."""

    def __init__(self, run: Run, job: Job, turn: Turn) -> None:
        self.run, self.job, self.turn, self.version = run, job, turn, run.agent_version
        self.session = Session(run, job)
        self.spent = Decimal(0)  # Micro-units, exact.
        self.steps = 0
        self.density = 1.0  # Tokens of the provider in one of our estimates, where that was too low.

    def carry(self) -> None:
        """To the end. The end is committed first and told afterwards.

        :raises LeaseLost: somebody else ended or claimed it.
        """
        try:
            self.session.open()
            ending = self._work()
            if self._may_wait() and retry_on_disconnect(lambda: lease.put_back(self.run)):
                logger.info("run_put_back run=%s", self.run.public_id)
                return
            ended = self._end(ending)
            for name, data in ended.events:
                self.session.tell(name, data)
        finally:
            self.session.close()
        logger.info("run_ended run=%s status=%s cost=%s", self.run.public_id, ended.run.status, ended.run.cost)

    def _work(self) -> Ending:
        try:
            last = self._converse()
        except Stopped:
            return self._ending_of_stop()
        except Failed as failure:
            return failure.ending
        except LeaseLost:
            raise
        except Exception:
            logger.exception("run_broke run=%s", self.run.public_id)
            return Ending.failed("worker_lost", "Something broke on our side. What was answered so far is kept.")
        return Ending.completed("length" if last.finish_reason == "length" else "stop")

    def _may_wait(self) -> bool:
        """Nothing has happened yet, and another worker can do it as well."""
        return self.job.stop_reason == "shutdown" and self.steps == 0

    def _ending_of_stop(self) -> Ending:
        match self.job.stop_reason:
            case "cancelled":
                return Ending.cancelled()
            case "timed_out":
                return Ending.failed("timed_out", "The answer took longer than this agent may take.")
            case "shutdown":
                return Ending.failed("worker_lost", "The server was restarted before the answer was complete.")
            case _:
                raise LeaseLost

    def _end(self, ending: Ending) -> Ended:
        run = self.run
        return retry_on_disconnect(
            lambda: settlement.finish(
                run_id=run.pk,
                conversation_id=run.conversation_id,
                epoch=run.epoch,
                ending=ending,
                answer=self.session.answer,
            )
        )

    def _converse(self) -> Reply:
        """The loop that the product exists for; the reply that ends it."""
        try:
            model = offer.agreed_model(self.run)
            now = offer.offered_now(model)
            adapter = chat.chat_model(now)
        except UnknownModel as error:
            raise Failed("provider_unavailable", error.detail, retryable=False) from error
        if not now.available:
            reason = now.unavailable_reason or "This provider is not available."
            raise Failed("provider_auth", reason, provider=model.provider, retryable=False)
        self.run.offer = offer.offer_of(model)  # One accepted before offers were kept is charged by what it began with.
        model = msgspec.structs.replace(model, temperature=now.temperature)
        history, knowledge = retry_on_disconnect(self._read)
        if knowledge:
            self._note(retry_on_disconnect(lambda: readiness_of(self.run.workspace_id, knowledge)))
        request = prompt.opening(
            version=self.version, model=model, history=history, knows=bool(knowledge), language=self.run.language
        )
        most_steps = cost.max_steps(self.version, searches=bool(knowledge))
        failures = 0
        for number in range(1, most_steps + 1):
            if number == most_steps and number > 1:
                instructions = f"{request.instructions}\n\n{prompt.LAST_STEP}"
                request = msgspec.structs.replace(request, instructions=instructions)
            reply = self._ask(adapter, request)
            if not reply.calls:
                return reply
            if number == most_steps:
                if reply.text:
                    return reply
                raise Failed("budget_exhausted", "The agent used all its steps without coming to an answer.")
            calls = reply.calls[:MAX_CALLS]
            turns = [chat.Message(role="assistant", text=reply.text, tool_calls=tuple(calls))]
            for call in calls:
                output, failed = self._use_tool(call, knowledge, tokens=self._spare(request, turns, knowledge))
                failures += failed
                if failures >= TOOL_FAILURES:
                    raise Failed("tool_failed", "A tool that the agent needs failed again and again.")
                turns.append(chat.Message(role="tool", text=output, tool_call_id=call.id))
            request = msgspec.structs.replace(request, messages=(*request.messages, *turns))
        raise AssertionError  # The last step returns or raises.

    def _spare(self, request: chat.ChatRequest, turns: list[chat.Message], knowledge: list[Knowledge]) -> int:
        """Tokens that one search may give the model to read: they fit its window, and money was held for them."""
        answered = cost.max_output_tokens(self.version, request.model)
        fitting = int(prompt.spare(request, turns, answered=answered) / self.density)
        return min(fitting, cost.search_tokens(passages=max((row.limit for row in knowledge), default=0)))

    def _fitted(self, request: chat.ChatRequest) -> tuple[chat.ChatRequest, int]:
        """The request without the old messages that leave no room for the answer, and its tokens.

        :raises Failed: what cannot be left out fills the model's window.
        """
        window, wanted = request.model.context_window, cost.max_output_tokens(self.version, request.model)
        request = prompt.fitted(request, tokens=int((window - wanted) / self.density))
        tokens = math.ceil(chat.count_request(request) * self.density)
        if tokens + min(wanted, chat.SMALLEST_ANSWER) > window:
            detail = "The question and what was found for it are more than the model can read at once."
            raise Failed("context_too_long", detail, provider=request.model.provider, retryable=False)
        return request, tokens

    def _read(self) -> tuple[list[Any], list[Knowledge]]:
        return prompt.history_of(self.run.input_message), sql.knowledge(self.version.pk)

    def _note(self, found: Readiness) -> None:
        """Keep how far the documents have been read, and tell readers if that is news."""
        if retry_on_disconnect(lambda: awaiting.note(self.run, found)):
            self.session.know(found)

    def _ask(self, adapter: chat.ChatModel, request: chat.ChatRequest) -> Reply:
        """One answer of the provider, asked for again only while the client has seen nothing of it."""
        provider = request.model.provider
        for tries in range(settings.RUN_PROVIDER_RETRIES + 1):
            reply = self._step(adapter, request)
            if reply.interrupted or self.job.stop_reason:
                raise Stopped
            if reply.fault is not None:
                raise reply.fault
            error = reply.error
            if error is None:
                return reply
            pause = error.retry_after if error.retry_after is not None else 0.5 * 2**tries * random.uniform(0.8, 1.2)  # noqa: S311  # Not a secret.
            if (
                not error.retryable
                or reply.shown
                or tries == settings.RUN_PROVIDER_RETRIES
                or pause > min(LONGEST_RETRY_AFTER, self.session.deadline - time.monotonic())
            ):
                raise Failed(error.code, error.detail, provider=provider, retryable=error.retryable)
            self.session.pause(pause)
        raise AssertionError  # The last try returns or raises.

    def _step(self, adapter: chat.ChatModel, request: chat.ChatRequest) -> Reply:
        """One request to the provider: stored before it is sent, with its usage after it ended."""
        self.session.check()
        request, input_tokens = self._fitted(request)
        wanted = min(cost.max_output_tokens(self.version, request.model), request.model.context_window - input_tokens)
        most = cost.affordable_output_tokens(
            model=request.model, input_tokens=input_tokens, left=self.run.reserved - self.spent, wanted=wanted
        )
        if most == 0:
            detail = "What was set aside for this answer does not cover its next step."
            raise Failed("budget_exhausted", detail, retryable=self.steps > 0)  # The first step costs the same again.
        request = msgspec.structs.replace(request, max_tokens=most)
        self.steps += 1
        step = steps.model_step(self.run, index=self.steps, request=request, input_tokens=input_tokens)
        if retry_on_disconnect(lambda: steps.begin(self.run, step)):
            self.job.stop("cancelled")
        self.session.tell("step.started", step_data(step))
        pouring = worker.submit(self.session.pump.pour(adapter, request))
        self.turn.end()
        reply = self.session.wait_for(pouring)
        if self.job.stop_reason == "lease_lost":
            raise LeaseLost
        usage = metering.credible(reply.usage, request) or metering.estimated(reply, request, input_tokens)
        step.reply = {
            "text_length": len(reply.text),
            "tool_calls": [call.name for call in reply.calls],
            "finish_reason": reply.finish_reason,
        }
        step.error = metering.failure_of(reply.error)
        step.finished_at, answer = timezone.now(), self.session.unstored()
        retry_on_disconnect(lambda: steps.end(self.run, step, usage=usage, answer=answer))
        self.spent += step.cost * MICRO
        if usage is not None and usage.input_tokens > input_tokens:
            logger.warning(
                "input_estimated_too_low run=%s estimated=%s measured=%s",
                *(self.run.public_id, input_tokens, usage.input_tokens),
            )
            self.density *= usage.input_tokens / max(1, input_tokens)
        self.session.tell("step.finished", step_data(step))
        return reply

    def _use_tool(self, call: chat.ToolCall, knowledge: list[Knowledge], *, tokens: int) -> tuple[str, bool]:
        """What the model reads, and whether the tool failed (not for what the model asked, but by itself)."""
        self.session.check()
        self.steps += 1
        arguments = metering.decoded(call.arguments)
        step = steps.tool_step(self.run, index=self.steps, name=call.name, arguments=arguments)
        identity = step.public_id  # Ours: providers repeat theirs.
        self.session.answer.add_call(id=identity, name=call.name, arguments=arguments)
        self.session.tell(
            "tool.call", {"message": self.session.message, "id": identity, "name": call.name, "arguments": arguments}
        )
        retry_on_disconnect(lambda: steps.begin(self.run, step))
        failed = False
        result: dict[str, Any]
        try:
            if call.name != search_knowledge.NAME:
                raise search_knowledge.BadArguments(f"There is no tool {call.name[:100]!r}.")
            found = retry_on_disconnect(
                lambda: search_knowledge.run(
                    workspace_id=self.run.workspace_id,
                    knowledge=knowledge,
                    arguments=arguments,
                    tracker=self.session.tracker,
                    tokens=tokens,
                ),
                seconds=10,
            )
            self._note(found.readiness)
            output, result = found.text, {"output": found.summary}
        except search_knowledge.BadArguments as error:
            output, result = json.dumps({"error": str(error)}), {"error": str(error)}
        except Exception:
            logger.exception("tool_failed run=%s tool=%s", self.run.public_id, call.name)
            failed, result = True, {"error": "The tool failed."}
            output = json.dumps(result)
        self.session.answer.add_result(id=identity, **result)
        step.reply, step.finished_at, answer = result, timezone.now(), self.session.unstored()
        retry_on_disconnect(lambda: steps.end(self.run, step, usage=None, answer=answer))
        self.session.tell("tool.result", {"message": self.session.message, "id": identity, **result})
        return output, failed
