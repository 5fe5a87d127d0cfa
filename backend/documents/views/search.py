"""Search over the workspace's documents."""

from collections.abc import Callable, Iterable
from uuid import UUID

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from backend.documents import queries
from backend.documents.models import Collection, Document
from backend.documents.serializers import SearchResultSerializer, SearchSerializer
from backend.documents.views.access import DocumentsView
from backend.errors import NotFound
from backend.http.concurrency import hold_slot
from backend.http.ids import decode


class SearchView(DocumentsView):
    reads_by_post = True

    @extend_schema(request=SearchSerializer, responses=SearchResultSerializer, operation_id="search")
    def post(self, request: Request) -> Response:
        """The passages that answer a query best: in the given collections and documents, or in the whole workspace."""
        given = SearchSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        fields = given.validated_data
        conditions = fields.get("filter", {})
        collections = self._own(Collection.id_prefix, fields.get("collections", ()), queries.existing_collections)
        documents = self._own(Document.id_prefix, fields.get("documents", ()), queries.existing_documents)
        workspace_id = self.actor.workspace_id
        seconds = 4 * settings.SEARCH_SECONDS  # The statements of one search, and serializing its result.
        with hold_slot("searches", str(workspace_id), limit=settings.SEARCHES_PER_WORKSPACE, seconds=seconds):
            result = queries.search(
                workspace_id=workspace_id,
                query=fields["query"],
                collection_ids=collections,
                document_ids=documents,
                limit=fields["limit"],
                mode=fields.get("mode"),
                content_types=conditions.get("content_type", ()),
                languages=conditions.get("language", ()),
                metadata=conditions.get("metadata"),
            )
        return Response(SearchResultSerializer(result).data)

    def _own(
        self, prefix: str, public_ids: Iterable[str], existing: Callable[[UUID, list[UUID]], dict[UUID, str]]
    ) -> list[UUID]:
        """:raises NotFound: one of them is malformed, unknown or of another workspace."""
        ids = sorted({decode(prefix, public_id) for public_id in public_ids})
        if ids and len(existing(self.actor.workspace_id, ids)) < len(ids):
            raise NotFound
        return ids
