"""The operators' view of documents: their state and errors, without their text."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext

from backend.accounts.operators import cells
from backend.accounts.operators.filters import WordedFilter
from backend.accounts.operators.labels import code_label, field_label
from backend.accounts.operators.model_admin import ReadOnlyAdmin, Section
from backend.documents import operations
from backend.documents.models import Collection, Document, Ingestion, Usage
from backend.documents.reasons import translated
from backend.errors import DomainError
from backend.http.ids import encode

READINGS, WARNINGS = 50, 50  # Maximum rows on a document's page.
DELETED_AT_ONCE = 500  # Documents; Django takes at most 1000 fields of a form.


@admin.register(Document)
class DocumentAdmin(ReadOnlyAdmin):
    list_display = ["short_name", "short_id", "state", "problems", "workspace_link", "kind", "size", "made"]
    list_filter = ["latest_ingestion__status", "blob__content_type", ("created_at", admin.DateFieldListFilter)]
    list_select_related = ["workspace", "blob", "latest_ingestion"]
    search_fields = ["=id", "name", "=workspace__name"]
    ordering = ["-pk"]
    of = {"wsp": "workspace", "usr": "created_by", "col": "collections"}
    contains = {"ing": "ingestions", "chk": "chunks"}
    actions = ["reprocess", "delete_documents"]
    fields = [
        *("whole_id", "name", "state", "failure", "workspace_link", "creator", "in_collections", "kind", "size"),
        *("sha256", "language", "pages", "searched", "made", "changed"),
    ]
    short_name, short_id, whole_id = cells.text("name"), cells.typed_id(), cells.typed_id(whole=True)
    workspace_link, creator = cells.linked("workspace"), cells.linked("created_by")
    made, changed = cells.when("created_at"), cells.when("updated_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Document]:
        return Document.objects.alive()

    @admin.display(description=field_label("status"), ordering="latest_ingestion__status")
    def state(self, document: Document) -> Any:
        """The status, with a mark if the reading ended with warnings."""
        reading = document.latest_ingestion
        if reading is None:
            return cells.badge(document.status, pgettext("ingestion.status", "Queued"))
        return _state(reading)

    @admin.display(description=gettext_lazy("problem"))
    def problems(self, document: Document) -> Any:
        """The error or the first warnings, in a few words."""
        reading = document.latest_ingestion
        if reading is None:
            return "-"
        codes = [reading.error_code] if reading.error_code else [warning_of(item)[0] for item in reading.warnings[:2]]
        return ", ".join(str(code_label("ingestion.error_code", code)) for code in codes) or "-"

    @admin.display(description=field_label("error"))
    def failure(self, document: Document) -> Any:
        return _failure(document.latest_ingestion)

    @admin.display(description=gettext_lazy("type"), ordering="blob__content_type")
    def kind(self, document: Document) -> Any:
        return cells.clipped(document.blob.content_type, 36)

    @admin.display(description=field_label("size"), ordering="blob__size")
    def size(self, document: Document) -> str:
        return filesizeformat(document.blob.size)

    @admin.display(description=field_label("sha256"))
    def sha256(self, document: Document) -> Any:
        return cells.ident(document.blob.sha256, whole=True)

    @admin.display(description=field_label("collections"))
    def in_collections(self, document: Document) -> Any:
        links = [(cells.link(collection),) for collection in document.collections.all()[:20]]
        return format_html_join(", ", "{}", links) or "-"

    @admin.display(description=field_label("language"))
    def language(self, document: Document) -> Any:
        reading = document.latest_ingestion
        claimed = document.get_claimed_language_display()
        return claimed or (reading.get_language_display() if reading else None) or "-"

    @admin.display(description=field_label("pages"))
    def pages(self, document: Document) -> str:
        return _pages(document.latest_ingestion)

    @admin.display(description=gettext_lazy("found by search"))
    def searched(self, document: Document) -> str:
        reading = document.active_ingestion
        if reading is None:
            return _("no")
        text = ngettext("%(count)d passage", "%(count)d passages", reading.chunk_count)
        return text % {"count": reading.chunk_count}

    def sections(self, request: HttpRequest, row: Document) -> list[Section]:
        """The warnings of the latest reading, and all readings."""
        reading = row.latest_ingestion
        warnings = reading.warnings[:WARNINGS] if reading else []
        readings = row.ingestions.order_by("-pk")[:READINGS]
        return [
            *([_warnings(warnings)] if warnings else []),
            Section(
                title=_("Readings"),
                headers=[
                    *map(field_label, ["created_at", "status", "error", "warnings", "pages", "attempts", "seconds"])
                ],
                rows=[
                    [
                        cells.link(item, cells.moment(item.created_at)),
                        cells.badge(item.status, item.get_status_display()),
                        _failure(item),
                        cells.badge("warning", len(item.warnings)) if item.warnings else "-",
                        _pages(item),
                        item.attempts,
                        cells.decimal(item.seconds),
                    ]
                    for item in readings
                ],
            ),
        ]

    def has_write_permission(self, request: HttpRequest) -> bool:
        """Whether the actions are offered; Django asks for it by the name of their ``permissions``."""
        user: Any = request.user
        return bool(user.has_perm("documents.change_document"))

    @admin.action(description=gettext_lazy("Read again"), permissions=["write"])
    def reprocess(self, request: HttpRequest, documents: QuerySet[Document]) -> None:
        done = 0
        for document in documents:
            try:
                operations.read_again(document=document)
                done += 1
            except DomainError as refusal:
                self.message_user(request, f"{document}: {refusal.detail}", messages.WARNING)
        text = ngettext("%(count)d document is read again.", "%(count)d documents are read again.", done)
        self.message_user(request, text % {"count": done}, messages.SUCCESS if done else messages.WARNING)

    @admin.action(description=gettext_lazy("Delete, with their passages and files"), permissions=["write"])
    def delete_documents(self, request: HttpRequest, documents: QuerySet[Document]) -> HttpResponse | None:
        """Ask for confirmation, then delete the documents that the confirmation page listed."""
        chosen = list(documents.order_by("-pk")[: DELETED_AT_ONCE + 1])
        if len(chosen) > DELETED_AT_ONCE:
            text = _("At most %(count)d documents can be deleted at once.") % {"count": DELETED_AT_ONCE}
            self.message_user(request, text, messages.ERROR)
            return None
        if "confirmed" not in request.POST:
            text = ngettext(
                "Delete %(count)d document with its passages and its file? This cannot be undone.",
                "Delete %(count)d documents with their passages and files? This cannot be undone.",
                len(chosen),
            )
            return self.confirmation(
                request,
                question=text % {"count": len(chosen)},
                button=_("Delete"),
                rows=chosen,
                action="delete_documents",
            )
        for document in chosen:
            operations.discard_document(document=document)
        text = ngettext(
            "%(count)d document is hidden and will be removed.",
            "%(count)d documents are hidden and will be removed.",
            len(chosen),
        )
        self.message_user(request, text % {"count": len(chosen)}, messages.SUCCESS)
        return None


@admin.register(Ingestion)
class IngestionAdmin(ReadOnlyAdmin):
    list_display = ["made", "document_link", "shown_state", "pages", "attempts", "problem", "ended"]
    list_filter = ["status", ("error_code", WordedFilter)]
    list_select_related = ["document"]
    search_fields = ["=id", "document__name"]
    ordering = ["-pk"]
    of = {"doc": "document", "wsp": "document__workspace"}
    fields = [
        *("whole_id", "document_link", "state", "failure", "language", "pages", "attempts", "took", "chunk_count"),
        *("text_length", "leased", "made", "started", "ended", "purged"),
    ]
    whole_id, document_link, state = cells.typed_id(whole=True), cells.linked("document"), cells.state()
    made, started, ended = cells.when("created_at"), cells.when("started_at"), cells.when("finished_at")
    leased, purged = cells.when("lease_until"), cells.when("purged_at")

    @admin.display(description=field_label("status"), ordering="status")
    def shown_state(self, reading: Ingestion) -> Any:
        return _state(reading)

    @admin.display(description=field_label("error"), ordering="error_code")
    def problem(self, reading: Ingestion) -> Any:
        return code_label("ingestion.error_code", reading.error_code) if reading.error_code else "-"

    @admin.display(description=field_label("error"))
    def failure(self, reading: Ingestion) -> Any:
        return _failure(reading)

    @admin.display(description=field_label("pages"))
    def pages(self, reading: Ingestion) -> str:
        return _pages(reading)

    @admin.display(description=field_label("seconds"))
    def took(self, reading: Ingestion) -> str:
        return cells.decimal(reading.seconds)

    def sections(self, request: HttpRequest, row: Ingestion) -> list[Section]:
        return [_warnings(row.warnings[:WARNINGS])] if row.warnings else []


@admin.register(Collection)
class CollectionAdmin(ReadOnlyAdmin):
    list_display = ["short_name", "short_id", "workspace_link", "language", "creator", "made"]
    list_select_related = ["workspace", "created_by"]
    search_fields = ["=id", "name"]
    ordering = ["-pk"]
    of = {"wsp": "workspace", "usr": "created_by", "doc": "documents"}
    fields = ["whole_id", "name", "workspace_link", "language", "creator", "made", "changed"]
    short_name, short_id, whole_id = cells.text("name"), cells.typed_id(), cells.typed_id(whole=True)
    workspace_link, creator = cells.linked("workspace"), cells.linked("created_by")
    made, changed = cells.when("created_at"), cells.when("updated_at")


@admin.register(Usage)
class UsageAdmin(ReadOnlyAdmin):
    list_display = ["workspace_name", "documents", "size", "served"]
    list_select_related = ["workspace"]
    search_fields = ["=workspace__name"]
    ordering = ["-bytes"]
    of = {"wsp": "workspace"}
    fields = ["workspace_link", "documents", "size", "served"]
    workspace_link, served = cells.linked("workspace"), cells.when("served_at")

    def public_id_of(self, row: Any) -> str:
        return encode("wsp", row.workspace_id)

    @admin.display(description=field_label("workspace"), ordering="workspace__name")
    def workspace_name(self, usage: Usage) -> Any:
        return cells.clipped(usage.workspace)

    @admin.display(description=field_label("size"), ordering="bytes")
    def size(self, usage: Usage) -> str:
        return filesizeformat(usage.bytes)


def warning_of(item: Any) -> tuple[str, str]:
    """Code and text of a stored warning."""
    return (str(item.get("code", "")), str(item.get("detail", ""))) if isinstance(item, dict) else ("", str(item))


def _state(reading: Ingestion) -> Any:
    """The status, with a mark if the reading ended with warnings."""
    shown = cells.badge(reading.status, reading.get_status_display())
    count = len(reading.warnings)
    if not count:
        return shown
    text = ngettext("%(count)d warning", "%(count)d warnings", count) % {"count": count}
    return format_html("{} {}", shown, cells.badge("warning", text))


def _warnings(items: list[Any]) -> Section:
    rows = [
        [code_label("ingestion.error_code", code) if code else "-", translated(detail)]
        for code, detail in map(warning_of, items)
    ]
    return Section(title=_("Warnings"), headers=[_("What"), _("What happened")], rows=rows)


def _failure(reading: Ingestion | None) -> Any:
    """The error in words, with its code in the title."""
    if reading is None or not reading.error_code:
        return "-"
    again = _("Reading it again may succeed.") if reading.error_retryable else _("Reading it again will fail as well.")
    words = code_label("ingestion.error_code", reading.error_code)
    shown = cells.reason(words, translated(reading.error_detail), code=reading.error_code)
    return format_html("{} {}", shown, again)


def _pages(reading: Ingestion | None) -> str:
    if reading is None or not reading.paged:
        return "-"
    total = "?" if reading.pages_total is None else reading.pages_total
    return _("%(done)s of %(total)s") % {"done": reading.pages_done, "total": total}
