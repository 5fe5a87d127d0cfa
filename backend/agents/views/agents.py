"""Models, agents and what they know."""

from http import HTTPStatus
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import mixins
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from backend.accounts.authentication import actor_of
from backend.accounts.idempotency import IdempotentCreate
from backend.agents import queries
from backend.agents.models import Agent
from backend.agents.models.agents import AgentQuerySet
from backend.agents.operations import agents as operations
from backend.agents.representations import (
    AgentRepresentation,
    KnowledgeListRepresentation,
    KnowledgeRepresentation,
    ModelRepresentation,
)
from backend.agents.serializers import AgentSerializer, KnowledgeListSerializer, QuerySerializer
from backend.http.ids import encode
from backend.http.pagination import ShortListPagination
from backend.http.views import PublicIdLookup
from backend.llm.catalog import UnknownModel, catalog


class ModelListView(APIView):
    pagination_class = ShortListPagination

    @extend_schema(responses=ModelRepresentation(many=True))
    def get(self, request: Request) -> Response:
        """Every model that is offered here, also those whose provider lacks its key."""
        actor_of(request).require("agents:read")
        offered = catalog()
        try:
            default: str | None = offered.default_chat().id
        except UnknownModel:
            default = None
        pages = self.pagination_class()
        page = pages.paginate_queryset(offered.models, request, self)
        shown: Any = ModelRepresentation(page, many=True, context={"default": default}).data
        return pages.get_paginated_response(shown)


class AgentViewSet(
    IdempotentCreate, PublicIdLookup, mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Agent]
):
    id_prefix = Agent.id_prefix
    serializer_class = AgentRepresentation
    queryset = Agent.objects.none()

    def get_queryset(self) -> AgentQuerySet:
        actor = actor_of(self.request)
        actor.require("agents:read")
        return queries.agents(actor)

    @extend_schema(request=AgentSerializer, responses={201: AgentRepresentation})
    def create(self, request: Request) -> Response:
        """Create an agent."""
        given = AgentSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        actor = actor_of(request)
        agent = operations.create_agent(actor=actor, fields=given.agent_fields, knowledge=given.knowledge_items or [])
        location = {"Location": f"/api/v1/agents/{agent.public_id}"}
        shown = AgentRepresentation(queries.agent(actor, agent.pk)).data
        return Response(shown, status=HTTPStatus.CREATED, headers=location)

    @extend_schema(request=AgentSerializer, responses=AgentRepresentation)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change an agent. Anything but name and visibility makes a new version of it."""
        agent: Agent = self.get_object()
        given = AgentSerializer(data=request.data, partial=True)
        given.is_valid(raise_exception=True)
        operations.change_agent(
            actor=actor_of(request), agent=agent, fields=given.agent_fields, knowledge=given.knowledge_items
        )
        return Response(AgentRepresentation(queries.agent(actor_of(request), agent.pk)).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete an agent; conversations with it stay readable."""
        operations.delete_agent(actor=actor_of(request), agent=self.get_object())
        return Response(status=HTTPStatus.NO_CONTENT)

    @extend_schema(methods=["GET"], responses=KnowledgeListRepresentation)
    @extend_schema(methods=["PUT"], request=KnowledgeListSerializer, responses=KnowledgeListRepresentation)
    @action(methods=["get", "put"], detail=True)
    def knowledge(self, request: Request, pk: str) -> Response:
        """Show the agent's knowledge, or replace all of it."""
        agent: Agent = self.get_object()
        if request.method == "PUT":
            given = KnowledgeListSerializer(data=_wrapped(request.data))
            given.is_valid(raise_exception=True)
            operations.change_agent(
                actor=actor_of(request), agent=agent, fields={}, knowledge=given.validated_data["knowledge"]
            )
            agent = queries.agent(actor_of(request), agent.pk)
        return Response({"knowledge": KnowledgeRepresentation(agent.current.knowledge.all(), many=True).data})

    @extend_schema(request=QuerySerializer, responses={200: dict})
    def search(self, request: Request, pk: str) -> Response:
        """What would the agent retrieve for this query?"""
        agent: Agent = self.get_object()
        given = QuerySerializer(data=request.data)
        given.is_valid(raise_exception=True)
        found = operations.try_search(actor=actor_of(request), agent=agent, query=given.validated_data["query"])
        if found is None:
            return Response({"results": [], "mode": "lexical", "degraded": False})
        shown = [_passage(passage) for passage in found.passages]
        return Response({"results": shown, "mode": found.mode, "degraded": found.degraded})


def _wrapped(data: Any) -> Any:
    """The list may be sent bare or as ``{"knowledge": […]}``."""
    return {"knowledge": data} if isinstance(data, list) else data


def _passage(passage: Any) -> dict[str, Any]:
    """As ``POST /api/v1/search`` shows it."""
    return {
        "document": encode("doc", passage.document_id),
        "document_name": passage.document_name,
        "chunk": encode("chk", passage.chunk_id),
        "text": passage.text,
        "score": passage.score,
        "page_from": passage.page_from,
        "page_to": passage.page_to,
        "char_start": passage.char_start,
        "char_end": passage.char_end,
        "boxes": passage.boxes,
    }
