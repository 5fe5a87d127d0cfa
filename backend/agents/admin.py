"""The admin's pages of agents, conversations and runs. Texts that users wrote are shown to superusers only."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from backend.accounts.operators import cells
from backend.accounts.operators.labels import code_label, field_label
from backend.accounts.operators.model_admin import ReadOnlyAdmin, Section
from backend.agents import admin_details
from backend.agents.errors import RunEnded
from backend.agents.models import Agent, Conversation, Run
from backend.agents.operations.runs import stop_run


@admin.register(Agent)
class AgentAdmin(ReadOnlyAdmin):
    list_display = ["short_name", "short_id", "workspace_link", "model_name", "visibility", "creator", "made", "gone"]
    list_filter = ["visibility", ("deleted_at", admin.EmptyFieldListFilter)]
    list_select_related = ["workspace", "version", "created_by"]
    search_fields = ["=id", "name", "workspace__name", "created_by__email"]
    ordering = ["-id"]
    of = {
        "wsp": "workspace",
        "usr": "created_by",
        "doc": "version__knowledge__document",
        "col": "version__knowledge__collection",
    }
    contains = {"agv": "versions"}
    fields = [
        *("whole_id", "name", "workspace_link", "visibility", "creator", "version_number", "model_name"),
        *("model_settings", "limits", "tools", "made", "changed", "gone"),
    ]
    short_name, short_id, whole_id = cells.text("name"), cells.typed_id(), cells.typed_id(whole=True)
    workspace_link, creator = cells.linked("workspace"), cells.linked("created_by")
    made, changed, gone = cells.when("created_at"), cells.when("updated_at"), cells.when("deleted_at")

    @admin.display(description=field_label("model"), ordering="version__model")
    def model_name(self, agent: Agent) -> Any:
        return cells.clipped(agent.version.model, 40) if agent.version else "-"

    @admin.display(description=field_label("version"))
    def version_number(self, agent: Agent) -> Any:
        return agent.version.number if agent.version else "-"

    @admin.display(description=field_label("settings"))
    def model_settings(self, agent: Agent) -> Any:
        return cells.facts(agent.version.settings, currency=admin_details.currency()) if agent.version else "-"

    @admin.display(description=field_label("limits"))
    def limits(self, agent: Agent) -> Any:
        return cells.facts(agent.version.limits, currency=admin_details.currency()) if agent.version else "-"

    @admin.display(description=field_label("tools"))
    def tools(self, agent: Agent) -> Any:
        return ", ".join(agent.version.tools) or "-" if agent.version else "-"

    def sections(self, request: HttpRequest, row: Agent) -> list[Section]:
        return admin_details.agent_sections(row)


@admin.register(Conversation)
class ConversationAdmin(ReadOnlyAdmin):
    list_display = ["short_id", "workspace_link", "agent_link", "creator", "made", "changed", "gone"]
    list_filter = ["created_at", ("deleted_at", admin.EmptyFieldListFilter)]
    list_select_related = ["workspace", "agent", "created_by"]
    search_fields = ["=id", "created_by__email", "workspace__name"]
    ordering = ["-updated_at"]
    of = {"wsp": "workspace", "usr": "created_by", "agt": "agent"}
    contains = {"msg": "messages"}
    short_id, whole_id = cells.typed_id(), cells.typed_id(whole=True)
    workspace_link, agent_link, creator = cells.linked("workspace"), cells.linked("agent"), cells.linked("created_by")
    made, changed = cells.when("created_at"), cells.when("updated_at")
    gone, archived = cells.when("deleted_at"), cells.when("archived_at")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        open_to_all = ["workspace_link", "agent_link", "creator", "made", "changed", "archived", "gone"]
        return ["whole_id", *(["title"] if request.user.is_superuser else []), *open_to_all]

    def sections(self, request: HttpRequest, row: Conversation) -> list[Section]:
        return admin_details.conversation_sections(row, page=request.GET.get("page", "1"))


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    list_display = ["short_id", "state", "workspace_link", "agent_link", "creator", "money", "failure", "made"]
    list_filter = ["status", "created_at"]
    list_select_related = ["workspace", "created_by", "agent_version__agent"]
    search_fields = ["=id", "created_by__email", "workspace__name"]
    ordering = ["-id"]
    of = {"wsp": "workspace", "usr": "created_by", "agt": "agent_version__agent", "cnv": "conversation"}
    contains = {"stp": "steps"}
    fieldsets = [
        (
            None,
            {
                "fields": [
                    *("whole_id", "state", "failure_in_words", "conversation_link", "creator", "workspace_link"),
                    *(
                        "agent_link",
                        "model_name",
                        "retried",
                        "cost_paid",
                        "reserved_money",
                        "cost_limit",
                        "tokens",
                        "prices",
                    ),
                    *("made", "started", "ended"),
                ]
            },
        ),
        (
            _("Queue and worker"),
            {
                "fields": ["waits", "awaits_knowledge", "attempt", "epoch", "lease_owner", "leased", "cancelled"],
                "classes": ["collapse"],
            },
        ),
    ]
    actions = ["cancel_runs"]
    short_id, whole_id, state = cells.typed_id(), cells.typed_id(whole=True), cells.state()
    workspace_link, creator = cells.linked("workspace"), cells.linked("created_by")
    agent_link = cells.linked("agent_version.agent")
    conversation_link, retried = cells.linked("conversation"), cells.linked("retry_of")
    money, cost_paid = cells.money("cost"), cells.money("cost")
    made, started, ended = cells.when("created_at"), cells.when("started_at"), cells.when("finished_at")
    leased, cancelled = cells.when("lease_until"), cells.when("cancel_requested_at")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [name for _title, options in self.fieldsets for name in options["fields"]]

    @admin.display(description=field_label("model"))
    def model_name(self, run: Run) -> Any:
        return cells.clipped(run.agent_version.model, 40)

    @admin.display(description=field_label("error"))
    def failure(self, run: Run) -> Any:
        return code_label("run.error", str(run.error["code"])) if run.error else "-"

    @admin.display(description=field_label("error"))
    def failure_in_words(self, run: Run) -> Any:
        return admin_details.failure(run.error)

    @admin.display(description=field_label("reserved"))
    def reserved_money(self, run: Run) -> Any:
        """Only while it is held."""
        return gettext("released") if run.is_terminal else cells.amount(run.reserved, run.currency)

    @admin.display(description=field_label("max_cost"))
    def cost_limit(self, run: Run) -> Any:
        return admin_details.limit(run)

    @admin.display(description=field_label("usage"))
    def tokens(self, run: Run) -> Any:
        return cells.facts(run.usage, currency=run.currency)

    @admin.display(description=field_label("prices"))
    def prices(self, run: Run) -> Any:
        """As agreed when the run was accepted."""
        return cells.facts(run.offer, currency=run.currency)

    def sections(self, request: HttpRequest, row: Run) -> list[Section]:
        return admin_details.run_sections(row)

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
        if stopped:
            self.message_user(request, text % {"count": stopped}, messages.SUCCESS)
        else:
            self.message_user(request, gettext("Nothing was cancelled: these runs have ended."), messages.WARNING)
