"""The admin's first page and its sidebar, over all services."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.timesince import timesince
from django.utils.translation import gettext as _

from backend.accounts import queries as accounts
from backend.agents import queries as agents
from backend.billing import queries as billing
from backend.documents import queries as documents
from backend.http.ids import encode
from backend.http.money import format_money

DAY = timedelta(days=1)
FAILURES = 8

# One group per service, in the order of the work; what has no icon here gets a plain one.
SERVICES = ["accounts", "agents", "documents", "billing"]
ICONS = {
    "User": "person",
    "Workspace": "workspaces",
    "Membership": "group",
    "Session": "devices",
    "Agent": "smart_toy",
    "Conversation": "forum",
    "Run": "play_circle",
    "Document": "description",
    "Collection": "folder",
    "Ingestion": "sync",
    "Wallet": "account_balance_wallet",
    "Transfer": "swap_horiz",
    "Hold": "lock_clock",
    "CreditGrant": "redeem",
    "UsageRecord": "data_usage",
}


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """What this operator may look at, grouped by service."""
    apps = {app["app_label"]: app for app in admin.site.get_app_list(request)}
    ordered = [*(name for name in SERVICES if name in apps), *(name for name in apps if name not in SERVICES)]
    overview = {"title": _("Overview"), "icon": "dashboard", "link": reverse("admin:index")}
    return [{"items": [overview]}, *(_group(apps[name]) for name in ordered)]


def _group(app: dict[str, Any]) -> dict[str, Any]:
    items = [
        {"title": model["name"], "icon": ICONS.get(model["object_name"], "circle"), "link": model["admin_url"]}
        for model in app["models"]
        if model["admin_url"]
    ]
    return {"title": app["name"], "separator": True, "items": items}


def figures(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add to the first page how many people, runs, documents and how much money there are, and what failed last.

    Only for those who may see each of it.
    """
    since = timezone.now() - DAY
    may = request.user.has_perm
    if may("accounts.view_user"):
        context["people"] = accounts.count_people(since=since)
    if may("billing.view_wallet"):
        context["money"] = [
            {
                "currency": total.currency,
                "available": format_money(total.posted - total.held),
                "held": format_money(total.held),
                "wallets": total.wallets,
            }
            for total in billing.totals()
        ]
    if may("agents.view_run"):
        context["runs"] = _table(agents.count_runs(since=since))
        context["failures"] = {
            "headers": [_("Run"), _("Agent"), _("Model"), _("Code"), _("What happened"), _("When")],
            "rows": [_failure(run) for run in agents.latest_failures(limit=FAILURES)],
        }
    if may("documents.view_document"):
        context["documents"] = _table(documents.count_documents())
    return context


def _table(counts: dict[str, int]) -> dict[str, Any]:
    return {"headers": [_("Status"), _("Count")], "rows": [[status, count] for status, count in counts.items()]}


def _failure(run: agents.FailedRun) -> list[Any]:
    link = reverse("admin:agents_run_change", args=[run.run_id])
    name = encode("run", run.run_id)
    ago = _("%(time)s ago") % {"time": timesince(run.finished_at)}
    return [format_html('<a href="{}">{}</a>', link, name), run.agent, run.model, run.code, run.detail, ago]
