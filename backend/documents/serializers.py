"""Serializers of documents, collections, passages and searches."""

from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from backend.documents import queries
from backend.documents.fields import LanguageField, MetadataField, NameField, ReasonField
from backend.documents.models import Chunk, Collection, Document, Ingestion, Language
from backend.http.bodies import StrictSerializer
from backend.http.fields import CharField, ChoiceField, IntegerField, ListField
from backend.http.ids import PublicIdField, encode

STATUSES = ["awaiting_upload", *Ingestion.Status.values, "deleting"]


class ProgressSerializer(serializers.Serializer[Any]):
    pages_done = serializers.IntegerField()
    pages_total = serializers.IntegerField(allow_null=True)
    percent = serializers.IntegerField()


class DocumentErrorSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    detail = ReasonField()
    retryable = serializers.BooleanField()


class WarningSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    detail = ReasonField()


class DocumentSerializer(serializers.ModelSerializer[Document]):
    """A document as clients see it. ``page_count`` is none for formats without pages."""

    id = PublicIdField(Document.id_prefix)
    content_type = serializers.CharField(source="blob.content_type")
    size = serializers.IntegerField(source="blob.size", help_text="Bytes.")
    sha256 = serializers.CharField(source="blob.sha256")
    status = serializers.ChoiceField(choices=STATUSES)
    progress = ProgressSerializer(source="latest_ingestion.progress")
    error = DocumentErrorSerializer(source="latest_ingestion.error", allow_null=True)
    warnings = WarningSerializer(source="latest_ingestion.warnings", many=True)
    language = serializers.SerializerMethodField()
    page_count = serializers.SerializerMethodField()
    chunk_count = serializers.SerializerMethodField()
    collections = serializers.SerializerMethodField()
    cost = serializers.SerializerMethodField()
    created_by = PublicIdField("usr", source="created_by_id", allow_null=True)

    class Meta:
        model = Document
        fields = [
            *("id", "name", "content_type", "size", "sha256", "status", "progress", "error", "warnings", "language"),
            *("page_count", "chunk_count", "collections", "metadata", "cost", "created_by", "created_at", "updated_at"),
        ]
        read_only_fields = fields

    @extend_schema_field(serializers.ChoiceField(choices=Language.choices, allow_null=True))
    def get_language(self, document: Document) -> str | None:
        ingestion = _shown(document)
        return document.claimed_language or (ingestion.language if ingestion else None)

    def get_page_count(self, document: Document) -> int | None:
        ingestion = _shown(document)
        return ingestion.pages_total if ingestion and ingestion.paged else None

    def get_chunk_count(self, document: Document) -> int:
        ingestion = _shown(document)
        return ingestion.chunk_count if ingestion else 0

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_collections(self, document: Document) -> list[str]:
        ids = sorted(membership.collection_id for membership in document.collection_documents.all())
        return [encode(Collection.id_prefix, collection_id) for collection_id in ids]

    def get_cost(self, document: Document) -> str:
        return "0.00"  # Reading documents is free until it needs a model.


def _shown(document: Document) -> Ingestion | None:
    """The active ingestion, else the latest one."""
    return document.active_ingestion or document.latest_ingestion


class StorageUsageSerializer(serializers.Serializer[Any]):
    """Usage and limits; deleted documents do not count."""

    bytes = serializers.IntegerField()
    bytes_limit = serializers.IntegerField()
    documents = serializers.IntegerField()
    documents_limit = serializers.IntegerField()


class UploadSerializer(serializers.Serializer[Any]):
    """The multipart body of an upload."""

    file = serializers.FileField(allow_empty_file=True, max_length=None)
    name = NameField(required=False, allow_blank=True)
    collection = PublicIdField(Collection.id_prefix, required=False)
    metadata = MetadataField(required=False)
    language = LanguageField(required=False)


class DocumentChangeSerializer(StrictSerializer):
    name = NameField(required=False)
    metadata = MetadataField(required=False)


class BoxSerializer(serializers.Serializer[Any]):
    """A line of print: fractions of the page, origin top left, and its characters in the document's text."""

    page = serializers.IntegerField()
    x0 = serializers.FloatField()
    y0 = serializers.FloatField()
    x1 = serializers.FloatField()
    y1 = serializers.FloatField()
    char_start = serializers.IntegerField()
    char_end = serializers.IntegerField()


