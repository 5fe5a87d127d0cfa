"""Views of users, log-ins and workspaces. allauth serves the routes under ``auth/`` and ``account/``."""

from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import cache_control
from drf_spectacular.utils import extend_schema
from rest_framework import mixins
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from backend.accounts import operations, queries
from backend.accounts.authentication import caller_of
from backend.accounts.keys import key_ring
from backend.accounts.models import Membership, Session, Workspace
from backend.accounts.serializers import (
    MembershipSerializer,
    RefreshedSerializer,
    RefreshSerializer,
    SessionSerializer,
    UserChangeSerializer,
    UserSerializer,
    user_data,
)
from backend.errors import NotFound
from backend.http import limits
from backend.http.methods import read_only
from backend.http.pagination import CursorPagination
from backend.http.views import PublicIdLookup


class MeView(APIView):
    acts_in_workspace = False

    @extend_schema(responses=UserSerializer)
    def get(self, request: Request) -> Response:
        """The person behind the token, and where they may act."""
        return Response(user_data(queries.profile(caller_of(request).id)))

    @extend_schema(request=UserChangeSerializer, responses=UserSerializer)
    def patch(self, request: Request) -> Response:
        """Change the name or the language."""
        change = UserChangeSerializer(data=request.data, partial=True)
        change.is_valid(raise_exception=True)
        operations.change_user(user_id=caller_of(request).id, **change.validated_data)
        return self.get(request)


class RefreshView(APIView):
    acts_in_workspace = False
    authentication_classes = ()
    permission_classes = ()

    @extend_schema(request=RefreshSerializer, responses=RefreshedSerializer, auth=[])
    def post(self, request: Request) -> Response:
        """Buy the next pair of tokens with a refresh token, once."""
        rate = limits.Rate.parse(settings.REFRESH_RATE_LIMIT)
        limits.check("refresh", rate, f"address:{limits.address_of(request)}")
        given = RefreshSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        pair = operations.refresh_session(refresh_token=given.validated_data["refresh_token"])
        data = {
            "access_token": pair.access_token,
            "refresh_token": pair.refresh_token,
            "expires_in": int(settings.ACCESS_TOKEN_LIFETIME.total_seconds()),
        }
        return Response({"status": HTTPStatus.OK, "data": data}, headers={"Cache-Control": "no-store"})


class SessionViewSet(PublicIdLookup, mixins.ListModelMixin, GenericViewSet[Session]):
    """The caller's log-ins that have not ended."""

    acts_in_workspace = False
    id_prefix = Session.id_prefix
    serializer_class = SessionSerializer
    queryset = Session.objects.none()

    def get_queryset(self) -> QuerySet[Session]:
        return Session.objects.live().filter(user_id=caller_of(self.request).id)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Log out there."""
        session: Session = self.get_object()
        operations.revoke_session(session_id=session.pk, reason="logged_out")
        return Response(status=HTTPStatus.NO_CONTENT)

    @extend_schema(operation_id="sessions_destroy_others", responses={204: None})
    def destroy_others(self, request: Request) -> Response:
        """Log out everywhere but here."""
        caller = caller_of(request)
        operations.revoke_sessions(user_id=caller.id, reason="logged_out", but=caller.session_id)
        return Response(status=HTTPStatus.NO_CONTENT)


class NewestWorkspaceFirst(CursorPagination):
    ordering = "-workspace_id"


class WorkspaceViewSet(PublicIdLookup, mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Membership]):
    """The workspaces that the caller belongs to, each with their role there."""

    acts_in_workspace = False
    id_prefix = Workspace.id_prefix
    serializer_class = MembershipSerializer
    pagination_class = NewestWorkspaceFirst
    queryset = Membership.objects.none()

    def get_queryset(self) -> QuerySet[Membership]:
        return Membership.objects.filter(user_id=caller_of(self.request).id).select_related("workspace")

    def get_object(self) -> Membership:
        membership = self.get_queryset().filter(workspace_id=self.object_id()).first()
        if membership is None:
            raise NotFound
        return membership


@read_only
@cache_control(public=True, max_age=300)
def jwks(request: HttpRequest) -> JsonResponse:
    """The public keys of our tokens (RFC 7517), the signing one first."""
    return JsonResponse(key_ring().jwks())


__all__: list[Any] = ["MeView", "RefreshView", "SessionViewSet", "WorkspaceViewSet", "jwks"]
