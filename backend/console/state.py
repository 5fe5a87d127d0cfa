"""Queues, workers and providers on the admin's overview, read from PostgreSQL and Redis; providers are never called."""

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.html import format_html
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import pgettext
from redis.exceptions import RedisError

from backend.accounts.operators import cells
from backend.accounts.operators.figures import Waiting
from backend.accounts.operators.labels import code_label
from backend.agents import overview as runs
from backend.documents import overview as documents
from backend.llm.catalog import CatalogError, Provider, catalog
from backend.server import worker_status

QUEUES = ["agents", "documents", "default"]
ERRORS_OF = timedelta(days=7)  # How far back the last error of a provider is searched.


def ago(moment: datetime | None) -> str:
    return "-" if moment is None else _("%(time)s ago") % {"time": timesince(moment)}


def work(*, sees_runs: bool, sees_documents: bool) -> dict[str, Any]:
    """Work that waits for a worker, and for how long."""
    rows = []
    if sees_runs:
        rows.append(_waiting(_("Runs"), runs.waiting(), "agents.Run", "status__exact"))
    if sees_documents:
        rows.append(_waiting(_("Documents"), documents.waiting(), "documents.Ingestion", "status__exact"))
    return {"headers": [_("Work"), _("Waiting"), _("Oldest"), _("In progress")], "rows": rows}


def _waiting(name: str, found: Waiting, model: str, parameter: str) -> list[Any]:
    queued = cells.anchor(cells.listed_by_name(model, **{parameter: "queued"}), found.queued)
    return [name, queued, ago(found.oldest), found.in_progress]


def workers() -> dict[str, Any]:
    """The workers that reported within the last hour, and how long the broker's queues are."""
    try:
        lengths, found = worker_status.queue_lengths(QUEUES), worker_status.workers()
    except RedisError:
        return {"problem": _("Redis does not answer, so queues and workers are not known.")}
    queues = ", ".join(f"{name}: {length}" for name, length in lengths.items())
    headers = [_("Worker"), _("State"), _("Last heartbeat"), _("Queues"), _("Busy"), _("Tasks done")]
    rows = [
        [
            cells.clipped(worker.name, 40),
            cells.badge("active", pgettext("worker", "alive")) if worker.alive else cells.badge("ended", _("silent")),
            _("%(seconds)d s ago") % {"seconds": round(worker.age)},
            ", ".join(worker.status.queues),
            _("%(busy)d of %(threads)d") % {"busy": worker.status.busy, "threads": worker.status.threads},
            cells.plain_number(worker.status.done),
        ]
        for worker in found
    ]
    problem = "" if any(worker.alive for worker in found) else _("No worker is alive: runs and documents wait.")
    return {"table": {"headers": headers, "rows": rows}, "queues": queues, "problem": problem}


def providers() -> dict[str, Any]:
    """Each provider of the models file, whether it is available, and the last failure that it caused."""
    try:
        offered = catalog().providers
    except CatalogError as error:
        return {"problem": str(error)}
    errors = runs.last_errors(since=timezone.now() - ERRORS_OF)
    headers = [_("Provider"), _("State"), _("Models"), _("Last error in 7 days")]
    return {
        "table": {
            "headers": headers,
            "rows": [_provider(provider, errors.get(provider.name)) for provider in offered],
        }
    }


def _provider(provider: Provider, failed: runs.FailedRun | None) -> list[Any]:
    reason = next((model.unavailable_reason for model in provider.models if model.unavailable_reason), None)
    state = cells.badge("active", pgettext("provider", "available"))
    if reason is not None:
        state = format_html("{} <code>{}</code>", cells.badge("warning", _("key missing")), provider.api_key_env)
    last: Any = "-"
    if failed is not None:
        run = cells.anchor(cells.listed_page("agents.Run", failed.run_id), code_label("run.error", failed.code))
        last = format_html("{}, {}", run, ago(failed.finished_at))
    return [provider.name, state, len(provider.models), last]