@extend_schema_field(BoxSerializer(many=True))
class BoxesField(serializers.Field[Any, Any, Any, Any]):
    """Boxes as ``queries`` returns them. Through ``BoxSerializer`` they would take half the time of a search."""

    def to_representation(self, value: Any) -> Any:
        return value


class ChunkListSerializer(serializers.ListSerializer[Any]):
    """Fetches the boxes of a whole page of chunks with one query."""

    def to_representation(self, data: Any) -> Any:
        chunks = list(data)
        self.child._context["boxes"] = queries.boxes_of(chunks)  # type: ignore[union-attr]  # Set by many=True.
        return [self.child.to_representation(chunk) for chunk in chunks]  # type: ignore[union-attr]


class ChunkSerializer(serializers.ModelSerializer[Chunk]):
    """A passage. ``index`` counts from 0; the spans are characters of the document's text."""

    id = PublicIdField(Chunk.id_prefix)
    document = PublicIdField(Document.id_prefix, source="document_id")
    boxes = serializers.SerializerMethodField()

    class Meta:
        model = Chunk
        list_serializer_class = ChunkListSerializer
        fields = [
            *("id", "document", "index", "text", "language", "page_from", "page_to", "char_start", "char_end", "boxes")
        ]
        read_only_fields = fields

    @extend_schema_field(BoxSerializer(many=True))
    def get_boxes(self, chunk: Chunk) -> list[dict[str, Any]]:
        known: dict[UUID, list[dict[str, Any]]] = self.context.get("boxes") or queries.boxes_of([chunk])
        return known[chunk.pk]


class TextPageSerializer(serializers.Serializer[Any]):
    page = serializers.IntegerField()
    char_start = serializers.IntegerField()
    char_end = serializers.IntegerField()


class TextSerializer(serializers.Serializer[Any]):
    """The whole text, and which of its characters are on which page."""

    document = serializers.CharField()
    text = serializers.CharField()
    pages = TextPageSerializer(many=True)


class CollectionSerializer(serializers.ModelSerializer[Collection]):
    id = PublicIdField(Collection.id_prefix)
    document_count = serializers.IntegerField()
    created_by = PublicIdField("usr", source="created_by_id", allow_null=True)

    class Meta:
        model = Collection
        fields = ["id", "name", "language", "document_count", "created_by", "created_at", "updated_at"]
        read_only_fields = fields


class CollectionChangeSerializer(StrictSerializer):
    name = NameField(max_length=200)
    language = LanguageField(required=False, allow_null=True)


class MembershipSerializer(StrictSerializer):
    """Which document to put into a collection, or to take out of it."""

    document = PublicIdField(Document.id_prefix)


class SearchFilterSerializer(serializers.Serializer[Any]):
    """Conditions on documents. ``metadata``: each of these members, with this value."""

    strict = True  # For the OpenAPI document.

    content_type = ListField(child=CharField(max_length=128), required=False, max_length=20)
    language = ListField(child=LanguageField(), required=False, max_length=5)
    metadata = MetadataField(required=False)

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            unknown = {name: [_("This is not a filter.")] for name in data if name not in self.fields}
            if unknown:
                raise serializers.ValidationError(unknown)
            data = {
                name: [value] if name != "metadata" and isinstance(value, str) else value
                for name, value in data.items()
            }
        return super().to_internal_value(data)


class SearchSerializer(StrictSerializer):
    query = CharField(max_length=4_000)
    collections = ListField(child=CharField(max_length=64), required=False, allow_empty=True, max_length=100)
    documents = ListField(child=CharField(max_length=64), required=False, allow_empty=True, max_length=1_000)
    filter = SearchFilterSerializer(required=False)
    limit = IntegerField(min_value=1, max_value=100, default=10)
    mode = ChoiceField(choices=queries.MODES, required=False, allow_null=True)


class PassageSerializer(serializers.Serializer[Any]):
    document = PublicIdField(Document.id_prefix, source="document_id")
    document_name = serializers.CharField()
    chunk = PublicIdField(Chunk.id_prefix, source="chunk_id")
    text = serializers.CharField()
    score = serializers.FloatField()
    page_from = serializers.IntegerField(allow_null=True)
    page_to = serializers.IntegerField(allow_null=True)
    char_start = serializers.IntegerField()
    char_end = serializers.IntegerField()
    boxes = BoxesField()


class SearchResultSerializer(serializers.Serializer[Any]):
    results = PassageSerializer(source="passages", many=True)
    mode = serializers.ChoiceField(choices=queries.MODES)
    degraded = serializers.BooleanField()
