"""Carries a run from its claim to its end: asks the model, runs the tools that it calls, asks again.

This is the part of the run's thread, which alone writes to PostgreSQL; ``live`` streams on the worker's event loop. The
order in which things happen is in ``Runner.carry`` and ``Runner._converse``.
"""

import logging
import random
import time
from uuid import UUID

import msgspec
from django.conf import settings

from backend.agents.models import Run, Step
from backend.agents.readiness import readiness_of
from backend.agents.representations import run_data, step_data
from backend.agents.runs import (
    awaiting,
    cost,
    fitting,
    lease,
    metering,
    offer,
    prompt,
    settlement,
    sql,
    toolbox,
    transcript,
    worker,
)
from backend.agents.runs.endings import Ending, Failed
from backend.agents.runs.lease import RunLost
from backend.agents.runs.live import LiveRun, Reply, Stopped
from backend.agents.runs.settlement import Ended, LastStep
from backend.agents.runs.worker import RunHandle, StartSlot
from backend.agents.tools.interface import Context
from backend.db.connection import release_connection, retry_on_disconnect
from backend.documents.queries import Readiness
from backend.llm import chat
from backend.llm.errors import ProviderError

logger = logging.getLogger(__name__)

MAX_RETRY_AFTER_SECONDS = 30.0
MAX_TOOL_FAILURES = 3


def execute(*, run_id: UUID | None = None) -> UUID | None:
    """Claim the queued run that is to start next, and carry it to its end.

    Returns the run that workers are to be notified of: of the same workspace, if one waits that may start now. A worker
    that shuts down claims nothing and passes its notification on.

    :param run_id: the run to prefer if its workspace is the next one; another run may be claimed instead.
    """
    if worker.is_draining():
        return run_id
    try:
        with StartSlot() as slot:
            run = retry_on_disconnect(lambda: lease.claim(run_id))
            if run is None:
                return None
            with worker.holding(run.pk) as handle:
                try:
                    Runner(run, handle, slot).carry()
                except RunLost:
                    logger.warning("run_lost run=%s epoch=%s", run.public_id, run.epoch)
        return retry_on_disconnect(lambda: sql.next_queued(run.workspace_id))
    finally:
        release_connection()


