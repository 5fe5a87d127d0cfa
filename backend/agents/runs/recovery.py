"""Recovers runs: expired leases, overdue queues, runs that wait for what has come or gone, lost notifications.

Each run is recovered in a transaction of its own. One that cannot be recovered is logged and set aside for a while that
grows with every failure, so that it holds up no other run, in this sweep or the next.
"""

import logging
from collections.abc import Callable, Iterable
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef
from django.utils import timezone

from backend.agents.answers.answer import Answer, replay
from backend.agents.models import Conversation, Run, Step
from backend.agents.models.runs import RunQuerySet
from backend.agents.runs import awaiting, settlement, sql, steps
from backend.agents.runs.lease import LeaseLost
from backend.agents.runs.settlement import Ended, Ending
from backend.agents.stream.publish import publish, recorded
from backend.billing.errors import ModelUnpriced
from backend.llm.chat import Usage, count_tokens
from backend.llm.errors import UnknownModel

logger = logging.getLogger(__name__)

BATCH = 200
MOST_ATTEMPTS = 3  # The first, and twice again where nothing had been sent.
FULL_TRIES = 3  # Failed recoveries after which a run is ended without what its unfinished step and its wallet say.
FIRST_DELAY, LONGEST_DELAY = timedelta(seconds=30), timedelta(hours=1)  # Until a run is tried again.


def reap() -> list[UUID]:
    """One sweep; returns the runs that workers are to be notified of. Two sweeps at once do no harm.

    Raises only what keeps every run from being recovered, such as a database that is away.
    """
    ring = _each(Run.objects.expired(at=timezone.now()), _recover)
    too_old = timezone.now() - timedelta(seconds=settings.RUN_QUEUE_SECONDS)
    ring += _each(Run.objects.filter(status=Run.Status.QUEUED, created_at__lt=too_old), _give_up)
    ring += _each(_forgotten(), _promote)
    ring += _look_at_waiting()
    silent = timezone.now() - timedelta(seconds=settings.RUN_DOORBELL_SECONDS)
    unheard = Run.objects.startable().filter(rung_at__lt=silent)
    ring += unheard.order_by("rung_at").values_list("pk", flat=True)[:BATCH]
    Run.objects.filter(pk__in=ring).update(rung_at=timezone.now())
    return ring


