"""What operators see of documents: how far each was read and why it failed; the texts themselves are not shown."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from backend.accounts.operators.model_admin import OperatorModelAdmin
from backend.documents import operations
from backend.documents.models import Collection, Document, Ingestion, Usage
from backend.errors import DomainError


class WindowAdmin(OperatorModelAdmin):
    """Looks only: nothing is added or changed here."""

    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Document)
class DocumentAdmin(WindowAdmin):
    list_display = ["name", "state", "workspace", "kind", "size", "created_at"]
    list_filter = ["latest_ingestion__status", "blob__content_type"]
    list_select_related = ["workspace", "blob", "latest_ingestion"]
    search_fields = ["name", "=workspace__name"]
    actions = ["reprocess", "delete_documents"]
    exclude = ["metadata"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Document]:
        return Document.objects.alive()

    @admin.display(description=gettext_lazy("status"), ordering="latest_ingestion__status")
    def state(self, document: Document) -> str:
        return document.status

    @admin.display(description=gettext_lazy("type"), ordering="blob__content_type")
    def kind(self, document: Document) -> str:
        return document.blob.content_type

    @admin.display(description=gettext_lazy("bytes"), ordering="blob__size")
    def size(self, document: Document) -> int:
        return document.blob.size

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
        self.message_user(request, _("%(count)d queued.") % {"count": done})

    @admin.action(description=gettext_lazy("Delete, with their passages and files"), permissions=["write"])
    def delete_documents(self, request: HttpRequest, documents: QuerySet[Document]) -> None:
        for document in documents:
            operations.discard_document(document=document)
        self.message_user(request, _("The documents are hidden and will be removed."))


@admin.register(Ingestion)
class IngestionAdmin(WindowAdmin):
    list_display = ["created_at", "document", "status", "pages_done", "pages_total", "attempts", "error_code"]
    list_filter = ["status", "error_code"]
    list_select_related = ["document"]
    search_fields = ["document__name"]


@admin.register(Collection)
class CollectionAdmin(WindowAdmin):
    list_display = ["name", "workspace", "language", "created_at"]
    list_select_related = ["workspace"]
    search_fields = ["name"]


@admin.register(Usage)
class UsageAdmin(WindowAdmin):
    list_display = ["workspace", "documents", "bytes", "served_at"]
    list_select_related = ["workspace"]
    search_fields = ["=workspace__name"]
    ordering = ["-bytes"]
