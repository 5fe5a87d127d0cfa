"""Collections and what is in them."""

from http import HTTPStatus
from typing import Any

from django.db.models import Count, Q, QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from backend.accounts.idempotency import IdempotentCreate
from backend.documents import operations
from backend.documents.models import Collection
from backend.documents.serializers import CollectionChangeSerializer, CollectionSerializer, MembershipSerializer
from backend.documents.views.access import DocumentsView
from backend.errors import NotFound
from backend.http.openapi.operations import id_schema
from backend.http.views import PublicIdLookup


class CollectionViewSet(
    IdempotentCreate,
    DocumentsView,
    PublicIdLookup,
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    GenericViewSet[Collection],
):
    serializer_class = CollectionSerializer
    id_prefix = Collection.id_prefix

    def get_queryset(self) -> QuerySet[Collection]:
        if getattr(self, "swagger_fake_view", False):
            return Collection.objects.none()
        alive = Count("documents", filter=Q(documents__deleted_at=None))
        return Collection.objects.visible_to(self.actor).annotate(document_count=alive)

    @extend_schema(request=CollectionChangeSerializer, responses={201: CollectionSerializer})
    def create(self, request: Request) -> Response:
        """Make an empty collection."""
        given = CollectionChangeSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        collection = operations.create_collection(actor=self.actor, **given.validated_data)
        location = f"/api/v1/collections/{collection.public_id}"
        return Response(self._shown(collection), status=HTTPStatus.CREATED, headers={"Location": location})

    @extend_schema(request=CollectionChangeSerializer, responses=CollectionSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change the name or the language of what is uploaded into it from now on."""
        collection = self.get_object()
        change = CollectionChangeSerializer(data=request.data, partial=True)
        change.is_valid(raise_exception=True)
        operations.update_collection(actor=self.actor, collection=collection, **change.validated_data)
        return Response(self._shown(collection))

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Remove the collection; its documents stay."""
        operations.delete_collection(actor=self.actor, collection=self.get_object())
        return Response(status=HTTPStatus.NO_CONTENT)

    @extend_schema(request=MembershipSerializer, responses=CollectionSerializer)
    def add(self, request: Request, pk: str) -> Response:
        """Put a document into the collection; that it is there already is fine."""
        collection = self.get_object()
        operations.add_to_collection(actor=self.actor, collection=collection, document_id=self._document_id(request))
        return Response(self._shown(collection))

    @extend_schema(
        request=None,  # A body is read too, but not every client, and no generated one, sends one with a DELETE.
        parameters=[OpenApiParameter("document", id_schema("doc"), required=True, description="The document's id.")],
        responses={204: None},
    )
    def remove(self, request: Request, pk: str) -> Response:
        """Take a document out of the collection."""
        operations.remove_from_collection(
            actor=self.actor, collection=self.get_object(), document_id=self._document_id(request)
        )
        return Response(status=HTTPStatus.NO_CONTENT)

    def _document_id(self, request: Request) -> Any:
        given = MembershipSerializer(data=request.data or request.query_params)
        given.is_valid(raise_exception=True)
        return given.validated_data["document"]

    def _shown(self, collection: Collection) -> dict[str, Any]:
        fresh = self.get_queryset().filter(pk=collection.pk).first()
        if fresh is None:
            raise NotFound  # Deleted meanwhile.
        return dict(self.get_serializer(fresh).data)
