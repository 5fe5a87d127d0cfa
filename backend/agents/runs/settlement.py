"""The one way a run ends, whoever ends it: row, message and money in a single transaction, the next run let through."""

import logging
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from backend.agents.answers.answer import Answer
from backend.agents.models import Conversation, Message, Run, Step
from backend.agents.models.runs import LEASED
from backend.agents.representations import message_data, run_data
from backend.agents.runs import cost
from backend.agents.runs.lease import LeaseLost
from backend.billing import operations as billing
from backend.http.money import MICRO, format_money

logger = logging.getLogger(__name__)

Failure = dict[str, Any]  # code, detail, provider, retryable


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ends. ``error`` is given exactly when it failed, ``finish_reason`` only when it completed."""

    status: str
    message_status: str
    error: Failure | None = None
    finish_reason: str = ""

    @classmethod
    def completed(cls, finish_reason: str) -> "Ending":
        return cls(Run.Status.COMPLETED, Message.Status.COMPLETE, finish_reason=finish_reason)

    @classmethod
    def cancelled(cls) -> "Ending":
        return cls(Run.Status.CANCELLED, Message.Status.INTERRUPTED)

    @classmethod
    def failed(cls, code: str, detail: str, *, provider: str | None = None, retryable: bool = True) -> "Ending":
        error = {"code": code, "detail": detail, "provider": provider, "retryable": retryable}
        return cls(Run.Status.FAILED, Message.Status.FAILED, error)


class Failed(Exception):
    """The run cannot go on."""

    def __init__(self, code: str, detail: str, *, provider: str | None = None, retryable: bool = True) -> None:
        super().__init__(detail)
        self.ending = Ending.failed(code, detail, provider=provider, retryable=retryable)


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that has ended, and the run of its conversation that may start now, if one waited."""

    run: Run
    promoted: UUID | None

    @property
    def events(self) -> list[tuple[str, dict[str, Any]]]:
        """What readers are told once this is committed."""
        self.run.output_message.run = self.run
        return [
            ("message.completed", {"message": message_data(self.run.output_message)}),
            (f"run.{self.run.status}", {"run": run_data(self.run)}),
        ]


@transaction.atomic
def finish(
    *, run_id: UUID, conversation_id: UUID, epoch: int, ending: Ending, answer: Answer | None, settles: bool = True
) -> Ended:
    """End a run that the caller holds under ``epoch``, or that is queued at ``epoch``.

    Repeating it after a lost connection finds the same end. Locks: conversation, run, then billing's own.

    :param answer: what the message will say; none keeps what is stored.
    :param settles: charge what the run used; without it the hold stays until it expires.
    :raises LeaseLost: the run is not the caller's any more.
    """
    Conversation.objects.select_for_update(no_key=True).get(pk=conversation_id)
    rows = Run.objects.select_for_update(of=("self",)).select_related("agent_version__agent", "output_message")
    run = rows.filter(pk=run_id, epoch=epoch).first()
    if run is None:
        raise LeaseLost
    if run.is_terminal:
        return Ended(run, None)
    if run.status not in (*LEASED, Run.Status.QUEUED):
        raise LeaseLost
    run.status, run.error, run.finished_at = ending.status, ending.error, timezone.now()
    run.waits, run.awaits_knowledge, run.lease_owner, run.lease_until = False, False, "", None
    run.usage, used = _usage(run)
    version = run.agent_version
    most = cost.limit_on_cost(version, run.max_cost)  # Whatever the provider says that it used.
    if settles:
        run.cost = billing.capture(reference=run.public_id, description=version.agent.name, max_charge=most)
    else:
        logger.error("run_ended_unsettled run=%s", run.public_id)
    if used * MICRO > run.cost:  # Billing keeps the difference as the hold's shortfall.
        logger.warning("run_shortfall run=%s used=%s charged=%s", run.public_id, used, format_money(run.cost))
    run.save()
    message = run.output_message
    message.status, message.usage, message.cost = ending.message_status, run.usage, run.cost
    message.finish_reason = ending.finish_reason
    if answer is not None:
        message.parts, message.citations = answer.parts(), answer.citations()
    message.save()
    return Ended(run, promote(conversation_id))


def promote(conversation_id: UUID) -> UUID | None:
    """Let the oldest waiting run of the conversation through, if none is active; its lock must be held."""
    mine = Run.objects.filter(conversation_id=conversation_id)
    waiting = mine.filter(status=Run.Status.QUEUED, waits=True).order_by("id").values_list("pk", flat=True).first()
    if waiting is None or mine.active().exists():
        return None
    Run.objects.filter(pk=waiting).update(waits=False, rung_at=timezone.now())
    return waiting


def _usage(run: Run) -> tuple[dict[str, int], Decimal]:
    """The tokens that its steps used, and their exact cost in units of the currency."""
    total, cost = {"input_tokens": 0, "cached_input_tokens": 0, "output_tokens": 0}, Decimal(0)
    for usage, step_cost in Step.objects.filter(run=run).values_list("usage", "cost"):
        cost += step_cost
        for name in total:
            total[name] += usage.get(name, 0)
    return total, cost
