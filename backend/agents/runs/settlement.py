"""The one way a run ends, be it by a worker, a cancel or the sweep: row, message and money in one transaction."""

import logging
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from backend.agents.answers.answer import Answer
from backend.agents.models import Run, Step
from backend.agents.models.runs import LEASED
from backend.agents.representations import message_data, run_data, step_data
from backend.agents.runs import cost, metering, sql
from backend.agents.runs.endings import Ending
from backend.agents.runs.lease import RunLost
from backend.billing import operations as billing
from backend.http.money import MICRO, format_money
from backend.llm.chat import Usage

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that has ended, and the run of its conversation that may start now, if one waited."""

    run: Run
    promoted: UUID | None
    steps: tuple[Step, ...] = ()  # That had begun, and ended with the run.

    @property
    def events(self) -> list[tuple[str, dict[str, Any]]]:
        """What is published once this is committed."""
        self.run.output_message.run = self.run
        requests = [step for step in self.steps if step.kind == Step.Kind.MODEL]  # Tools have events of their own.
        return [
            *[("step.finished", step_data(step)) for step in requests],
            ("message.completed", {"message": message_data(self.run.output_message)}),
            (f"run.{self.run.status}", {"run": run_data(self.run)}),
        ]


@dataclass(frozen=True, slots=True)
class LastStep:
    """The model step that ends the run, which has ended but is not stored yet, and what it used."""

    step: Step
    usage: Usage | None


@transaction.atomic
def finish(
    *,
    run_id: UUID,
    conversation_id: UUID,
    epoch: int,
    ending: Ending,
    answer: Answer | None,
    last: LastStep | None = None,
    charges: bool = True,
) -> Ended:
    """End a run that the caller holds under ``epoch``, or that is queued at ``epoch``. All in one transaction:

    1. Lock the conversation, then the run; billing takes the locks of its own after them.
    2. Record what the last step used.
    3. Charge the run for all that its steps used, and release the rest of its hold.
    4. End the steps that had begun and have no end, such as a tool that no worker ran again, with the run's error.
    5. Store the run, its answer and the last step.
    6. Let the next run of the conversation start, if one waits.

    The last step is stored in the same transaction. Case: it is stored in one before, and the worker dies in between.
    Then the run has no unfinished step, so the sweep lets another worker continue it, although its answer is complete,
    or failed after readers had received a part of it. Repeating the call after a lost connection finds the
    run ended, and returns the same end.

    :param answer: the parts and citations of the message; None leaves those that are stored.
    :param charges: without it the run costs nothing, and its hold stays until it expires.
    :raises RunLost: the run is not the caller's any more.
    """
    run = sql.lock_run(run_id=run_id, conversation_id=conversation_id, epoch=epoch)
    if run is None:
        raise RunLost
    if run.is_terminal:
        return Ended(run, None)
    if run.status not in (*LEASED, Run.Status.QUEUED):
        raise RunLost
    step = None if last is None else last.step
    if last is not None:
        metering.record(last.step, last.usage)
    run.status, run.error, run.finished_at = ending.status, ending.error, timezone.now()
    run.waits, run.awaits_knowledge, run.lease_owner, run.lease_until = False, False, "", None
    run.usage, used, unfinished = _usage(run, step)
    version = run.agent_version
    if charges:  # The charge of the run: once, and never above the limit, whatever the provider measured.
        limit = cost.limit_on_cost(version, run.max_cost)
        run.cost = billing.capture(reference=run.public_id, description=version.agent.name, max_charge=limit)
    else:
        logger.error("run_ended_uncharged run=%s", run.public_id)
    if used * MICRO > run.cost:  # Billing keeps the difference as the hold's shortfall.
        logger.warning("run_shortfall run=%s used=%s charged=%s", run.public_id, used, format_money(run.cost))
    message = run.output_message
    message.status, message.usage, message.cost = ending.message_status, run.usage, run.cost
    message.finish_reason = ending.finish_reason
    stored = None if answer is None else (answer.parts(), answer.citations())
    for begun in unfinished:
        _end_with_run(begun, run)
    another_waits = sql.end_run(run, step=step, answer=stored)
    return Ended(run, promote(conversation_id) if another_waits else None, tuple(unfinished))


def promote(conversation_id: UUID) -> UUID | None:
    """Let the oldest waiting run of the conversation start, if none is active; the conversation must be locked."""
    mine = Run.objects.filter(conversation_id=conversation_id)
    waiting = mine.filter(status=Run.Status.QUEUED, waits=True).order_by("id").values_list("pk", flat=True).first()
    if waiting is None or mine.active().exists():
        return None
    Run.objects.filter(pk=waiting).update(waits=False, notified_at=timezone.now())
    return waiting


def _usage(run: Run, last: Step | None) -> tuple[dict[str, int], Decimal, list[Step]]:
    """The tokens that its steps used, their exact cost in units of the currency, and the steps that have no end."""
    total, used = {"input_tokens": 0, "cached_input_tokens": 0, "output_tokens": 0}, Decimal(0)
    # If the last step is the first one, no other step is stored: a plain answer saves the statement.
    only_step = last is not None and last.index == 1
    stored = [] if only_step else list(Step.objects.filter(run=run).defer("messages", "sources"))
    for step in [*stored, *([] if last is None else [last])]:
        used += step.cost
        for name in total:
            total[name] += step.usage.get(name, 0)
    return total, used, [step for step in stored if step.finished_at is None and step != last]


def _end_with_run(step: Step, run: Run) -> None:
    code = run.error["code"] if run.error else "worker_lost"
    step.run, step.finished_at, step.messages = run, run.finished_at, []
    step.error = {"code": code, "detail": "", "provider": step.provider or None, "retryable": code == "worker_lost"}
    step.save(update_fields=["finished_at", "messages", "error"])
