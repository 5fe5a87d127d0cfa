"""Starting, cancelling and retrying runs."""

from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from backend.accounts.actors import Actor
from backend.agents import tasks
from backend.agents.errors import AgentDeleted, ContextTooLong, ConversationBusy, RunEnded, RunNotRetryable
from backend.agents.models import Agent, Conversation, Message, Run
from backend.agents.readiness import kept
from backend.agents.representations import run_data
from backend.agents.runs import awaiting, cost, offer, prompt, recovery, settlement, sql, toolbox
from backend.agents.runs.endings import Ending
from backend.agents.stream.publish import publish, publish_cancel
from backend.billing import operations as billing
from backend.billing import queries as wallets
from backend.errors import FieldError, NotFound
from backend.http.ids import new_id
from backend.http.limits import RateLimited
from backend.llm import chat
from backend.llm.catalog import catalog

HOLD_MARGIN = timedelta(hours=6)  # Beyond the longest life of a run; the sweepers are long done by then.
TITLE_LENGTH = 80
RETRY_SECONDS = 5  # What a workspace with too many runs is asked to wait; when one will end cannot be known.


@dataclass(frozen=True, slots=True)
class Question:
    """New words, the same again (``regenerate_of`` an answer), or other words (``edit_of`` a question).

    :ivar version: of the agent that is meant to answer; none means whichever is current.
    """

    text: str | None = None
    regenerate_of: UUID | None = None
    edit_of: UUID | None = None
    version: UUID | None = None


@transaction.atomic
def start_run(
    *,
    actor: Actor,
    conversation_id: UUID,
    question: Question,
    max_cost: int | None = None,
    when_busy: str = "reject",
    wait_for_knowledge: bool = False,
    language: str = "",
    retry_of: Run | None = None,
) -> Run:
    """Queue a run of the conversation's agent, and set its maximum cost aside.

    :param wait_for_knowledge: start it only when no document that the agent knows is being read.
    :param language: that the client asks for, as Django names it; empty if it asks for none.
    :param when_busy: ``reject``, ``queue`` after the run that has not ended, or ``interrupt`` it.
    :raises NotFound: the conversation or the message is unknown or not the actor's.
    :raises ConversationBusy: another run of this conversation has not ended.
    :raises AgentDeleted: the conversation's agent was deleted, or the actor may no longer see it.
    :raises ContextTooLong: the question does not fit the model.
    :raises ModelUnpriced: the model has no price.
    :raises InsufficientBalance: the wallet cannot cover that cost; nothing is left behind.
    :raises RateLimited: too many runs of the workspace have not ended; nothing is left behind.
    """
    conversation = _locked(actor, conversation_id)
    actor.require("agents:run")
    if when_busy == "interrupt":
        for other in Run.objects.unfinished().filter(conversation_id=conversation_id).order_by("-waits", "pk"):
            cancel_run(actor=actor, run=other)
    situation = sql.situation(conversation)
    if situation.busy and when_busy == "reject":
        raise ConversationBusy
    run, is_new = _new_run(actor, conversation, question, situation, max_cost=max_cost, retry_of=retry_of)
    run.wait_for_knowledge, run.language = wait_for_knowledge, language
    events = _look_at_knowledge(run) if situation.knowledge else []
    if run.reserved == 0:
        sql.lock_starts(run.workspace_id)  # Else the wallet's lock, held until the commit, does the same.
    billing.reserve(
        workspace_id=conversation.workspace_id,
        amount=run.reserved,
        reference=run.public_id,
        expires_at=run.created_at + _longest_life(run) + HOLD_MARGIN,
    )
    asked = run.input_message
    title = conversation.title or _title(asked.text)
    if sql.insert_run(run, question=asked if is_new else None, title=title) >= settings.RUNS_PER_WORKSPACE:
        raise RateLimited(
            _("Too many runs of this workspace have not ended. Wait until some have."),
            headers={"Retry-After": str(RETRY_SECONDS)},
        )
    queued = [("run.queued", {"run": run_data(run)}), *events]
    transaction.on_commit(lambda: publish(run_id=run.pk, epoch=0, events=queued), robust=True)
    if run.awaits_knowledge:  # What it waits for may have ended before it could be seen to wait.
        transaction.on_commit(lambda: tasks.notify(awaiting.look(run)), robust=True)
    elif not run.waits:
        tasks.notify_on_commit(run.pk)
    return run


def _look_at_knowledge(run: Run) -> list[awaiting.Event]:
    """Store how far its documents have been read, and whether it waits for them; returns the event to publish."""
    found = awaiting.of_version(run.agent_version, run.workspace_id)
    if found is None:
        return []
    run.knowledge, run.awaits_knowledge = kept(found), run.wait_for_knowledge and found.pending > 0
    return [awaiting.pending_event(run, found)] if found.pending else []


@transaction.atomic
def cancel_run(*, actor: Actor, run: Run) -> Run:
    """Stop a run: at once if it was only queued, else as soon as its worker is notified.

    :raises RunEnded: it has completed or failed. Cancelling twice is no mistake.
    """
    actor.require("agents:run")
    return stop_run(run)


