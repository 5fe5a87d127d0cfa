"""Conversations and their messages."""

from http import HTTPStatus
from typing import Any

from django.core.validators import ProhibitNullCharactersValidator
from django.db import transaction
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins
from rest_framework.pagination import Cursor
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from backend.accounts.authentication import actor_of
from backend.accounts.idempotency import IdempotentCreate
from backend.agents import branches, queries
from backend.agents.models import Agent, Conversation, Message
from backend.agents.models.conversations import ConversationQuerySet, MessageQuerySet
from backend.agents.operations import conversations as operations
from backend.agents.operations import runs
from backend.agents.operations.runs import Question
from backend.agents.representations import (
    BegunConversationRepresentation,
    ConversationRepresentation,
    FeedbackRepresentation,
    MessageRepresentation,
    RunRepresentation,
)
from backend.agents.serializers import ConversationChangeSerializer, ConversationSerializer, FeedbackSerializer
from backend.agents.views.runs import language_of
from backend.agents.views.streamed import StreamedRuns
from backend.errors import FieldError, NotFound
from backend.http.ids import decode
from backend.http.openapi.fields import NO_NUL
from backend.http.pagination import TIMES, CursorPagination
from backend.http.views import PublicIdLookup, boolean_parameter


class LatestFirst(CursorPagination):
    ordering = ("-updated_at", "-id")
    position = TIMES


class ConversationViewSet(
    StreamedRuns,
    IdempotentCreate,
    PublicIdLookup,
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    GenericViewSet[Conversation],
):
    id_prefix = Conversation.id_prefix
    serializer_class = ConversationRepresentation
    pagination_class = LatestFirst
    queryset = Conversation.objects.none()

    def get_queryset(self) -> ConversationQuerySet:
        actor = actor_of(self.request)
        actor.require("agents:read")
        return queries.conversations(actor)

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "q", {"type": "string", "pattern": NO_NUL}, description="Words of the title or a message."
            ),
            OpenApiParameter("agent", OpenApiTypes.STR, description="The id of an agent."),
            OpenApiParameter("archived", OpenApiTypes.BOOL, description="Omitted: those that are not."),
        ]
    )
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The caller's own conversations, the latest first."""
        return super().list(request, *args, **kwargs)

    def filter_queryset(self, queryset: Any) -> Any:
        if self.action != "list":
            return queryset
        asked = self.request.query_params
        archived = boolean_parameter(self.request, "archived", default=False)
        queryset = queryset.filter(archived_at__isnull=not archived)
        if "agent" in asked:
            try:
                queryset = queryset.filter(agent_id=decode(Agent.id_prefix, asked["agent"]))
            except NotFound:
                return queryset.none()
        if "\x00" in asked.get("q", ""):
            raise FieldError("/q", str(ProhibitNullCharactersValidator.message))
        if words := asked.get("q", "").strip():
            queryset = queries.matching(queryset, words[:200])
        return queryset

    @extend_schema(request=ConversationSerializer, responses={201: BegunConversationRepresentation})
    def create(self, request: Request) -> Response:
        """Create a conversation. With ``input`` it also starts a run: both exist, or neither."""
        given = ConversationSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        actor, values, run = actor_of(request), given.validated_data, None
        with transaction.atomic():
            conversation = operations.create_conversation(actor=actor, agent_id=values["agent"], title=values["title"])
            if "input" in values:
                run = runs.start_run(
                    actor=actor,
                    conversation_id=conversation.pk,
                    question=Question(text=values["input"]),
                    max_cost=values.get("max_cost"),
                    wait_for_knowledge=values["wait_for_knowledge"],
                    language=language_of(request),
                )
        shown = dict(ConversationRepresentation(queries.conversation(actor, conversation.pk)).data)
        if run is not None:
            shown["run"] = RunRepresentation(run).data
        location = {"Location": f"/api/v1/conversations/{conversation.public_id}"}
        return Response(shown, status=HTTPStatus.CREATED, headers=location)

    @extend_schema(request=ConversationChangeSerializer, responses=ConversationRepresentation)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Rename it, archive it, or choose the branch that is shown and that the next question follows."""
        conversation: Conversation = self.get_object()
        given = ConversationChangeSerializer(data=request.data, partial=True)
        given.is_valid(raise_exception=True)
        changed = operations.change_conversation(
            actor=actor_of(request), conversation=conversation, fields=given.validated_data
        )
        return Response(ConversationRepresentation(changed).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete it with all its messages; a run that has not ended is cancelled."""
        operations.delete_conversation(actor=actor_of(request), conversation=self.get_object())
        return Response(status=HTTPStatus.NO_CONTENT)


class OldestFirst(CursorPagination):
    """Of ``branch=head`` it reads no more of the branch than the page shows (``backend.agents.branches``)."""

    ordering = "id"

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any] | None:
        conversation: Conversation | None = view.branch_of
        if conversation is not None:
            cursor = self.decode_cursor(request) or Cursor(offset=0, reverse=False, position=None)
            count = cursor.offset + self.get_page_size(request) + 1
            begin: Any = cursor.position  # An id: ``position`` is IDS.
            if cursor.reverse:  # The message that the other page begins with is not on this one.
                ids = branches.ids_back(conversation, begin, count=count + 1)
            else:
                ids = branches.ids_after(conversation, begin, count=count)
            queryset = queryset.filter(pk__in=ids)
        return super().paginate_queryset(queryset, request, view)


class MessageViewSet(PublicIdLookup, mixins.ListModelMixin, GenericViewSet[Message]):
    """The messages of a conversation, and feedback on one."""

    id_prefix = Message.id_prefix
    serializer_class = MessageRepresentation
    pagination_class = OldestFirst
    queryset = Message.objects.none()
    branch_of: Conversation | None = None  # Whose branch the list shows; none: all of its messages.

    def get_queryset(self) -> MessageQuerySet:
        actor = actor_of(self.request)
        actor.require("agents:read")
        messages = queries.messages(actor)
        if "conversation" not in self.kwargs:
            return messages
        conversation = queries.conversation(actor, decode(Conversation.id_prefix, self.kwargs["conversation"]))
        wanted = self.request.query_params.get("branch", "head")
        if wanted not in ("head", "all"):
            raise FieldError("/branch", "This is head or all.")
        if wanted == "all":
            return messages.filter(conversation=conversation)
        self.branch_of = conversation  # The page names its messages: without a join PostgreSQL reads no others.
        return queries.shown(Message.objects.all())

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "branch", OpenApiTypes.STR, enum=["head", "all"], description="head: the messages of the chosen branch."
            )
        ]
    )
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The messages, oldest first."""
        return super().list(request, *args, **kwargs)

    @extend_schema(request=FeedbackSerializer, responses=FeedbackRepresentation)
    def feedback(self, request: Request, pk: str) -> Response:
        """Rate an answer."""
        given = FeedbackSerializer(data=request.data)
        message: Message = self.get_object()
        given.is_valid(raise_exception=True)
        feedback = operations.give_feedback(actor=actor_of(request), message=message, **given.validated_data)
        return Response(FeedbackRepresentation(feedback).data)
