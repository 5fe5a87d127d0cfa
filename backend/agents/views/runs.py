"""Starts, shows, cancels and retries runs."""

from http import HTTPStatus
from typing import Any

from django.utils.translation import get_language
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from backend.accounts.authentication import actor_of
from backend.accounts.idempotency import IdempotentCreate
from backend.agents import queries
from backend.agents.models import Conversation, Run
from backend.agents.models.runs import RunQuerySet
from backend.agents.operations import runs as operations
from backend.agents.representations import RunRepresentation, StepRepresentation, run_data
from backend.agents.serializers import RunSerializer
from backend.agents.views.streamed import StreamedRuns
from backend.errors import DomainError, FieldError
from backend.http.ids import decode
from backend.http.views import PublicIdLookup


def language_of(request: Request) -> str:
    """The one of our languages that the client asks for; empty if it asks for none."""
    return get_language() or "" if "Accept-Language" in request.headers else ""


def accepted(run: Run) -> Response:
    """202 with the run; Location has its path."""
    location = {"Location": f"/api/v1/runs/{run.public_id}"}
    return Response(run_data(run), status=HTTPStatus.ACCEPTED, headers=location)


class RunViewSet(
    StreamedRuns,
    IdempotentCreate,
    PublicIdLookup,
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    GenericViewSet[Run],
):
    """The caller's own runs."""

    id_prefix = Run.id_prefix
    starting = ("create", "retry")
    serializer_class = RunRepresentation
    queryset = Run.objects.none()

    def get_queryset(self) -> RunQuerySet:
        actor = actor_of(self.request)
        actor.require("agents:read")
        return queries.runs(actor)

    @extend_schema(parameters=[OpenApiParameter("status", OpenApiTypes.STR, enum=Run.Status.values)])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The latest first."""
        return super().list(request, *args, **kwargs)

    def filter_queryset(self, queryset: Any) -> Any:
        status = self.request.query_params.get("status")
        if self.action != "list" or status is None:
            return queryset
        if status not in Run.Status.values:
            raise FieldError("/status", "There is no such status.")
        return queryset.filter(status=status)

    @extend_schema(request=RunSerializer, responses={202: RunRepresentation})
    def create(self, request: Request, conversation: str) -> Response:
        """Ask. The most that the answer can cost is set aside; what is left comes back when it has ended."""
        conversation_id = decode(Conversation.id_prefix, conversation)
        actor = actor_of(request)
        given = RunSerializer(data=request.data)
        try:
            given.is_valid(raise_exception=True)
        except (ValidationError, DomainError):
            queries.conversation(
                actor, conversation_id
            )  # A refused body must not show that another user's conversation exists.
            raise
        run = operations.start_run(
            actor=actor,
            conversation_id=conversation_id,
            question=given.validated_data["question"],
            max_cost=given.validated_data.get("max_cost"),
            when_busy=given.validated_data["when_busy"],
            wait_for_knowledge=given.validated_data["wait_for_knowledge"],
            language=language_of(request),
        )
        return accepted(run)

    @extend_schema(responses=StepRepresentation(many=True))
    def steps(self, request: Request, pk: str) -> Response:
        """Each request to the provider and each tool's work, in order."""
        page = self.paginate_queryset(queries.steps(self.get_object()))
        return self.get_paginated_response(StepRepresentation(page, many=True).data)

    @extend_schema(request=None, responses={202: RunRepresentation})
    def cancel(self, request: Request, pk: str) -> Response:
        """Stop it. What was answered so far is kept and what was used is charged."""
        return accepted(operations.cancel_run(actor=actor_of(request), run=self.get_object()))

    @extend_schema(request=None, responses={202: RunRepresentation})
    def retry(self, request: Request, pk: str) -> Response:
        """Ask the same question again, in a new run."""
        return accepted(operations.retry_run(actor=actor_of(request), run=self.get_object()))
