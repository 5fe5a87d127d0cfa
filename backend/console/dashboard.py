"""The admin's first page and its sidebar, over all services."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from backend.accounts import queries as accounts
from backend.accounts.operators import cells
from backend.accounts.operators.cells import listed_by_name as listed
from backend.accounts.operators.cells import words_of
from backend.accounts.operators.labels import code_label
from backend.agents import overview as agents
from backend.agents.reasons import in_words as translated_reason
from backend.billing import overview as billing
from backend.console import state
from backend.console.charts import Chart, chart, last_days
from backend.documents import overview as documents

DAY = timedelta(days=1)
MAX_FAILURES, FAILURES_OF = 8, timedelta(days=30)
PERIODS = (14, 30)  # Days that the charts may show.

# One group per service, in this order. A model without an icon here gets a plain one.
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
    """The lists that the operator may view, grouped by service."""
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
    """Add the figures of the first page: users, money, runs, documents, charts, failures, workers, providers.

    Each only for operators who may view its objects. A figure links to the list of exactly the objects that it counts.
    """
    now = timezone.now()
    since = now - DAY
    days = last_days(_period(request), until=now.astimezone(UTC).date())
    start = datetime.combine(days[0], time.min, UTC)
    may = request.user.has_perm
    sees_runs, sees_documents = may("agents.view_run"), may("documents.view_document")
    charts: list[Chart] = []
    if may("accounts.view_user"):
        context["people"] = accounts.count_people(since=since)
        context["people_links"] = {
            "total": listed("accounts.User"),
            "new": listed("accounts.User", created_at__gte=since),
            "active": listed("accounts.User", seen="day"),
        }
    if may("billing.view_wallet"):
        context["money"] = [_money(total) for total in billing.totals()]
    if sees_runs:
        context["runs"] = _runs(agents.count_runs(since=since), since)
        charts.append(_run_chart(days, start))
        context["failures"] = {
            "headers": [
                cells.words_of_model("agents.Run"),
                _("Agent"),
                _("Model"),
                _("Code"),
                _("What happened"),
                _("When"),
            ],
            "rows": [_failure(run) for run in agents.latest_failures(limit=MAX_FAILURES, since=now - FAILURES_OF)],
        }
        context["providers"] = state.providers()
    if may("billing.view_usagerecord"):
        charts.extend(_usage_charts(days, start))
    if sees_documents:
        context["documents"] = _documents(documents.count_documents())
        charts.append(_document_chart(days, start))
    if sees_runs or sees_documents:
        context["work"] = state.work(sees_runs=sees_runs, sees_documents=sees_documents)
        context["workers"] = state.workers()
    context["charts"] = charts
    context["periods"] = [(count, count == len(days)) for count in PERIODS] if charts else []
    return context


def _period(request: HttpRequest) -> int:
    asked = request.GET.get("days", "")
    return int(asked) if asked in map(str, PERIODS) else PERIODS[0]


def _money(total: billing.Totals) -> dict[str, Any]:
    currency = total.currency
    held = listed("billing.Hold", state__exact="open")
    return {
        "currency": currency,
        "available": cells.amount(total.posted - total.held, currency),
        "held": cells.anchor(held, cells.amount(total.held, currency)),
        "wallets": total.wallets,
        "link": listed("billing.Wallet", currency__exact=currency),
    }


def _counted(counts: Mapping[str, int], words: Mapping[str, Any], href: Callable[[str], str | None]) -> dict[str, Any]:
    rows = [
        [cells.badge(status, words.get(status, status)), cells.anchor(href(status), count)]
        for status, count in counts.items()
    ]
    return {"headers": [_("Status"), _("Count")], "rows": rows}


def _runs(counts: Mapping[str, int], since: datetime) -> dict[str, Any]:
    def href(status: str) -> str | None:
        return listed("agents.Run", status__exact=status, created_at__gte=since)

    return _counted(counts, words_of("agents.Run", "status"), href)


def _documents(counts: Mapping[str, int]) -> dict[str, Any]:
    words = words_of("documents.Ingestion", "status")

    def href(status: str) -> str | None:
        return listed("documents.Document", latest_ingestion__status__exact=status)

    return _counted(counts, words, href)


def _day_of(model: str, **query: str) -> Callable[[date], str | None]:
    """A function from a day to the URL of the list of objects created on it."""

    def href(day: date) -> str | None:
        begin = datetime.combine(day, time.min, UTC)
        return listed(model, created_at__gte=begin, created_at__lt=begin + DAY, **query)

    return href


def _run_chart(days: Sequence[date], start: datetime) -> Chart:
    return _status_chart(
        _("Runs per day"),
        days,
        agents.runs_by_day(since=start),
        words=words_of("agents.Run", "status"),
        empty="completed",
        day_href=_day_of("agents.Run"),
        key_href=lambda status: listed("agents.Run", status__exact=status, created_at__gte=start),
    )


def _document_chart(days: Sequence[date], start: datetime) -> Chart:
    return _status_chart(
        _("Documents per day"),
        days,
        documents.documents_by_day(since=start),
        words=words_of("documents.Ingestion", "status"),
        empty="ready",
        day_href=_day_of("documents.Document"),
        key_href=lambda status: listed(
            "documents.Document", latest_ingestion__status__exact=status, created_at__gte=start
        ),
    )


def _status_chart(
    title: str,
    days: Sequence[date],
    values: Mapping[tuple[date, str], int],
    *,
    words: Mapping[str, Any],
    empty: str,
    day_href: Callable[[date], str | None],
    key_href: Callable[[str], str | None],
) -> Chart:
    """
    :param words: every status and its label, in the order in which bars are stacked.
    :param empty: the status in the legend when there are no values.
    """
    present = [status for status in words if any(key == status for _day, key in values)] or [empty]
    keys = {status: (str(words[status]), cells.TONES.get(status, "default")) for status in present}
    return chart(title=title, days=days, keys=keys, values=values, day_href=day_href, key_href=key_href)


def _usage_charts(days: Sequence[date], start: datetime) -> list[Chart]:
    """One per currency, since amounts of two cannot be added."""
    used = billing.usage_by_day(since=start)
    currencies = sorted({currency for _day, currency in used}) or [settings.CURRENCY]
    return [_usage_chart(currency, days, start, used) for currency in currencies]


def _usage_chart(
    currency: str, days: Sequence[date], start: datetime, used: Mapping[tuple[date, str], Decimal]
) -> Chart:
    return chart(
        title=_("Usage per day, %(currency)s") % {"currency": currency},
        days=days,
        keys={currency: (_("Usage"), "info")},
        values=used,
        day_href=_day_of("billing.UsageRecord"),
        key_href=lambda _currency: listed("billing.UsageRecord", created_at__gte=start),
    )


def _failure(run: agents.FailedRun) -> list[Any]:
    page = cells.listed_page("agents.Run", run.run_id)
    return [
        cells.anchor(page, cells.ident(run.public_id)),
        cells.clipped(run.agent, 40),
        cells.clipped(run.model, 40),
        code_label("run.error", run.code),
        cells.clipped(translated_reason(run.detail, provider=run.provider), 160),
        state.ago(run.finished_at),
    ]