def purge_deleted() -> int:
    """Delete for good the conversations that people deleted and that no run works on any more; returns how many.

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
        except LeaseLost:
            continue  # Its worker lives after all, or another sweep was faster.
        except Exception:
            logger.exception("run_not_recovered run=%s failures=%s", run.public_id, run.recovery_failures + 1)
            _set_aside(run)
    return done


def _set_aside(run: Run) -> None:
    delay = min(FIRST_DELAY * 2 ** min(run.recovery_failures, 10), LONGEST_DELAY)
    Run.objects.filter(pk=run.pk).update(
        recovery_failures=F("recovery_failures") + 1, recovery_after=timezone.now() + delay
    )


def _recover(lost: Run) -> list[UUID]:
    """A run whose worker is gone: queued again if nothing was sent, else ended with what is known of it.

    :raises LeaseLost: its lease was renewed, or it has ended.
    """
    streamed = replay(recorded(lost.pk)) if lost.recovery_failures < FULL_TRIES else None
    with transaction.atomic():
        run = _take_over(lost.pk, lost.epoch)
        sent = Step.objects.filter(run=run, attempt=run.attempt, kind=Step.Kind.MODEL)
        if run.cancel_requested_at is None and run.attempt < MOST_ATTEMPTS and not sent.exists():
            _queue_again(run)
            return [run.pk]
        answer = None
        if run.recovery_failures < FULL_TRIES:
            answer = _best_known(run, streamed)
            _charge_unfinished(run, answer)
        ended = _end(run, _ending(run), answer)
    return announce(ended)


def _give_up(overdue: Run) -> list[UUID]:
    """End a run that no worker took for too long.

    :raises LeaseLost: it was claimed or has ended.
    """
    return announce(_end(overdue, Ending.failed("timed_out", "No worker was free to answer in time."), None))


def _look_at_waiting() -> list[UUID]:
    """Runs that wait for documents to be read: those that were not looked at for longest come first."""
    waiting = Run.objects.awaiting_knowledge().order_by("rung_at").values_list("pk", flat=True)[:BATCH]
    ids = list(waiting)
    ring = _each(Run.objects.filter(pk__in=ids).select_related("agent_version", "output_message"), _end_wait)
    Run.objects.awaiting_knowledge().filter(pk__in=ids).update(rung_at=timezone.now())
    return ring


def _end_wait(waiting: Run) -> list[UUID]:
    """Let it start if it may, or end it when it has waited for as long as its agent may take.

    :raises LeaseLost: it has started or ended.
    """
    ring = awaiting.look(waiting)
    if ring or not awaiting.overdue(waiting, at=timezone.now()):
        return ring
    detail = "The documents were still being read when the time that this agent may take was over."
    return announce(_end(waiting, Ending.failed("timed_out", detail), None))


def _end(run: Run, ending: Ending, answer: Answer | None) -> Ended:
    """As ``settlement.finish``. A run on which that failed again and again ends unsettled, and its hold expires: the
    house bears what it used, but its conversation is free again.
    """
    return settlement.finish(
        run_id=run.pk,
        conversation_id=run.conversation_id,
        epoch=run.epoch,
        ending=ending,
        answer=answer,
        settles=run.recovery_failures < FULL_TRIES + 1,
    )


def announce(ended: Ended) -> list[UUID]:
    """Publish the end of a run that no worker carries; returns the run that may start now, if there is one."""
    publish(run_id=ended.run.pk, epoch=ended.run.epoch + 1, events=ended.events, ended=True)
    waiting = ended.promoted or sql.next_queued(ended.run.workspace_id)
    return [waiting] if waiting else []


def _take_over(run_id: UUID, epoch: int) -> Run:
    """Lock the run and fence its worker off.

    :raises LeaseLost: the lease was renewed, or the run has ended.
    """
    Conversation.objects.select_for_update(no_key=True).filter(runs=run_id).first()
    rows = Run.objects.select_for_update(of=("self",)).select_related("agent_version__agent", "output_message")
    run = rows.expired(at=timezone.now()).filter(pk=run_id, epoch=epoch).first()
    if run is None:
        raise LeaseLost
    Run.objects.filter(pk=run_id).update(epoch=F("epoch") + 1)
    run.epoch += 1
    return run


def _queue_again(run: Run) -> None:
    logger.warning("run_queued_again run=%s attempt=%s", run.public_id, run.attempt + 1)
    Run.objects.filter(pk=run.pk).update(
        status=Run.Status.QUEUED,
        attempt=F("attempt") + 1,
        lease_owner="",
        lease_until=None,
        started_at=None,
        recovery_failures=0,
        recovery_after=None,
    )


def _ending(run: Run) -> Ending:
    if run.cancel_requested_at is not None:
        return Ending.cancelled()
    logger.warning("run_worker_lost run=%s owner=%s", run.public_id, run.lease_owner)
    return Ending.failed("worker_lost", "The worker that was answering died. What it had answered is kept.")


def _best_known(run: Run, streamed: Answer | None) -> Answer:
    """The row lags up to a second behind the stream; take whichever says more."""
    stored = Answer()
    stored.replace(parts=run.output_message.parts, citations=run.output_message.citations)
    if streamed is not None and _length(streamed) > _length(stored):
        return streamed
    return stored


def _length(answer: Answer) -> int:
    return sum(len(part.get("text", "")) for part in answer.parts())


def _charge_unfinished(run: Run, answer: Answer) -> None:
    """The provider answered this step in part and will charge for it; what people read of it they pay, as estimated.

    A run without an offer whose model has no price any more pays only what was recorded before.
    """
    step = Step.objects.filter(run=run, attempt=run.attempt, kind=Step.Kind.MODEL).order_by("-index").first()
    if step is None or step.finished_at is not None:
        return
    step.finished_at = timezone.now()
    step.error = {"code": "worker_lost", "detail": "", "provider": step.provider, "retryable": True}
    parts = answer.parts()
    last = parts[-1] if parts else {}
    if text := last.get("text"):
        usage = Usage(
            input_tokens=step.request["estimated_input_tokens"],
            cached_input_tokens=0,
            output_tokens=count_tokens(text),
            estimated=True,
        )
        try:
            steps.charge(run, step, usage)
        except (UnknownModel, ModelUnpriced) as error:
            logger.warning("run_not_charged run=%s step=%s error=%s", run.public_id, step.index, error)
            step.usage = {}
    step.save()


def _forgotten() -> RunQuerySet:
    """Runs that wait for a run of their conversation which is not there any more."""
    active = Run.objects.active().filter(conversation=OuterRef("conversation"))
    return Run.objects.filter(status=Run.Status.QUEUED, waits=True).exclude(Exists(active))


def _promote(waiting: Run) -> list[UUID]:
    with transaction.atomic():
        Conversation.objects.select_for_update(no_key=True).get(pk=waiting.conversation_id)
        promoted = settlement.promote(waiting.conversation_id)
    return [promoted] if promoted else []
