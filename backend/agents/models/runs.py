"""Runs: one answer each, made by one worker at a time under a lease, and the steps that they took."""

from datetime import datetime
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from backend.accounts.actors import Actor
from backend.agents.models.agents import AgentVersion
from backend.agents.models.conversations import Conversation, Message
from backend.http.ids import PublicId, new_id

ACTIVE = ("queued", "running", "requires_action", "cancelling")
LEASED = ("running", "cancelling")
TERMINAL = ("completed", "failed", "cancelled")


class RunQuerySet(models.QuerySet["Run"]):
    def visible_to(self, actor: Actor) -> Self:
        return self.filter(workspace_id=actor.workspace_id, created_by_id=actor.user_id, conversation__deleted_at=None)

    def active(self) -> Self:
        """Not ended and not waiting for another run of its conversation."""
        return self.filter(status__in=ACTIVE, waits=False)

    def startable(self) -> Self:
        """A worker may claim it."""
        return self.filter(status="queued", waits=False, awaits_knowledge=False)

    def awaiting_knowledge(self) -> Self:
        return self.filter(status="queued", awaits_knowledge=True)

    def unfinished(self) -> Self:
        return self.filter(status__in=ACTIVE)

    def held_by(self, *, epoch: int) -> Self:
        """The row only while the worker that claimed this epoch still owns it."""
        return self.filter(epoch=epoch, status__in=LEASED)

    def expired(self, *, at: datetime) -> Self:
        """The worker that claimed it has not renewed its lease."""
        return self.filter(status__in=LEASED, lease_until__lt=at)

    def recoverable(self, *, at: datetime) -> Self:
        """Not set aside by a sweep that failed on it; those with the fewest failures come first."""
        free = self.filter(Q(recovery_after=None) | Q(recovery_after__lte=at))
        return free.order_by("recovery_failures", "pk")


