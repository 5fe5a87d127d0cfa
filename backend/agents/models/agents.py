"""Agents and their immutable versions; a run keeps the version that it ran."""

from typing import Any, Self
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from backend.accounts.actors import Actor
from backend.http.ids import PublicId, new_id


class AgentQuerySet(models.QuerySet["Agent"]):
    def visible_to(self, actor: Actor) -> Self:
        """Not deleted, in the actor's workspace, and shared with it or made by the actor."""
        return self.filter(
            Q(visibility=Agent.Visibility.WORKSPACE) | Q(created_by_id=actor.user_id),
            workspace_id=actor.workspace_id,
            deleted_at=None,
        )


class Agent(PublicId, models.Model):
    """An agent. Its versions define what it does; ``version`` is the one that answers now."""

    id_prefix = "agt"

    class Visibility(models.TextChoices):
        PRIVATE = "private"  # Its creator only.
        WORKSPACE = "workspace"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.ForeignKey("accounts.Workspace", on_delete=models.CASCADE, related_name="+")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    name = models.CharField(max_length=150)
    visibility = models.CharField(max_length=9, choices=Visibility, default=Visibility.WORKSPACE)
    version = models.ForeignKey("AgentVersion", null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)
    deleted_at = models.DateTimeField(null=True, editable=False)

    objects = AgentQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(visibility__in=["private", "workspace"]), name="agent_visibility_known"),
            models.CheckConstraint(condition=~Q(name=""), name="agent_named"),
        ]
        indexes = [models.Index(fields=["workspace", "-id"], condition=Q(deleted_at=None), name="agent_of_workspace")]

    def __str__(self) -> str:
        return self.name

    @property
    def current(self) -> "AgentVersion":
        """The version that answers now; an agent gets its first in the transaction that makes it."""
        if self.version is None:
            raise AgentVersion.DoesNotExist
        return self.version


class AgentVersion(PublicId, models.Model):
    """The configuration of an agent, never changed once made."""

    id_prefix = "agv"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    instructions = models.TextField(blank=True)
    model = models.CharField(max_length=200)  # An id of the catalog, such as "gpt-5-mini".
    settings = models.JSONField(default=dict)  # temperature, max_tokens
    tools = models.JSONField(default=list)
    limits = models.JSONField(default=dict)  # max_steps, max_cost (micro-units), timeout_seconds
    starters = models.JSONField(default=list)
    output_schema = models.JSONField(null=True)
    variables = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["agent", "number"], name="agent_version_number_unique"),
            models.CheckConstraint(condition=Q(number__gte=1), name="agent_version_number_positive"),
            models.CheckConstraint(condition=~Q(model=""), name="agent_version_has_model"),
        ]

    def __str__(self) -> str:
        return f"{self.agent_id} v{self.number}"

    def setting(self, name: str, default: Any) -> Any:
        return self.settings.get(name, default)

    def limit(self, name: str, default: Any) -> Any:
        value = self.limits.get(name)
        return default if value is None else value


class Knowledge(models.Model):
    """One collection or one document that a version of an agent knows."""

    class Mode(models.TextChoices):
        HYBRID = "hybrid"
        LEXICAL = "lexical"

    version = models.ForeignKey(AgentVersion, on_delete=models.CASCADE, related_name="knowledge")
    position = models.PositiveSmallIntegerField()
    collection = models.ForeignKey("documents.Collection", null=True, on_delete=models.CASCADE, related_name="+")
    document = models.ForeignKey("documents.Document", null=True, on_delete=models.CASCADE, related_name="+")
    limit = models.PositiveSmallIntegerField(default=8)  # Passages per search.
    mode = models.CharField(max_length=7, choices=Mode, blank=True)  # Empty: as the workspace searches.

    collection_id: UUID | None
    document_id: UUID | None

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["version", "position"], name="knowledge_position_unique"),
            models.CheckConstraint(
                condition=Q(collection=None, document__isnull=False) | Q(collection__isnull=False, document=None),
                name="knowledge_is_collection_or_document",
            ),
            models.CheckConstraint(condition=Q(limit__gte=1) & Q(limit__lte=50), name="knowledge_limit_in_range"),
            models.CheckConstraint(condition=Q(mode__in=["", "hybrid", "lexical"]), name="knowledge_mode_known"),
        ]

    def __str__(self) -> str:
        return f"{self.version_id} #{self.position}"
