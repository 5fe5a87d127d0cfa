"""Documents: upload, lists, changes, processing."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import django_filters  # type: ignore[import-untyped]  # It has no types.
from django.db.models import Q, QuerySet
from drf_spectacular.utils import OpenApiParameter, OpenApiRequest, OpenApiResponse, extend_schema
from rest_framework import mixins
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from backend.accounts.idempotency import IdempotentCreate
from backend.db.accents import accent_insensitive_pattern
from backend.documents import filetypes, operations, quota, receiving
from backend.documents.models import Collection, Document, DocumentQuerySet, Ingestion
from backend.documents.receiving import StoredUpload
from backend.documents.serializers import (
    STATUSES,
    DocumentChangeSerializer,
    DocumentSerializer,
    StorageUsageSerializer,
    UploadSerializer,
)
from backend.documents.uploads import UploadParser, refuse_too_long
from backend.documents.views.access import DocumentsView
from backend.errors import FieldError, NotFound
from backend.http.ids import decode
from backend.http.openapi.fields import NO_NUL
from backend.http.parsers import JSONParser
from backend.http.views import PublicIdLookup

ACCEPTED = ", ".join(sorted(set(filetypes.EXTENSIONS.values()), key=lambda kind: (kind != filetypes.PLAIN, kind)))


def _text(longest: int) -> dict[str, Any]:
    return {"type": "string", "maxLength": longest, "pattern": NO_NUL}


class DocumentFilter(django_filters.FilterSet):  # type: ignore[misc]  # Its base has no types.
    """Of the list of documents."""

    status = django_filters.ChoiceFilter(choices=[(value, value) for value in STATUSES], method="with_status")
    collection = django_filters.CharFilter(method="in_collection", max_length=64)
    q = django_filters.CharFilter(method="named", max_length=255)
    content_type = django_filters.CharFilter(field_name="blob__content_type", max_length=128)
    tag = django_filters.CharFilter(method="tagged", max_length=255)
    warnings = django_filters.ChoiceFilter(
        choices=[("true", "true"), ("false", "false")],
        method="with_warnings",
        help_text="Whether the last reading ended with warnings.",
    )

    def with_warnings(self, documents: DocumentQuerySet, name: str, value: str) -> DocumentQuerySet:
        warned = Q(latest_ingestion__isnull=False) & ~Q(latest_ingestion__warnings=[])
        return documents.filter(warned if value == "true" else ~warned)

    def tagged(self, documents: DocumentQuerySet, name: str, value: str) -> DocumentQuerySet:
        return documents.filter(metadata__contains={"tags": [value]})

    def named(self, documents: DocumentQuerySet, name: str, value: str) -> DocumentQuerySet:
        return documents.filter(name__iregex=accent_insensitive_pattern(value))

    def with_status(self, documents: DocumentQuerySet, name: str, value: str) -> DocumentQuerySet:
        if value not in Ingestion.Status.values:
            return documents.none()
        return documents.filter(latest_ingestion__status=value)

    def in_collection(self, documents: DocumentQuerySet, name: str, value: str) -> DocumentQuerySet:
        try:
            return documents.filter(collection_documents__collection_id=decode(Collection.id_prefix, value))
        except NotFound:
            return documents.none()


class UsageView(DocumentsView):
    @extend_schema(responses=StorageUsageSerializer, operation_id="documents_usage")
    def get(self, request: Request) -> Response:
        """What the workspace keeps, and what it may keep."""
        return Response(StorageUsageSerializer(quota.usage(workspace_id=self.actor.workspace_id)).data)


class DocumentViewSet(
    IdempotentCreate,
    DocumentsView,
    PublicIdLookup,
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    GenericViewSet[Document],
):
    serializer_class = DocumentSerializer
    id_prefix = Document.id_prefix
    filterset_class = DocumentFilter
    parser_classes = [JSONParser]
    fields: dict[str, Any]  # Of an upload, with the file.
    upload: StoredUpload

    def get_queryset(self) -> QuerySet[Document]:
        if getattr(self, "swagger_fake_view", False):
            return Document.objects.none()
        documents = Document.objects.visible_to(self.actor)
        return documents.select_related("blob", "latest_ingestion", "active_ingestion").prefetch_related(
            "collection_documents"
        )

    def filter_queryset(self, queryset: Any) -> Any:
        """Filters are for the list. Clients poll single documents, which need none."""
        return super().filter_queryset(queryset) if self.action == "list" else queryset

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        refuse_too_long(request)
        super().initial(request, *args, **kwargs)

    @contextmanager
    def prepared(self, request: Request) -> Iterator[None]:
        """The bytes of an upload are stored before any transaction begins."""
        if self.action != "create":
            yield
            return
        if "file" not in request.data:
            raise FieldError("/file", "Send the file as multipart/form-data, in the field file.", code="required")
        given = UploadSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        self.fields = given.validated_data
        with self.fields["file"] as file, receiving.checked(actor=self.actor, file=file) as self.upload:
            yield

    def get_parsers(self) -> list[Any]:
        uploads = self.request is not None and self.request.method == "POST" and "pk" not in self.kwargs
        return [UploadParser()] if uploads else super().get_parsers()

    @extend_schema(
        request={"multipart/form-data": OpenApiRequest(UploadSerializer, encoding={"file": {"contentType": ACCEPTED}})},
        responses={
            201: DocumentSerializer,
            200: OpenApiResponse(DocumentSerializer, description="The workspace has these bytes already."),
        },
    )
    def create(self, request: Request) -> Response:
        """Upload a file; it is read in the background."""
        document, created = operations.create_document(
            actor=self.actor,
            upload=self.upload,
            name=self.fields.get("name"),
            collection_id=self.fields.get("collection"),
            metadata=self.fields.get("metadata"),
            language=self.fields.get("language"),
        )
        status = HTTPStatus.CREATED if created else HTTPStatus.OK
        return Response(
            self._shown(document), status=status, headers={"Location": f"/api/v1/documents/{document.public_id}"}
        )

    @extend_schema(request=DocumentChangeSerializer, responses=DocumentSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change the name or the metadata."""
        document = self.get_object()
        change = DocumentChangeSerializer(data=request.data, partial=True)
        change.is_valid(raise_exception=True)
        operations.update_document(actor=self.actor, document=document, **change.validated_data)
        return Response(self._shown(document))

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Hide it at once; its bytes and passages are removed soon after."""
        operations.delete_document(actor=self.actor, document=self.get_object())
        return Response(status=HTTPStatus.NO_CONTENT)

    @extend_schema(request=None, responses={202: DocumentSerializer})
    def reprocess(self, request: Request, pk: str) -> Response:
        """Read the file again; until that is done, search finds what it found before."""
        document = operations.reprocess_document(actor=self.actor, document=self.get_object())
        return Response(self._shown(document), status=HTTPStatus.ACCEPTED)

    @extend_schema(request=None, responses={202: DocumentSerializer})
    def cancel(self, request: Request, pk: str) -> Response:
        """Stop reading the file."""
        document = operations.cancel_processing(actor=self.actor, document=self.get_object())
        return Response(self._shown(document), status=HTTPStatus.ACCEPTED)

    @extend_schema(
        parameters=[
            OpenApiParameter("status", enum=STATUSES),
            OpenApiParameter("collection", _text(64), description="The id of a collection."),
            OpenApiParameter("q", _text(255), description="A part of the name."),
            OpenApiParameter("content_type", _text(128), description="Such as `application/pdf`."),
            OpenApiParameter("tag", _text(255), description="One of the list `tags` in the metadata."),
        ]
    )
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The workspace's documents, newest first."""
        return super().list(request, *args, **kwargs)

    def _shown(self, document: Document) -> dict[str, Any]:
        fresh = self.get_queryset().filter(pk=document.pk).first()
        if fresh is None:
            raise NotFound  # Deleted meanwhile.
        return dict(self.get_serializer(fresh).data)
