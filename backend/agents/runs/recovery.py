"""The sweep: recovers runs whose lease expired, that are overdue in the queue, or whose notification was lost.

A run whose worker died is queued again and continued from its transcript where nothing was in flight (``_may_continue``
decides), else it ends with what is known of it. Each run is recovered in a transaction of its own. One that cannot be
recovered is logged and set aside for a while that grows with every failure, so that it delays no other run, in this
sweep or the next.
"""

import logging
from collections.abc import Callable, Iterable
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone

from backend.agents.answers.answer import Answer, replay
from backend.agents.models import Conversation, Run, Step
from backend.agents.models.runs import RunQuerySet
from backend.agents.runs import awaiting, metering, settlement, sql
from backend.agents.runs.endings import Ending
from backend.agents.runs.lease import RunLost, queued_again
from backend.agents.runs.settlement import Ended
from backend.agents.stream.publish import publish, recorded
from backend.billing.errors import ModelUnpriced
from backend.llm.chat import Usage, count_tokens
from backend.llm.errors import UnknownModel

logger = logging.getLogger(__name__)

BATCH = 200
MAX_ATTEMPTS = 3  # The first worker's, and two that continue.
MAX_FULL_RECOVERIES = 3  # After so many failed recoveries a run ends without the usage of its unfinished step.
MIN_DELAY, MAX_DELAY = timedelta(seconds=30), timedelta(hours=1)  # Until the next recovery of a run that failed.


def sweep() -> list[UUID]:
    """One sweep; returns the runs that workers are to be notified of. Two sweeps at once do no harm.

    Raises only what keeps every run from being recovered, such as a database that does not answer.
    """
    found = _each(Run.objects.expired(at=timezone.now()), _recover)
    too_old = timezone.now() - timedelta(seconds=settings.RUN_QUEUE_SECONDS)
    never_begun_or_long_ago = Q(started_at=None) | Q(started_at__lt=too_old)
    overdue = Run.objects.filter(never_begun_or_long_ago, status=Run.Status.QUEUED, created_at__lt=too_old)
    found += _each(overdue, _end_overdue)
    found += _each(_unpromoted(), _promote)
    found += _check_awaiting_knowledge()
    silent = timezone.now() - timedelta(seconds=settings.RUN_NOTIFY_SECONDS)
    unnotified = Run.objects.startable().filter(notified_at__lt=silent)
    found += unnotified.order_by("notified_at").values_list("pk", flat=True)[:BATCH]
    Run.objects.filter(pk__in=found).update(notified_at=timezone.now())
    return found


def purge_deleted() -> int:
    """Delete the rows of conversations that people deleted and that have no unfinished run; returns how many.

    One that cannot be deleted counts as deleted just now, so that it comes last in the next sweep.
    """
    unfinished = Run.objects.unfinished().filter(conversation=OuterRef("pk"))
    gone = Conversation.objects.exclude(deleted_at=None).exclude(Exists(unfinished)).order_by("deleted_at")
    purged = 0
    for conversation_id in list(gone.values_list("pk", flat=True)[:BATCH]):
        try:
            Conversation.objects.filter(pk=conversation_id).delete()
            purged += 1
        except Exception:
            logger.exception("conversation_not_purged conversation=%s", conversation_id)
            Conversation.objects.filter(pk=conversation_id).update(deleted_at=timezone.now())
    return purged


def _each(runs: RunQuerySet, work: Callable[[Run], list[UUID]]) -> list[UUID]:
    """Do the work for each of the runs by itself; a run that it fails for is logged and set aside for a while."""
    done: list[UUID] = []
    found: Iterable[Run] = runs.recoverable(at=timezone.now())[:BATCH]
    for run in list(found):
        try:
            done += work(run)
        except RunLost:
            continue  # Its worker lives after all, or another sweep was faster.
        except Exception:
            logger.exception("run_not_recovered run=%s failures=%s", run.public_id, run.recovery_failures + 1)
            _set_aside(run)
    return done


