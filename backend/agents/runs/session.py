"""A claimed run while this process has it: its clock, its lease, its answer so far and the way to its readers."""

import logging
import time
from concurrent.futures import Future
from typing import Any

from django.conf import settings

from backend.agents.answers.answer import Answer
from backend.agents.answers.citations import CitationTracker
from backend.agents.models import Run
from backend.agents.representations import message_data, run_data
from backend.agents.runs import awaiting, lease, worker
from backend.agents.runs.lease import LeaseLost
from backend.agents.runs.live import Pump, Reply
from backend.agents.runs.worker import Job
from backend.agents.stream.writer import StreamWriter
from backend.db.connection import release_connection, retry_on_disconnect
from backend.documents.queries import Readiness

logger = logging.getLogger(__name__)

CLOSE_SECONDS = 10.0
TICK_SECONDS = 1.0  # How often the books are brought up to date while text streams.


class Stopped(Exception):
    """The run was interrupted; the job says why."""


class Session:
    """What a run's thread needs besides its work. Used by that thread alone, but for ``answer``."""

    def __init__(self, run: Run, job: Job) -> None:
        self.run, self.job = run, job
        self.answer, self.tracker = Answer(), CitationTracker()
        self.message = run.output_message.public_id
        timeout = run.agent_version.limit("timeout_seconds", settings.RUN_TIMEOUT_SECONDS)
        self.deadline = time.monotonic() + float(timeout)
        self._stored = self.answer.changes
        self._renewed = time.monotonic()
        run.output_message.run = run
        self._messages = [message_data(run.input_message), message_data(run.output_message)]
        self._writer = StreamWriter(run_id=run.pk, epoch=run.epoch, snapshot=self._snapshot)
        self.pump = Pump(job, self.message, self.answer, self.tracker, self._writer)

    def open(self) -> None:
        """Tell the readers that somebody works on it."""
        self.tell("run.started", {"run": run_data(self.run)})
        self.tell("message.started", {"message": self._messages[-1]})

    def tell(self, name: str, data: dict[str, Any]) -> None:
        worker.worker_loop().call_soon_threadsafe(self._writer.put, name, data)

    def know(self, found: Readiness) -> None:
        """Tell the readers how far the documents have been read that the answer rests on."""
        self._messages[-1] = {**self._messages[-1], "knowledge": self.run.knowledge}
        if found.pending:
            self.tell(*awaiting.pending_event(self.run, found))

    def close(self) -> None:
        """Have the readers get what was published; never fails, since the run has ended whatever they get."""
        release_connection()
        try:
            worker.submit(self._writer.close()).result(CLOSE_SECONDS)
        except Exception as error:
            logger.warning("run_stream_not_closed run=%s error=%r", self.run.public_id, error)

    def wait_for(self, future: "Future[Reply]") -> Reply:
        """Wait for the loop's half, with the books brought up to date every second."""
        while True:
            release_connection()
            try:
                return future.result(max(0.01, min(TICK_SECONDS, self.deadline - time.monotonic())))
            except TimeoutError:
                if time.monotonic() >= self.deadline:
                    self.job.stop("timed_out")
                    return future.result(10)
                self._tick()

    def pause(self, seconds: float) -> None:
        """Wait that long.

        :raises Stopped: the run was interrupted meanwhile.
        """
        until = time.monotonic() + seconds
        release_connection()
        while not self.job.stopped.wait(max(0.0, min(TICK_SECONDS, until - time.monotonic()))):
            if time.monotonic() >= until:
                return
            self._tick()
            release_connection()
        raise Stopped

    def check(self) -> None:
        """Go on only if there is time, and nobody wants otherwise.

        :raises Stopped: the run was interrupted.
        """
        if time.monotonic() >= self.deadline:
            self.job.stop("timed_out")
        if self.job.stop_reason is not None:
            raise Stopped

    def unstored(self) -> dict[str, Any] | None:
        """The answer, if it changed since it was last asked for."""
        changes = self.answer.changes
        if changes == self._stored:
            return None
        self._stored = changes
        return {"parts": self.answer.parts(), "citations": self.answer.citations()}

    def _tick(self) -> None:
        """Renew the lease, store the text so far, hear a cancel that was missed."""
        answer = self.unstored()
        due = time.monotonic() - self._renewed > settings.RUN_LEASE_SECONDS / 4
        if answer is None and not due:
            return
        try:
            cancelled = retry_on_disconnect(lambda: lease.checkpoint(self.run, answer), seconds=0)
        except LeaseLost:
            self.job.stop("lease_lost")
        except Exception as error:  # PostgreSQL is away: the next tick tries again, the text is in the stream.
            logger.warning("checkpoint_failed run=%s error=%s", self.run.public_id, str(error).strip())
            self._stored = -1
        else:
            self._renewed = time.monotonic()
            if cancelled:
                self.job.stop("cancelled")

    def _snapshot(self) -> dict[str, Any]:
        """Both messages as they are now; called in the loop, so it may not ask the database."""
        question, answer = self._messages
        now = {"parts": self.answer.parts(), "citations": self.answer.citations()}
        return {"messages": [question, {**answer, **now}]}