@transaction.atomic
def stop_run(run: Run) -> Run:
    """As ``cancel_run``, for operators.

    :raises RunEnded: it has completed or failed.
    """
    lock_conversation(run.conversation_id)
    run = Run.objects.select_for_update(of=("self",)).select_related("agent_version").get(pk=run.pk)
    if run.status in (Run.Status.COMPLETED, Run.Status.FAILED):
        raise RunEnded
    if run.status in (Run.Status.CANCELLED, Run.Status.CANCELLING):
        return run
    run.cancel_requested_at = timezone.now()
    if run.status == Run.Status.RUNNING:
        run.status = Run.Status.CANCELLING
        run.save(update_fields=["status", "cancel_requested_at"])
        transaction.on_commit(lambda: publish_cancel(run.pk), robust=True)
        return run
    run.save(update_fields=["cancel_requested_at"])
    ended = settlement.finish(
        run_id=run.pk,
        conversation_id=run.conversation_id,
        epoch=run.epoch,
        ending=Ending.cancelled(),
        answer=None,
    )
    transaction.on_commit(lambda: tasks.notify(recovery.announce(ended)), robust=True)
    return ended.run


def retry_run(*, actor: Actor, run: Run) -> Run:
    """Ask the same question again in a new run, beside the answer that failed or was stopped.

    :raises RunNotRetryable: it has not failed.
    """
    if run.status not in (Run.Status.FAILED, Run.Status.CANCELLED):
        raise RunNotRetryable
    return start_run(
        actor=actor,
        conversation_id=run.conversation_id,
        question=Question(regenerate_of=run.output_message_id),
        max_cost=run.max_cost,
        wait_for_knowledge=run.wait_for_knowledge,
        language=run.language,
        retry_of=run,
    )


def lock_conversation(conversation_id: UUID) -> None:
    """Everything that starts or ends a run of a conversation does so one after the other."""
    Conversation.objects.select_for_update(no_key=True).filter(pk=conversation_id).first()


def _locked(actor: Actor, conversation_id: UUID) -> Conversation:
    conversation = sql.lock_conversation(actor, conversation_id)
    if conversation is None:
        raise NotFound
    agent = conversation.agent
    shared = agent.visibility == Agent.Visibility.WORKSPACE or agent.created_by_id == actor.user_id
    if agent.deleted_at is not None or not shared:
        raise AgentDeleted
    return conversation


def _new_run(
    actor: Actor,
    conversation: Conversation,
    question: Question,
    situation: sql.Situation,
    *,
    max_cost: int | None,
    retry_of: Run | None,
) -> tuple[Run, bool]:
    """A run with its question and an empty answer, not yet stored; and whether the question is new."""
    version = conversation.agent.current
    if question.version not in (None, version.pk):
        raise FieldError("/version", _("Send the agent's current version, or leave `version` out."))
    model = catalog().get(version.model)
    asked, is_new = _question_message(conversation, question)
    history = prompt.history_of(asked)
    tools = toolbox.toolbox_of(situation.knowledge)
    request = prompt.opening(version=version, model=model, history=history, toolbox=tools)
    input_tokens = chat.count_request(request)
    room = prompt.room(model, tools)
    if input_tokens > room:
        raise ContextTooLong
    if situation.busy:  # It will read the answers that it waits for, however long they become.
        input_tokens = min(room, input_tokens + _answers_to_come(conversation))
    now = timezone.now()
    answer = Message(
        conversation=conversation, parent=asked, role=Message.Role.ASSISTANT, status=Message.Status.STREAMING
    )
    run = Run(
        workspace_id=conversation.workspace_id,
        conversation=conversation,
        created_by_id=actor.user_id,
        agent_version=version,
        input_message=asked,
        output_message=answer,
        retry_of=retry_of,
        waits=situation.busy,
        currency=_currency(conversation.workspace_id),
        max_cost=max_cost,
        reserved=cost.max_possible_cost(
            model=model,
            version=version,
            input_tokens=input_tokens,
            toolbox=tools,
            max_cost=max_cost,
        ),
        offer=offer.offer_of(model),
        notified_at=now,
        created_at=now,
    )
    return run, is_new


def _answers_to_come(conversation: Conversation) -> int:
    """Tokens that the answers of the conversation's unfinished runs may be estimated as in a later question's input."""
    total = 0
    for run in Run.objects.unfinished().filter(conversation=conversation).select_related("agent_version"):
        model, version = offer.agreed_model(run), run.agent_version
        total += cost.longest_answer(version, model, toolbox.toolbox_of(sql.knowledge(version.pk)))
    return total


def _question_message(conversation: Conversation, question: Question) -> tuple[Message, bool]:
    """The message to answer, and whether it has yet to be stored."""
    if question.regenerate_of is not None:
        answer = _message(conversation, question.regenerate_of, Message.Role.ASSISTANT, "/regenerate_of")
        return Message.objects.get(children=answer), False
    parent_id = conversation.head_id
    if question.edit_of is not None:
        parent_id = _message(conversation, question.edit_of, Message.Role.USER, "/edit_of").parent_id
    parts = [{"type": "text", "text": question.text or ""}]
    return Message(
        id=new_id(), conversation=conversation, parent_id=parent_id, role=Message.Role.USER, parts=parts
    ), True


def _message(conversation: Conversation, message_id: UUID, role: str, pointer: str) -> Message:
    found = Message.objects.filter(conversation=conversation, pk=message_id).first()
    if found is None:
        raise NotFound
    if found.role != role:
        wanted = _("This is not an answer.") if role == Message.Role.ASSISTANT else _("This is not a question.")
        raise FieldError(pointer, wanted)
    return found


@lru_cache(maxsize=10_000)
def _currency(workspace_id: UUID) -> str:
    """Of the workspace's wallet; it never changes."""
    return wallets.currency(workspace_id)


def _longest_life(run: Run) -> timedelta:
    working = int(run.agent_version.limit("timeout_seconds", settings.RUN_TIMEOUT_SECONDS))
    return timedelta(seconds=settings.RUN_QUEUE_SECONDS + working)


def _title(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= TITLE_LENGTH else line[: TITLE_LENGTH - 1].rstrip() + "…"