def _set_aside(run: Run) -> None:
    delay = min(MIN_DELAY * 2 ** min(run.recovery_failures, 10), MAX_DELAY)
    Run.objects.filter(pk=run.pk).update(
        recovery_failures=F("recovery_failures") + 1, recovery_after=timezone.now() + delay
    )


def _recover(lost: Run) -> list[UUID]:
    """End the attempt of a worker that is gone.

    1. Fence the worker off, in case that it was only slow.
    2. Queue the run again if another worker may continue it.
    3. Else end it: with the text that people have seen, charged for what its unfinished step is estimated to have used.

    :raises RunLost: its lease was renewed, or it has ended.
    """
    streamed = replay(recorded(lost.pk)) if lost.recovery_failures < MAX_FULL_RECOVERIES else None
    with transaction.atomic():
        run = _take_over(lost.pk, lost.epoch)
        steps = sql.steps(run)
        if _may_continue(run, steps):
            _queue_again(run)
            return [run.pk]
        ending, answer = _ending(run, steps), None
        if run.recovery_failures < MAX_FULL_RECOVERIES:
            answer = _best_known(run, streamed)
            _charge_unfinished(run, steps, answer)
        ended = _end(run, ending, answer)
    return announce(ended)


def _may_continue(run: Run, steps: list[Step]) -> bool:
    """Whether another worker continues from the transcript: nothing was in flight, or only what may be repeated.

    A model step that has no end may have been sent to the provider, and the row does not show whether it was. To send
    it again could charge twice, and could contradict the text that readers have received. A tool step without an end
    is run again, if that changes nothing outside.
    """
    if run.cancel_requested_at is not None or run.attempt >= MAX_ATTEMPTS:
        return False
    if any(step.finished_at is not None and step.messages is None for step in steps):
        return False  # They were stored before transcripts were.
    unfinished = [step for step in steps if step.finished_at is None]
    return all(step.kind == Step.Kind.TOOL and not step.side_effects for step in unfinished)


def _end_overdue(overdue: Run) -> list[UUID]:
    """End a run that no worker took for too long.

    :raises RunLost: it was claimed or has ended.
    """
    return announce(_end(overdue, Ending.failed("timed_out", "No worker was free to answer in time."), None))


def _check_awaiting_knowledge() -> list[UUID]:
    """Check runs that wait for documents, first those that were checked longest ago; returns those that may start."""
    waiting = Run.objects.awaiting_knowledge().order_by("notified_at").values_list("pk", flat=True)[:BATCH]
    ids = list(waiting)
    found = _each(Run.objects.filter(pk__in=ids).select_related("agent_version", "output_message"), _end_wait)
    Run.objects.awaiting_knowledge().filter(pk__in=ids).update(notified_at=timezone.now())
    return found


def _end_wait(waiting: Run) -> list[UUID]:
    """Let a run that waits for documents start if they are read; end it once it has waited for its agent's time limit.

    :raises RunLost: it has started or ended.
    """
    found = awaiting.look(waiting)
    if found or not awaiting.overdue(waiting, at=timezone.now()):
        return found
    detail = "The documents were still being read when the time that this agent may take was over."
    return announce(_end(waiting, Ending.failed("timed_out", detail), None))


def _end(run: Run, ending: Ending, answer: Answer | None) -> Ended:
    """As ``settlement.finish``. A run for which this failed repeatedly ends uncharged, and its hold expires: we bear
    what it used, but its conversation is free again.

    Recovery gives up in two stages. After ``MAX_FULL_RECOVERIES`` failures the next recovery leaves out the usage of
    the unfinished step, and still charges what is recorded. Only if that fails too, the one after it does not charge.
    """
    return settlement.finish(
        run_id=run.pk,
        conversation_id=run.conversation_id,
        epoch=run.epoch,
        ending=ending,
        answer=answer,
        charges=run.recovery_failures < MAX_FULL_RECOVERIES + 1,
    )