class Run(PublicId, models.Model):
    """One answer: queued, claimed by a worker, ended once. Amounts in micro-units of ``currency``.

    :ivar waits: queued after another run of its conversation, which promotes it when it ends.
    :ivar awaits_knowledge: queued until no document of its knowledge is being read, as ``wait_for_knowledge`` asks for.
    :ivar knowledge: how many documents it knows, and how many of them were ready or had failed when last looked at.
    :ivar language: the question's client reads it, as Django names it; empty if it did not say.
    :ivar epoch: counts the claims and recoveries; a worker that claimed an older one may write nothing any more.
    :ivar attempt: 1, and one more for each dead worker whose work another one continues.
    """

    id_prefix = "run"

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        REQUIRES_ACTION = "requires_action"
        CANCELLING = "cancelling"
        COMPLETED = "completed"
        FAILED = "failed"
        CANCELLED = "cancelled"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.ForeignKey("accounts.Workspace", on_delete=models.CASCADE, related_name="+")
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="runs")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    agent_version = models.ForeignKey(AgentVersion, on_delete=models.PROTECT, related_name="+")
    input_message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="+")
    output_message = models.OneToOneField(Message, on_delete=models.CASCADE, related_name="run")
    retry_of = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="+")

    status = models.CharField(max_length=15, choices=Status, default=Status.QUEUED)
    waits = models.BooleanField(default=False)
    wait_for_knowledge = models.BooleanField(default=False, db_default=False)
    awaits_knowledge = models.BooleanField(default=False, db_default=False)
    knowledge = models.JSONField(null=True)  # total, ready, failed; none if it knows nothing.
    language = models.CharField(max_length=10, blank=True, default="", db_default="")
    attempt = models.PositiveSmallIntegerField(default=1)
    epoch = models.PositiveIntegerField(default=0)
    lease_owner = models.CharField(max_length=128, blank=True)
    lease_until = models.DateTimeField(null=True)
    notified_at = models.DateTimeField(default=timezone.now, db_column="rung_at")  # When workers were last notified.
    cancel_requested_at = models.DateTimeField(null=True)
    # The sweep could not recover it this often in a row, and tries again after that time.
    recovery_failures = models.PositiveSmallIntegerField(default=0, db_default=0)
    recovery_after = models.DateTimeField(null=True)

    offer = models.JSONField(null=True)  # Its model's prices and limits when it was accepted (agents/runs/offer.py).
    currency = models.CharField(max_length=3)
    reserved = models.BigIntegerField(default=0)
    max_cost = models.BigIntegerField(null=True)
    cost = models.BigIntegerField(default=0)
    usage = models.JSONField(default=dict)
    error = models.JSONField(null=True)  # code, detail, provider, retryable

    created_at = models.DateTimeField(default=timezone.now, editable=False)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    objects = RunQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(status__in=[*ACTIVE, *TERMINAL]), name="run_status_known"),
            models.UniqueConstraint(
                fields=["conversation"],
                condition=Q(status__in=ACTIVE, waits=False),
                name="run_one_active_per_conversation",
            ),
            models.CheckConstraint(condition=Q(waits=False) | Q(status="queued"), name="run_waits_only_queued"),
            models.CheckConstraint(
                condition=Q(awaits_knowledge=False) | Q(status="queued"), name="run_awaits_knowledge_only_queued"
            ),
            models.CheckConstraint(
                condition=Q(status__in=TERMINAL, finished_at__isnull=False)
                | (~Q(status__in=TERMINAL) & Q(finished_at=None)),
                name="run_finished_at_iff_terminal",
            ),
            models.CheckConstraint(
                condition=(Q(status__in=LEASED, lease_until__isnull=False) & ~Q(lease_owner=""))
                | (~Q(status__in=LEASED) & Q(lease_until=None, lease_owner="")),
                name="run_leased_iff_running",
            ),
            models.CheckConstraint(
                condition=Q(status="failed", error__isnull=False) | (~Q(status="failed") & Q(error=None)),
                name="run_error_iff_failed",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["running", "completed"]) | Q(started_at__isnull=False),
                name="run_started",
            ),
            models.CheckConstraint(
                condition=~Q(status="cancelling") | Q(cancel_requested_at__isnull=False),
                name="run_cancelling_was_requested",
            ),
            models.CheckConstraint(condition=Q(attempt__gte=1), name="run_attempt_positive"),
            models.CheckConstraint(condition=Q(cost__gte=0), name="run_cost_not_negative"),
            models.CheckConstraint(condition=Q(reserved__gte=0), name="run_reserved_not_negative"),
            models.CheckConstraint(condition=Q(max_cost=None) | Q(max_cost__gte=0), name="run_max_cost_not_negative"),
        ]
        indexes = [
            models.Index(fields=["workspace", "created_by", "-id"], name="run_of_person"),
            models.Index(fields=["workspace", "id"], condition=Q(status__in=ACTIVE), name="run_unfinished"),
            models.Index(fields=["lease_until"], condition=Q(status__in=LEASED), name="run_lease"),
            models.Index(fields=["notified_at"], condition=Q(status="queued"), name="run_queued"),
            models.Index(fields=["workspace", "notified_at"], condition=Q(awaits_knowledge=True), name="run_awaiting"),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL


class Step(PublicId, models.Model):
    """One request to a provider, or one tool's work. Stored before it begins, so that a lost worker leaves a trace.

    :ivar index: counts the steps of the run, through all its attempts.
    :ivar side_effects: the tool changes something outside: what it did is unknown if its outcome was never stored.
    :ivar messages: what the step added to the transcript, as ``chat.message_to_json`` gives it; none until it ends.
    :ivar sources: passages that it gave the model to cite, so that another worker numbers and cites on.
    """

    id_prefix = "stp"

    class Kind(models.TextChoices):
        MODEL = "model"
        TOOL = "tool"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="steps")
    attempt = models.PositiveSmallIntegerField()
    index = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=5, choices=Kind)
    model = models.CharField(max_length=200, blank=True)
    provider = models.CharField(max_length=100, blank=True)
    request = models.JSONField(default=dict)  # Numbers and names, not the conversation again.
    reply = models.JSONField(default=dict)  # Finish reason and tool calls, or the tool's output as people are shown it.
    side_effects = models.BooleanField(default=False, db_default=False)
    messages = models.JSONField(null=True)
    sources = models.JSONField(null=True)
    usage = models.JSONField(default=dict)
    cost = models.DecimalField(max_digits=24, decimal_places=12, default=0)  # Exact, in units of the run's currency.
    error = models.JSONField(null=True)
    started_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["attempt", "index"]
        constraints = [
            models.UniqueConstraint(fields=["run", "attempt", "index"], name="step_unique"),
            models.CheckConstraint(condition=Q(kind__in=["model", "tool"]), name="step_kind_known"),
            models.CheckConstraint(condition=Q(index__gte=1) & Q(attempt__gte=1), name="step_counts_from_one"),
            models.CheckConstraint(condition=Q(cost__gte=0), name="step_cost_not_negative"),
            models.CheckConstraint(
                condition=Q(kind="tool") | (~Q(model="") & ~Q(provider="")), name="step_of_model_names_it"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.run_id} {self.attempt}.{self.index}"
