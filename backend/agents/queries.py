"""Reads agents, conversations and runs, with all that their representations need."""

from typing import TypeVar
from uuid import UUID

from django.db.models import Exists, Func, Model, OuterRef, Prefetch, Q, QuerySet, Subquery, TextField

from backend.accounts.actors import Actor
from backend.agents.models import Agent, Conversation, Message, Run, Step
from backend.agents.models.agents import AgentQuerySet
from backend.agents.models.conversations import ConversationQuerySet, MessageQuerySet
from backend.agents.models.runs import RunQuerySet
from backend.agents.runs import sql
from backend.db.accents import accent_insensitive_pattern
from backend.errors import NotFound

T = TypeVar("T", bound=Model)


def agents(actor: Actor) -> AgentQuerySet:
    return Agent.objects.visible_to(actor).select_related("version").prefetch_related("version__knowledge")


def agent(actor: Actor, agent_id: UUID) -> Agent:
    """:raises NotFound: unknown, deleted, or not for this actor."""
    return _one(agents(actor), agent_id)


def conversations(actor: Actor) -> ConversationQuerySet:
    unfinished = Run.objects.active().filter(conversation=OuterRef("pk")).values("pk")[:1]
    found = Conversation.objects.visible_to(actor).select_related("agent")
    return found.annotate(active_run_id=Subquery(unfinished))


def conversation(actor: Actor, conversation_id: UUID) -> Conversation:
    """:raises NotFound: unknown, deleted, or another user's."""
    return _one(conversations(actor), conversation_id)


class _MessageText(Func):
    """The text of a message's text parts, without tools' arguments and reasoning."""

    function = "agents_said"
    output_field = TextField()


def matching(found: ConversationQuerySet, words: str) -> ConversationQuerySet:
    """Conversations whose title or messages contain the words in this order, upper case and accents aside."""
    pattern = accent_insensitive_pattern(words)
    said = Message.objects.alias(said=_MessageText("parts")).filter(conversation=OuterRef("pk"), said__iregex=pattern)
    return found.filter(Q(title__iregex=pattern) | Exists(said))


def messages(actor: Actor) -> MessageQuerySet:
    return shown(Message.objects.visible_to(actor))


def shown(found: MessageQuerySet) -> MessageQuerySet:
    """The messages with what their representation needs."""
    return found.select_related("run").prefetch_related(Prefetch("feedback", to_attr="given"))


def runs(actor: Actor) -> RunQuerySet:
    return Run.objects.visible_to(actor).select_related("agent_version")


def run(actor: Actor, run_id: UUID) -> Run:
    """:raises NotFound: unknown, or another user's."""
    return _one(runs(actor), run_id)


def run_status(actor: Actor, run_id: UUID) -> str:
    """:raises NotFound: unknown, or another user's."""
    status = sql.run_status(actor, run_id)
    if status is None:
        raise NotFound
    return status


def run_for_events(run_id: UUID) -> Run:
    """The run with both of its messages.

    :raises Run.DoesNotExist: its conversation was purged.
    """
    return Run.objects.select_related("agent_version", "input_message", "output_message").get(pk=run_id)


def steps(run: Run) -> list[Step]:
    found = list(Step.objects.filter(run=run))
    for step in found:
        step.run = run
    return found


def _one(found: "QuerySet[T]", pk: UUID) -> T:
    row = found.filter(pk=pk).first()
    if row is None:
        raise NotFound
    return row
