"""Conversations: one row per message, each knowing the message it answers, so that they may branch."""

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from backend.accounts.actors import Actor
from backend.agents.models.agents import Agent
from backend.http.ids import PublicId, new_id


class ConversationQuerySet(models.QuerySet["Conversation"]):
    def visible_to(self, actor: Actor) -> Self:
        """A conversation is its creator's alone, even inside a shared workspace."""
        return self.filter(workspace_id=actor.workspace_id, created_by_id=actor.user_id, deleted_at=None)


class Conversation(PublicId, models.Model):
    """The messages of one user and one agent."""

    id_prefix = "cnv"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.ForeignKey("accounts.Workspace", on_delete=models.CASCADE, related_name="+")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="conversations")
    title = models.CharField(max_length=200, blank=True)  # Empty until the first question gives it one.
    # The end of the branch that is shown.
    head = models.ForeignKey("Message", null=True, on_delete=models.SET_NULL, related_name="+")
    archived_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)
    deleted_at = models.DateTimeField(null=True, editable=False)

    objects = ConversationQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(
                fields=["workspace", "created_by", "-updated_at", "-id"],
                condition=Q(deleted_at=None),
                name="conversation_of_person",
            ),
            models.Index(fields=["deleted_at"], condition=Q(deleted_at__isnull=False), name="conversation_to_purge"),
        ]

    def __str__(self) -> str:
        return self.public_id


class MessageQuerySet(models.QuerySet["Message"]):
    def visible_to(self, actor: Actor) -> Self:
        return self.filter(
            conversation__workspace_id=actor.workspace_id,
            conversation__created_by_id=actor.user_id,
            conversation__deleted_at=None,
        )


class Message(PublicId, models.Model):
    """One message of a person or of an agent.

    :ivar parts: ``{"type": "text", "text"}``, ``{"type": "reasoning", "text"}`` and ``{"type": "tool_call", "id",
        "name", "arguments", "output" | "error"}``, in the order they happened.
    """

    id_prefix = "msg"

    class Role(models.TextChoices):
        USER = "user"
        ASSISTANT = "assistant"

    class Status(models.TextChoices):
        STREAMING = "streaming"
        COMPLETE = "complete"
        INTERRUPTED = "interrupted"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="messages")
    parent = models.ForeignKey("self", null=True, on_delete=models.CASCADE, related_name="children")
    role = models.CharField(max_length=9, choices=Role)
    status = models.CharField(max_length=11, choices=Status, default=Status.COMPLETE)
    parts = models.JSONField(default=list)
    citations = models.JSONField(default=list)  # As CitationTracker makes them; older ones lack part, start and places.
    usage = models.JSONField(default=dict)  # input_tokens, cached_input_tokens, output_tokens
    cost = models.BigIntegerField(default=0)  # Micro-units.
    finish_reason = models.CharField(max_length=6, blank=True, default="")  # Why the model ended it: "stop", "length".
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = MessageQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(role__in=["user", "assistant"]), name="message_role_known"),
            models.CheckConstraint(
                condition=Q(status__in=["streaming", "complete", "interrupted", "failed"]), name="message_status_known"
            ),
            models.CheckConstraint(condition=Q(role="assistant") | Q(status="complete"), name="message_user_complete"),
            models.CheckConstraint(condition=Q(role="user") | Q(parent__isnull=False), name="message_answers_one"),
            models.CheckConstraint(condition=Q(cost__gte=0), name="message_cost_not_negative"),
            models.CheckConstraint(
                condition=Q(finish_reason="") | Q(finish_reason__in=["stop", "length"], status="complete"),
                name="message_finish_reason_known",
            ),
        ]
        indexes = [
            models.Index(fields=["conversation", "id"], name="message_of_conversation"),
            models.Index(fields=["conversation"], condition=Q(parent=None), name="message_first_of_conversation"),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def text(self) -> str:
        """The text of all text parts."""
        return "".join(part["text"] for part in self.parts if part["type"] == "text")


class Feedback(models.Model):
    """A user's rating of an answer."""

    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="feedback")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    rating = models.SmallIntegerField()
    comment = models.TextField(blank=True)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["message", "user"], name="feedback_unique"),
            models.CheckConstraint(condition=Q(rating__in=[-1, 1]), name="feedback_rating_known"),
        ]

    def __str__(self) -> str:
        return f"{self.rating:+d}"