class Runner:
    """One claimed run. What it must remember is in the transcript; the rest follows from that and the run.

    :ivar unstored_step: a model step that has ended and is not stored: stored with the end of the run or, if the run
        continues, before its next step.
    """

    def __init__(self, run: Run, handle: RunHandle, slot: StartSlot) -> None:
        self.run, self.handle, self.slot, self.version = run, handle, slot, run.agent_version
        self.live = LiveRun(run, handle)
        self.unstored_step: LastStep | None = None

    def carry(self) -> None:
        """From the claim to the end:

        1. Load the transcript, and publish that the run has started or continues.
        2. Converse with the model until there is an ending.
        3. A worker that shuts down between two steps gives the run back, for another one to continue.
        4. Else end the run: commit first, publish afterwards, so that no reader sees an end that is not stored.

        :raises RunLost: another worker or the sweep has ended or claimed it.
        """
        try:
            ending = self._ending()
            if self.unstored_step is None and self.handle.stop_reason == "shutdown":
                if retry_on_disconnect(lambda: lease.give_back(self.run)):
                    logger.info("run_given_back run=%s", self.run.public_id)
                    return
                ending = Ending.cancelled()  # Or it is lost, as ``_end`` will find.
            ended = self._end(ending)
        finally:
            self.live.close()
        logger.info("run_ended run=%s status=%s cost=%s", self.run.public_id, ended.run.status, ended.run.cost)

    def _ending(self) -> Ending:
        try:
            self._load()
            return self._converse()
        except Stopped:
            return self._ending_of_stop()
        except Failed as failure:
            return failure.ending
        except RunLost:
            raise
        except Exception:
            logger.exception("run_broke run=%s", self.run.public_id)
            return Ending.failed("worker_lost", "Something broke on our side. What was answered so far is kept.")

    def _ending_of_stop(self) -> Ending:
        match self.handle.stop_reason:
            case "cancelled":
                return Ending.cancelled()
            case "timed_out":
                return Ending.failed("timed_out", "The answer took longer than this agent may take.")
            case "shutdown":
                return Ending.failed("worker_lost", "The server was restarted before the answer was complete.")
            case _:
                raise RunLost

    def _end(self, ending: Ending) -> Ended:
        run = self.run
        ended = retry_on_disconnect(
            lambda: settlement.finish(
                run_id=run.pk,
                conversation_id=run.conversation_id,
                epoch=run.epoch,
                ending=ending,
                answer=self.live.answer,
                last=self.unstored_step,
            )
        )
        finished = [] if self.unstored_step is None else [("step.finished", step_data(self.unstored_step.step))]
        self.live.publish(*finished, *ended.events)
        return ended

    def _load(self) -> None:
        """Load all that the run needs, and publish that it has started or, if another worker began it, continues.

        Readers of a run that is continued have seen its first part. A snapshot replaces what they have by what is
        stored, so that nothing they show contradicts what follows.
        """
        self.transcript = retry_on_disconnect(lambda: transcript.load(self.run))
        started = ("run.started", {"run": run_data(self.run)})
        if self.transcript.steps:
            message = self.run.output_message
            self.live.answer.replace(parts=message.parts, citations=message.citations)
            self.live.tracker.resume(transcript.sources_of(self.transcript.steps), cited=len(message.citations))
            self.live.publish(started, ("snapshot", self.live.snapshot()))
            logger.info("run_continued run=%s steps=%s", self.run.public_id, len(self.transcript.steps))
        else:
            self.live.publish(started, ("message.started", {"message": self.live.snapshot()["messages"][-1]}))
        self.model, self.adapter = offer.reach(self.run)
        knows = (
            self.run.knowledge is not None
        )  # Set at acceptance if the agent has any: else there are no rows to read.
        self.knowledge = retry_on_disconnect(lambda: sql.knowledge(self.version.pk)) if knows else []
        self.toolbox = toolbox.toolbox_of(self.knowledge)
        self.max_steps = cost.max_steps(self.version, self.toolbox)
        self.opening = prompt.opening(
            version=self.version,
            model=self.model,
            history=retry_on_disconnect(lambda: prompt.history_of(self.run.input_message)),
            toolbox=self.toolbox,
            language=self.run.language,
        )
        if self.knowledge:
            self._note(retry_on_disconnect(lambda: readiness_of(self.run.workspace_id, self.knowledge)))

    def _converse(self) -> Ending:
        """Ask the model and run the tools that it calls, until there is an ending.

        1. Run the tools that the last reply called. Of a run that is continued, those whose results are missing.
        2. A reply without calls ends the run.
        3. Ask the model again. The last of ``max_steps`` requests forbids calls, so that it brings an answer.
        """
        while True:
            for call in self.transcript.pending():
                self._use_tool(call)
            if self.transcript.is_answered():  # Only where an earlier version had stored it apart from the end.
                return Ending.completed("stop")
            reply = self._ask(self._request())
            if not reply.calls or (self.is_last_request and reply.text):
                return Ending.completed("length" if reply.finish_reason == "length" else "stop")
            if self.is_last_request:
                raise Failed("budget_exhausted", "The agent used all its steps without coming to an answer.")
            self._store()

    @property
    def is_last_request(self) -> bool:
        """Whether the request to the model that is next, or whose reply is not stored yet, is the last one allowed."""
        return self.transcript.replies + 1 >= self.max_steps

    def _request(self) -> chat.ChatRequest:
        """The opening and the transcript, complete."""
        request = self.transcript.extend(self.opening)
        if not request.tools or not self.is_last_request:
            return request
        instructions = f"{request.instructions}\n\n{prompt.LAST_STEP}"
        return msgspec.structs.replace(request, instructions=instructions, tool_choice="none")

    def _ask(self, request: chat.ChatRequest) -> Reply:
        """One reply of the model. A failed request is repeated only while the client has received nothing of the reply.

        Each try is a step of its own, stored with what it used; only a complete reply counts against ``max_steps``.
        """
        for tries in range(settings.RUN_PROVIDER_RETRIES + 1):
            reply = self._step(request)
            if reply.interrupted or self.handle.stop_reason not in {None, "shutdown"}:
                if not reply.sent:
                    self._store()  # So that nothing is in flight.
                raise Stopped
            if reply.fault is not None:
                raise reply.fault
            error = reply.error
            if error is None:
                return reply
            pause = _pause_after(error, tries)
            left = self.live.deadline - time.monotonic()
            is_last = tries == settings.RUN_PROVIDER_RETRIES
            if not error.retryable or reply.shown or is_last or pause > min(MAX_RETRY_AFTER_SECONDS, left):
                provider = request.model.provider
                raise Failed(error.code, error.detail, provider=provider, retryable=error.retryable)
            self._store()
            self.live.pause(pause)
        raise AssertionError  # The last try returns or raises.

    def _step(self, request: chat.ChatRequest) -> Reply:
        """One request to the provider: stored before it is sent; afterwards ``last`` has what it returned and used."""
        self.live.check()
        request, input_tokens = fitting.fit(request, self.run, self.transcript)
        step = self.transcript.model_step(request, input_tokens=input_tokens)
        self._begin(step)
        self.live.publish(("step.started", step_data(step)))
        streaming = worker.submit(self.live.stream_step(self.adapter, request))
        self.slot.leave()
        reply = self.live.wait_for(streaming)
        if self.handle.stop_reason == "lease_lost":
            raise RunLost
        usage = metering.used(reply, request, input_tokens, shutdown=self.handle.stop_reason == "shutdown")
        step.error = metering.failure_of(reply.error)
        transcript.end_model_step(step, reply)
        self.unstored_step = LastStep(step, usage)
        if usage is not None and usage.input_tokens > input_tokens:
            logger.warning(
                "input_estimated_too_low run=%s estimated=%s measured=%s",
                *(self.run.public_id, input_tokens, usage.input_tokens),
            )
        return reply

    def _use_tool(self, call: chat.ToolCall) -> None:
        """Run a tool that the model called: stored before it begins, and its outcome after it.

        :raises Failed: tools have failed by themselves too often.
        """
        self.live.check()
        tool, arguments = self.toolbox.find(call.name), metering.decoded(call.arguments)
        step = self.transcript.tool_step(call.name, arguments, tool=tool)
        identity = step.public_id  # Ours: providers repeat theirs.
        self._begin(step, seconds=tool.bounds.seconds if tool else 0.0)
        self.live.answer.add_call(id=identity, name=call.name, arguments=arguments)
        which = {"message": self.live.message, "id": identity}
        self.live.publish(("tool.call", {**which, "name": call.name, "arguments": arguments}))
        bound = tool.bounds.output_tokens if tool else 0
        tokens = fitting.room_for_output(self.opening, self.run, self.transcript, bound=bound)
        context = Context(workspace_id=self.run.workspace_id, tokens=tokens, tracker=self.live.tracker)
        outcome = self.toolbox.use(call.name, arguments, context)
        if outcome.readiness is not None:
            self._note(outcome.readiness)
        self.live.answer.add_result(id=identity, **outcome.shown)
        transcript.end_tool_step(step, call, outcome)
        self._commit(step)
        self.live.publish(("tool.result", {**which, **outcome.shown}))
        if self.transcript.tool_failures >= MAX_TOOL_FAILURES:
            raise Failed("tool_failed", "A tool that the agent needs failed again and again.")

    def _begin(self, step: Step, *, seconds: float = 0.0) -> None:
        """Store a step that begins; from now on a lost worker leaves a trace of it.

        :param seconds: that a tool may take; the lease is renewed for them, since the thread cannot do so meanwhile.
        :raises RunLost: the run is not ours any more.
        """
        cancelled = retry_on_disconnect(lambda: lease.begin_step(self.run, step, seconds=seconds))
        if cancelled:
            self.handle.stop("cancelled")

    def _store(self) -> None:
        """Store the last model step, since the run continues after it.

        :raises RunLost: the run is not ours any more; nothing is recorded.
        """
        assert self.unstored_step is not None  # noqa: S101  # Its callers have just asked the model.
        step, usage = self.unstored_step.step, self.unstored_step.usage
        self._commit(step, usage)
        self.unstored_step = None
        self.live.publish(("step.finished", step_data(step)))

    def _commit(self, step: Step, usage: chat.Usage | None = None) -> None:
        answer = self.live.unstored()
        retry_on_disconnect(lambda: transcript.store(self.run, step, usage=usage, answer=answer))
        self.transcript.append(step)

    def _note(self, found: Readiness) -> None:
        """Store how far the documents have been read, and publish it if it has changed."""
        if retry_on_disconnect(lambda: awaiting.note(self.run, found)):
            self.live.publish_knowledge(found)


def _pause_after(error: ProviderError, tries: int) -> float:
    """Seconds until a provider is asked again: as it demands or, if it does not, twice as long each time."""
    if error.retry_after is not None:
        return error.retry_after
    spread = random.uniform(0.8, 1.2)  # noqa: S311  # Not a secret.
    return 0.5 * float(2**tries) * spread
