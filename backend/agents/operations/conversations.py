"""Creates, changes and deletes conversations; rates answers."""

from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from backend.accounts.actors import Actor
from backend.agents import queries
from backend.agents.errors import ConversationBusy
from backend.agents.models import Conversation, Feedback, Message, Run
from backend.agents.operations import runs
from backend.errors import FieldError, NotFound


def create_conversation(*, actor: Actor, agent_id: UUID, title: str = "") -> Conversation:
    """:raises NotFound: there is no such agent for this actor."""
    actor.require("agents:run")
    agent = queries.agent(actor, agent_id)
    return Conversation.objects.create(
        workspace_id=actor.workspace_id, created_by_id=actor.user_id, agent=agent, title=title
    )


@transaction.atomic
def change_conversation(*, actor: Actor, conversation: Conversation, fields: dict[str, Any]) -> Conversation:
    """Change ``title``, ``archived`` or ``head``: the answer that the next question follows.

    :raises NotFound: the conversation has no such message, or was deleted meanwhile.
    :raises FieldError: the head is a question.
    :raises ConversationBusy: its head cannot change while a run has not ended.
    """
    actor.require("agents:run")
    if "head" in fields:
        runs.lock_conversation(conversation.pk)
        if Run.objects.unfinished().filter(conversation=conversation).exists():
            raise ConversationBusy
        head = Message.objects.filter(conversation=conversation, pk=fields["head"]).first()
        if head is None:
            raise NotFound
        if head.role != Message.Role.ASSISTANT:
            raise FieldError("/head", _("This is not an answer."))
        conversation.head_id = fields["head"]
    if "title" in fields:
        conversation.title = fields["title"]
    if "archived" in fields:
        conversation.archived_at = (conversation.archived_at or timezone.now()) if fields["archived"] else None
    changed = {"title": "title", "archived": "archived_at", "head": "head_id"}
    columns = {changed[name]: getattr(conversation, changed[name]) for name in fields}
    # The condition is on the row as it is now: since it was read, it may have been deleted, even purged.
    if columns and not Conversation.objects.filter(pk=conversation.pk, deleted_at=None).update(**columns):
        raise NotFound
    return conversation


@transaction.atomic
def delete_conversation(*, actor: Actor, conversation: Conversation) -> None:
    """Hide it at once and stop what runs in it; the rows are purged when nothing runs any more."""
    actor.require("agents:run")
    runs.lock_conversation(conversation.pk)
    for run in Run.objects.unfinished().filter(conversation=conversation).order_by("-waits", "pk"):
        runs.cancel_run(actor=actor, run=run)
    Conversation.objects.filter(pk=conversation.pk).update(deleted_at=timezone.now())


def give_feedback(*, actor: Actor, message: Message, rating: int, comment: str) -> Feedback:
    """Rate an answer; a second rating replaces the first.

    :raises FieldError: the message is a question.
    """
    actor.require("agents:run")
    if message.role != Message.Role.ASSISTANT:
        raise FieldError("/rating", "Only answers can be rated.")
    feedback, __ = Feedback.objects.update_or_create(
        message=message,
        user_id=actor.user_id,
        defaults={"rating": rating, "comment": comment, "updated_at": timezone.now()},
    )
    return feedback