def announce(ended: Ended) -> list[UUID]:
    """Publish the end of a run that no worker carries; returns the run that may start now, if there is one."""
    publish(run_id=ended.run.pk, epoch=ended.run.epoch + 1, events=ended.events, ended=True)
    waiting = ended.promoted or sql.next_queued(ended.run.workspace_id)
    return [waiting] if waiting else []


def _take_over(run_id: UUID, epoch: int) -> Run:
    """Lock the run and fence its worker off.

    :raises RunLost: the lease was renewed, or the run has ended.
    """
    Conversation.objects.select_for_update(no_key=True).filter(runs=run_id).first()
    rows = Run.objects.select_for_update(of=("self",)).select_related("agent_version__agent", "output_message")
    run = rows.expired(at=timezone.now()).filter(pk=run_id, epoch=epoch).first()
    if run is None:
        raise RunLost
    Run.objects.filter(pk=run_id).update(epoch=F("epoch") + 1)
    run.epoch += 1
    return run


def _queue_again(run: Run) -> None:
    logger.warning("run_queued_again run=%s attempt=%s", run.public_id, run.attempt + 1)
    Run.objects.filter(pk=run.pk).update(
        attempt=F("attempt") + 1, recovery_failures=0, recovery_after=None, **queued_again()
    )


def _ending(run: Run, steps: list[Step]) -> Ending:
    if run.cancel_requested_at is not None:
        return Ending.cancelled()
    logger.warning("run_worker_lost run=%s owner=%s", run.public_id, run.lease_owner)
    if any(step.finished_at is None and step.side_effects for step in steps):
        detail = "A tool was at work when the worker died: whether it did what it was to do is not known."
        return Ending.failed("tool_outcome_unknown", detail, retryable=False)
    return Ending.failed("worker_lost", "The worker that was answering died. What it had answered is kept.")


def _best_known(run: Run, streamed: Answer | None) -> Answer:
    """The answer of the row or that of the stream, whichever has more text: the row is up to a second older."""
    stored = Answer()
    stored.replace(parts=run.output_message.parts, citations=run.output_message.citations)
    if streamed is not None and _length(streamed) > _length(stored):
        return streamed
    return stored


def _length(answer: Answer) -> int:
    return sum(len(part.get("text", "")) for part in answer.parts())


def _charge_unfinished(run: Run, steps: list[Step], answer: Answer) -> None:
    """Record what the request that the worker had begun used; ``settlement.finish`` ends the step. The provider will
    charge for the part of the answer that it sent, so the workspace pays for the part that readers received, as we
    estimate it.

    A run without an offer whose model has no price any more pays only what was recorded before.
    """
    for step in steps:
        if step.finished_at is None and step.kind == Step.Kind.MODEL and (text := _text_of_last_part(answer)):
            try:
                metering.record(step, _estimate(step, text))
            except (UnknownModel, ModelUnpriced) as error:
                logger.warning("run_not_charged run=%s step=%s error=%s", run.public_id, step.index, error)
                step.usage = {}
            step.save(update_fields=["usage", "cost"])


def _text_of_last_part(answer: Answer) -> str:
    parts = answer.parts()
    return str(parts[-1].get("text", "")) if parts else ""


def _estimate(step: Step, text: str) -> Usage:
    return Usage(
        input_tokens=step.request["estimated_input_tokens"],
        cached_input_tokens=0,
        output_tokens=count_tokens(text),
        estimated=True,
    )


def _unpromoted() -> RunQuerySet:
    """Runs that still wait for another run of their conversation, although none of them is active any more."""
    active = Run.objects.active().filter(conversation=OuterRef("conversation"))
    return Run.objects.filter(status=Run.Status.QUEUED, waits=True).exclude(Exists(active))


def _promote(waiting: Run) -> list[UUID]:
    with transaction.atomic():
        Conversation.objects.select_for_update(no_key=True).get(pk=waiting.conversation_id)
        promoted = settlement.promote(waiting.conversation_id)
    return [promoted] if promoted else []
