"""Connects allauth to our sessions: a log-in by allauth gets our tokens, and allauth's routes accept our tokens."""

from typing import Any, cast

from allauth.account.internal.flows.login import get_authentication_records
from allauth.account.internal.stagekit import LOGIN_SESSION_KEY
from allauth.account.utils import url_str_to_user_pk
from allauth.core.internal.httpkit import get_client_ip
from allauth.headless.tokens.strategies.base import AbstractTokenStrategy
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare

from backend.accounts import operations, queries
from backend.accounts.adapter import PASSWORD_THEN, SESSION_ID
from backend.accounts.authentication import JWTAuthentication
from backend.accounts.errors import SessionRevoked
from backend.accounts.models import Session, User
from backend.accounts.states import Reference, SessionStore

OPEN = frozenset({"login", "signup"})  # Routes that begin a new log-in and ignore an access token.

# allauth's names of authentication methods, as RFC 8176 names.
METHODS = {"password": "pwd", "password_reset": "pwd", "code": "otp", "socialaccount": "fed", "mfa": "mfa"}


class SessionStrategy(AbstractTokenStrategy):  # type: ignore[misc]  # allauth ships no types that mypy reads.
    def get_session_token(self, request: Any) -> str | None:
        """The key of allauth's state: its own header's, or that of the bearer's session.

        :raises NotAuthenticated: there is an access token, and it is not valid.
        """
        if not hasattr(request, "_state_key"):
            request._state_key = super().get_session_token(request) or self._state_key_of_bearer(request)
        key: str | None = request._state_key
        return key

    def _state_key_of_bearer(self, request: HttpRequest) -> str | None:
        if request.resolver_match is not None and request.resolver_match.url_name in OPEN:
            return None
        result = JWTAuthentication().authenticate(request)
        if result is None:
            return None
        session = Session.objects.live().select_related("user").filter(pk=result[0].session_id).first()
        if session is None or not session.user.is_active:
            raise SessionRevoked
        reference = Reference(session.state_key)
        return reference if reference and _is_usable(reference, session) else _new_state(session)

    def lookup_session(self, session_token: str) -> SessionBase | None:
        """allauth's state, unless its log-in has ended."""
        if not session_token.isalnum() or not SessionStore().exists(session_token):
            return None
        state = SessionStore(session_token)
        session_id = state.get(SESSION_ID)
        if session_id is None:  # A completed log-in without a session is invalid.
            return None if SESSION_KEY in state or _is_outdated(state) else state
        return state if queries.session_is_live(session_id) else None

    def create_session_token(self, request: HttpRequest) -> str:
        if not request.session.session_key:
            request.session.save()
        return str(request.session.session_key)

    def create_access_token_payload(self, request: HttpRequest) -> dict[str, Any]:
        """Start the session of a successful log-in; returns its tokens.

        In some flows allauth builds several responses and sends the last one: all get the same tokens.
        """
        if hasattr(request, "_tokens"):
            return cast(dict[str, Any], request._tokens)
        session, pair = operations.start_session(
            user=cast(User, request.user),
            amr=_amr(request),
            state_key=_reference(request),
            user_agent=request.headers.get("User-Agent", ""),
            ip_address=get_client_ip(request),
        )
        request.session[SESSION_ID] = str(session.pk)
        request.session.set_expiry(settings.REFRESH_TOKEN_LIFETIME)
        tokens = {
            "access_token": pair.access_token,
            "refresh_token": pair.refresh_token,
            "expires_in": int(settings.ACCESS_TOKEN_LIFETIME.total_seconds()),
        }
        request._tokens = tokens  # type: ignore[attr-defined]  # Read back above.
        return tokens


def _reference(request: HttpRequest) -> str:
    """The reference of the state for the session's row: a reader of the row cannot open the state with it."""
    if not request.session.session_key:
        request.session.save()
    return str(cast(SessionStore, request.session).reference or "")


def _amr(request: HttpRequest) -> list[str]:
    records = get_authentication_records(request, request.user)
    methods = [METHODS.get(record["method"], record["method"]) for record in records]
    if any(record.get("type") in ("totp", "recovery_codes") for record in records):
        methods.append("otp")
    return list(dict.fromkeys(methods)) or ["pwd"]


def _is_outdated(state: SessionStore) -> bool:
    """Whether a log-in waits for another step although its user was locked out or the password changed since."""
    waiting, then = state.get(LOGIN_SESSION_KEY), state.get(PASSWORD_THEN)
    if waiting is None or waiting["user_pk"] is None:
        return False
    user = User.objects.filter(pk=url_str_to_user_pk(waiting["user_pk"]), is_active=True).first()
    if user is None:
        return True
    if then is None or then[0] != str(user.pk):
        return False  # A log-in by a mailed code, which no password began.
    return not constant_time_compare(user.get_session_auth_hash(), then[1])


def _is_usable(reference: Reference, session: Session) -> bool:
    """Whether the state is this session's and its authentication backend still exists."""
    state = SessionStore(reference)
    return (
        state.get(SESSION_ID) == str(session.pk) and state.get(BACKEND_SESSION_KEY) in settings.AUTHENTICATION_BACKENDS
    )


def _new_state(session: Session) -> Reference:
    """New state for a log-in whose state has expired or was deleted."""
    state = SessionStore()
    state[SESSION_KEY] = str(session.user_id)
    state[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    state[HASH_SESSION_KEY] = session.user.get_session_auth_hash()
    state[SESSION_ID] = str(session.pk)
    state.set_expiry(settings.REFRESH_TOKEN_LIFETIME)
    state.create()
    reference = Reference(state.reference or "")
    session.state_key = str(reference)
    session.save(update_fields=["state_key"])
    return reference
