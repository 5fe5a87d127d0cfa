"""Authentication of API requests: bearer token → caller → actor."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTStatelessUserAuthentication

from backend.accounts import queries, revocations
from backend.accounts.actors import Actor
from backend.accounts.errors import NotAuthenticated, NoToken, SessionRevoked
from backend.accounts.models import Workspace
from backend.accounts.tokens import AccessToken
from backend.http import ids
from backend.server.logs import bind_actor

WORKSPACE_HEADER = "Orquestra-Workspace"


@dataclass(frozen=True, slots=True)
class Caller:
    """``request.user`` of the API: the user and the log-in of the access token, read without a query."""

    id: UUID
    session_id: UUID
    is_authenticated: bool = True
    is_anonymous: bool = False
    is_active: bool = True

    @property
    def pk(self) -> UUID:
        return self.id


class JWTAuthentication(JWTStatelessUserAuthentication):
    """simplejwt's authentication with our tokens. Refuses revoked log-ins."""

    www_authenticate_realm = "orquestra"

    def authenticate(self, request: Request | HttpRequest) -> tuple[Caller, AccessToken] | None:  # type: ignore[override]  # A Caller stands for the user.
        """:raises NotAuthenticated: the token is not valid, has expired, or its log-in has ended."""
        header = request.META.get("HTTP_AUTHORIZATION", "")
        scheme, _, raw = header.strip().partition(" ")
        if scheme.lower() != "bearer":
            return None
        token = AccessToken.read(raw.strip().encode("utf-8", "replace"))
        self._refuse_revoked(request, token)
        return Caller(id=token.user_id, session_id=token.session_id), token

    @staticmethod
    def _refuse_revoked(request: Request | HttpRequest, token: AccessToken) -> None:
        try:
            revoked = revocations.is_revoked(session_id=token.session_id, user_id=token.user_id)
        except revocations.RedisError:
            revocations.refuse_without_redis(method=request.method or "", path=request.path)
        else:
            if revoked:
                raise SessionRevoked


def caller_of(request: Request | HttpRequest) -> Caller:
    """The caller of the request's access token.

    :raises NotAuthenticated: there is no valid access token.
    """
    if isinstance(request, Request):
        user: Any = request.user
        if not isinstance(user, Caller):
            raise NoToken
        return user
    result = JWTAuthentication().authenticate(request)
    if result is None:
        raise NoToken
    return result[0]


def account_of(*, authorization: str, method: str, path: str) -> str:
    """The user id of an Authorization header, for limits that apply before there is a request. Reads Redis.

    :raises NotAuthenticated: there is no valid access token in it.
    """
    request = HttpRequest()
    request.method, request.path = method, path
    request.META["HTTP_AUTHORIZATION"] = authorization
    return str(caller_of(request).id)


def account_shown(authorization: str) -> str | None:
    """As ``account_of`` without the look-up of revocations, so without I/O; none if there is no valid access token."""
    scheme, _, raw = authorization.strip().partition(" ")
    if scheme.lower() != "bearer":
        return None
    try:
        return str(AccessToken.read(raw.strip().encode("utf-8", "replace")).user_id)
    except NotAuthenticated:
        return None


def actor_of(request: Request | HttpRequest) -> Actor:
    """The caller in the workspace that the request names, or in their personal one. One query, once per request.

    :raises NotAuthenticated: there is no valid access token; ``TokenExpired`` and ``SessionRevoked`` say why.
    :raises NotFound: there is no such workspace, or the caller is no member of it.
    """
    http: Any = request._request if isinstance(request, Request) else request
    actor: Actor | None = getattr(http, "_actor", None)
    if actor is None:
        caller = caller_of(request)
        named = request.headers.get(WORKSPACE_HEADER)
        workspace_id = None if named is None else ids.decode(Workspace.id_prefix, named)
        actor = queries.actor_in(user_id=caller.id, workspace_id=workspace_id, session_id=caller.session_id)
        http._actor = actor
        bind_actor(user_id=ids.encode("usr", actor.user_id), workspace_id=ids.encode("wsp", actor.workspace_id))
    return actor
