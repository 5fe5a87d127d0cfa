"""Finds what fell between: runs whose worker died, whose doorbell was lost, that wait for nobody, that are too old."""

import logging
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef
from django.utils import timezone

from backend.agents import finishing, steps
from backend.agents.answer import Answer, replay
from backend.agents.finishing import Ended, Ending
from backend.agents.lease import LeaseLost
from backend.agents.models import Conversation, Run, Step
from backend.agents.models.runs import RunQuerySet
from backend.agents.stream.publish import publish, recorded
from backend.llm.chat import Usage, count_tokens

logger = logging.getLogger(__name__)

BATCH = 200
MOST_ATTEMPTS = 3  # The first, and twice again where nothing had been sent.


def reap() -> list[UUID]:
    """One sweep; returns the runs whose doorbell is to be rung. Two sweeps at once do no harm."""
    ring: list[UUID] = []
    for run_id, epoch in _ids(Run.objects.expired(at=timezone.now())):
        ring += _recover(run_id, epoch)
    too_old = timezone.now() - timedelta(seconds=settings.RUN_QUEUE_SECONDS)
    for run_id, epoch in _ids(Run.objects.filter(status=Run.Status.QUEUED, created_at__lt=too_old)):
        ring += _give_up(run_id, epoch)
    ring += _promote_forgotten()
    silent = timezone.now() - timedelta(seconds=settings.RUN_DOORBELL_SECONDS)
    unheard = Run.objects.filter(status=Run.Status.QUEUED, waits=False, rung_at__lt=silent)
    ring += [run_id for run_id, _ in _ids(unheard)]
    Run.objects.filter(pk__in=ring).update(rung_at=timezone.now())
    return ring


def purge_deleted() -> int:
    """Delete for good the conversations that people deleted and that no run works on any more."""
    unfinished = Run.objects.unfinished().filter(conversation=OuterRef("pk"))
    gone = Conversation.objects.exclude(deleted_at=None).exclude(Exists(unfinished))[:BATCH]
    return sum(1 for conversation in gone if conversation.delete())


def _ids(runs: RunQuerySet) -> list[tuple[UUID, int]]:
    return list(runs.order_by("pk").values_list("pk", "epoch")[:BATCH])


def _recover(run_id: UUID, epoch: int) -> list[UUID]:
    """A run whose worker is gone: queued again if nothing was sent, else ended with what is known of it."""
    try:
        with transaction.atomic():
            run = _take_over(run_id, epoch)
            sent = Step.objects.filter(run=run, attempt=run.attempt, kind=Step.Kind.MODEL)
            if run.cancel_requested_at is None and run.attempt < MOST_ATTEMPTS and not sent.exists():
                _queue_again(run)
                return [run.pk]
            answer = _best_known(run)
            _charge_unfinished(run, answer)
            ended = finishing.finish(
                run_id=run.pk,
                conversation_id=run.conversation_id,
                epoch=run.epoch,
                ending=_ending(run),
                answer=answer,
            )
    except LeaseLost:
        return []  # Its worker lives after all, or another sweep was faster.
    return announce(ended)


def _give_up(run_id: UUID, epoch: int) -> list[UUID]:
    conversation_id = Run.objects.filter(pk=run_id).values_list("conversation_id", flat=True).first()
    if conversation_id is None:
        return []
    ending = Ending.failed("timed_out", "No worker was free to answer in time.")
    try:
        ended = finishing.finish(
            run_id=run_id, conversation_id=conversation_id, epoch=epoch, ending=ending, answer=None
        )
    except LeaseLost:
        return []
    return announce(ended)


def announce(ended: Ended) -> list[UUID]:
    """Tell the readers of a run that nobody carries; returns the run that may start now, if there is one."""
    publish(run_id=ended.run.pk, epoch=ended.run.epoch + 1, events=ended.events, ended=True)
    return [ended.promoted] if ended.promoted else []


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
        status=Run.Status.QUEUED, attempt=F("attempt") + 1, lease_owner="", lease_until=None, started_at=None
    )


def _ending(run: Run) -> Ending:
    if run.cancel_requested_at is not None:
        return Ending.cancelled()
    logger.warning("run_worker_lost run=%s owner=%s", run.public_id, run.lease_owner)
    return Ending.failed("worker_lost", "The worker that was answering died. What it had answered is kept.")


def _best_known(run: Run) -> Answer:
    """The row lags up to a second behind the stream; take whichever says more."""
    stored = Answer()
    stored.replace(parts=run.output_message.parts, citations=run.output_message.citations)
    streamed = replay(recorded(run.pk))
    if streamed is not None and _length(streamed) > _length(stored):
        return streamed
    return stored


def _length(answer: Answer) -> int:
    return sum(len(part.get("text", "")) for part in answer.parts())


def _charge_unfinished(run: Run, answer: Answer) -> None:
    """The provider answered this step in part and will charge for it; what people read of it they pay, as estimated."""
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
        steps.charge(run, step, usage)
    step.save()


def _promote_forgotten() -> list[UUID]:
    """Runs that wait behind a run which is not there any more."""
    active = Run.objects.active().filter(conversation=OuterRef("conversation"))
    forgotten = Run.objects.filter(status=Run.Status.QUEUED, waits=True).exclude(Exists(active))
    found: list[UUID] = []
    for conversation_id in set(forgotten.values_list("conversation_id", flat=True)[:BATCH]):
        with transaction.atomic():
            Conversation.objects.select_for_update(no_key=True).get(pk=conversation_id)
            if promoted := finishing.promote(conversation_id):
                found.append(promoted)
    return found
