"""The operators' view of agents, conversations and runs. What people wrote is shown to superusers alone."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.admin import TabularInline

from backend.accounts.operators.model_admin import OperatorModelAdmin
from backend.agents.errors import RunEnded
from backend.agents.models import Agent, AgentVersion, Conversation, Message, Run, Step
from backend.agents.operations.runs import stop_run
from backend.http.money import format_money


class WindowAdmin(OperatorModelAdmin):
    """To look at: people change their own things through the API."""

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        return list(self.get_fields(request, obj))

    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class WindowInline(TabularInline):  # type: ignore[misc]  # unfold ships no types that mypy reads.
    extra = 0
    can_delete = False
    show_change_link = False

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        return list(self.fields)  # Also those that no form may hold.

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class VersionInline(WindowInline):
    model = AgentVersion
    fields = ["number", "model", "settings", "tools", "limits", "created_at"]
    ordering = ["-number"]


@admin.register(Agent)
class AgentAdmin(WindowAdmin):
    list_display = ["name", "workspace", "model_name", "visibility", "created_by", "created_at", "deleted_at"]
    list_filter = ["visibility", ("deleted_at", admin.EmptyFieldListFilter)]
    list_select_related = ["workspace", "version", "created_by"]
    search_fields = ["name", "workspace__name", "created_by__email"]
    ordering = ["-id"]
    fields = ["name", "workspace", "visibility", "created_by", "created_at", "updated_at", "deleted_at"]
    inlines = [VersionInline]

    @admin.display(description=_("model"), ordering="version__model")
    def model_name(self, agent: Agent) -> str:
        return agent.version.model if agent.version else ""


class MessageInline(WindowInline):
    """What was said."""

    model = Message
    fields = ["created_at", "role", "status", "said"]
    ordering = ["id"]

    @admin.display(description=_("text"))
    def said(self, message: Message) -> str:
        return message.text


@admin.register(Conversation)
class ConversationAdmin(WindowAdmin):
    list_display = ["public_id", "workspace", "agent", "created_by", "created_at", "updated_at", "deleted_at"]
    list_filter = ["created_at", ("deleted_at", admin.EmptyFieldListFilter)]
    list_select_related = ["workspace", "agent", "created_by"]
    search_fields = ["=id", "created_by__email", "workspace__name"]
    ordering = ["-updated_at"]
    inlines = [MessageInline]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        open_to_all = ["workspace", "agent", "created_by", "created_at", "updated_at", "archived_at", "deleted_at"]
        return [*(["title"] if request.user.is_superuser else []), *open_to_all]

    def get_inlines(self, request: HttpRequest, obj: Any) -> list[Any]:
        return list(self.inlines) if request.user.is_superuser else []


class StepInline(WindowInline):
    model = Step
    fields = ["attempt", "index", "kind", "model", "usage", "cost", "error", "started_at", "finished_at"]


@admin.register(Run)
class RunAdmin(WindowAdmin):
    list_display = ["public_id", "status", "workspace", "agent_name", "money", "failure", "created_at", "finished_at"]
    list_filter = ["status", "created_at"]
    list_select_related = ["workspace", "agent_version__agent"]
    search_fields = ["=id", "created_by__email", "workspace__name"]
    ordering = ["-id"]
    fields = [
        *("workspace", "created_by", "agent_version", "status", "waits", "attempt", "epoch", "lease_owner"),
        *("lease_until", "cancel_requested_at", "currency", "reserved", "max_cost", "cost", "usage", "error"),
        *("created_at", "started_at", "finished_at"),
    ]
    inlines = [StepInline]
    actions = ["cancel_runs"]

    @admin.display(description=_("agent"))
    def agent_name(self, run: Run) -> str:
        return run.agent_version.agent.name

    @admin.display(description=_("cost"), ordering="cost")
    def money(self, run: Run) -> str:
        return f"{format_money(run.cost)} {run.currency}"

    @admin.display(description=_("error"))
    def failure(self, run: Run) -> str:
        return str(run.error["code"]) if run.error else ""

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("agents.change_run"))

    @admin.action(description=_("Cancel the chosen runs"), permissions=["cancel"])
    def cancel_runs(self, request: HttpRequest, runs: "QuerySet[Run]") -> None:
        stopped = 0
        for run in runs:
            try:
                stop_run(run)
            except RunEnded:
                continue
            stopped += 1
        text = ngettext("%(count)d run is being cancelled.", "%(count)d runs are being cancelled.", stopped)
        self.message_user(request, text % {"count": stopped}, messages.SUCCESS)
