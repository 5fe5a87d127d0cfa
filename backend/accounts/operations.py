"""What happens to people, their workspaces and their log-ins."""

import logging
from collections.abc import Iterable
from datetime import timedelta
from importlib import import_module
from uuid import UUID

from allauth.account.models import EmailAddress
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from backend.accounts import queries, revocations, tokens
from backend.accounts.errors import EmailTaken, SessionRevoked, TokenExpired
from backend.accounts.models import Membership, Session, User, Workspace
from backend.accounts.signals import workspace_created
from backend.accounts.tokens import RefreshToken, TokenPair
from backend.http import limits
from backend.http.mailboxes import canonical

logger = logging.getLogger(__name__)

REFRESHES = limits.Rate(20, 60)  # Of one session: tabs that begin together, and answers that got lost.
SESSIONS_KEPT = timedelta(days=90)  # After their end, so that their owner can still be told of them.


def register_user(
    *, email: str, password: str | None, name: str = "", is_staff: bool = False, is_superuser: bool = False
) -> User:
    """Make a user and their personal workspace.

    :raises EmailTaken: the mailbox is the primary or a verified address of another account.
    :raises InvalidEmail: this is no address with one spelling.
    """
    user = User(email=canonical(email), name=name, is_staff=is_staff, is_superuser=is_superuser)
    user.set_password(password)  # Slow by design, so before the transaction.
    with transaction.atomic():
        queries.lock_mailbox(user.email)
        if EmailAddress.objects.filter(email=user.email, verified=True).exists():
            raise EmailTaken
        try:
            with transaction.atomic():
                user.save(force_insert=True)
        except IntegrityError as error:
            raise EmailTaken from error
        give_personal_workspace(user=user)
    return user


def spend_the_time_of_a_registration(*, password: str | None) -> None:
    """Do the work of a sign-up and undo it, so that its time does not depend on its address."""
    with transaction.atomic():
        user = register_user(email=queries.placeholder_email(), password=password)
        EmailAddress.objects.create(user=user, email=user.email, primary=True)
        transaction.set_rollback(True)
    for _ in range(3):  # What allauth reads about a new account and its address.
        queries.owner_of_email(user.email)


@transaction.atomic
def give_personal_workspace(*, user: User) -> Workspace:
    """What every user has from the first moment; call it in the transaction that inserts the user."""
    name = user.name or user.email.partition("@")[0][:150]
    workspace = Workspace.objects.create(name=name, personal_owner=user)
    Membership.objects.create(workspace=workspace, user=user, role=Membership.Role.OWNER)
    workspace_created.send(sender=Workspace, workspace_id=workspace.pk, owner_id=user.pk)
    return workspace


@transaction.atomic
def start_session(
    *, user: User, amr: list[str], state_key: str = "", user_agent: str = "", ip_address: str | None = None
) -> tuple[Session, TokenPair]:
    """Log the user in on one device.

    :param state_key: the reference of the log-in's state, which opens nothing from outside.
    :raises SessionRevoked: the user was locked out meanwhile. A lock-out waits for this, or this for the lock-out:
        none leaves a log-in behind.
    """
    if not User.objects.select_for_update(no_key=True).filter(pk=user.pk, is_active=True).exists():
        raise SessionRevoked
    session = Session.objects.create(
        user=user,
        amr=amr,
        state_key=state_key,
        user_agent=user_agent[:256],
        ip_address=ip_address,
        expires_at=timezone.now() + settings.REFRESH_TOKEN_LIFETIME,
    )
    return session, tokens.issue(session)


def start_operator_session(
    *, user: User, amr: list[str], user_agent: str, ip_address: str | None, seconds: int
) -> Session:
    """Log an operator in to the admin. It has no tokens; its cookie ends with it, or after ``seconds``."""
    return Session.objects.create(
        user=user,
        amr=amr,
        user_agent=user_agent[:256],
        ip_address=ip_address,
        expires_at=timezone.now() + timedelta(seconds=seconds),
    )


def refresh_session(*, refresh_token: str) -> TokenPair:
    """Buy the next pair of tokens.

    The generation before the current one gets the current pair for ``REFRESH_GRACE`` (two tabs, a lost answer).
    Anything older, or later, is a copy that somebody else used: it ends the session.

    :raises TokenExpired: the session was not used for ``REFRESH_TOKEN_LIFETIME``.
    :raises SessionRevoked: the session has ended; where this token ended it, that is committed before the error.
    :raises NotAuthenticated: this is no refresh token of ours.
    :raises RateLimited: the session was refreshed too often. An access token lives ten minutes.
    """
    token = RefreshToken.read(refresh_token)
    limits.check("refresh-session", REFRESHES, f"session:{token.session_id}")
    with transaction.atomic(durable=True):
        session = _live_session_for_update(token)
        now = timezone.now()
        replayed = False
        if token.generation == session.generation:
            session.generation += 1
            session.generation_at = session.last_used_at = now
            session.expires_at = now + settings.REFRESH_TOKEN_LIFETIME
            session.save(update_fields=["generation", "generation_at", "last_used_at", "expires_at"])
        elif token.generation != session.generation - 1 or now - session.generation_at > settings.REFRESH_GRACE:
            replayed = True
            _revoke([session], reason="replayed")
    if replayed:
        raise SessionRevoked
    return tokens.issue(session)


def _live_session_for_update(token: RefreshToken) -> Session:
    found = Session.objects.select_for_update(of=("self",)).select_related("user")
    session = found.filter(pk=token.session_id, user_id=token.user_id).first()
    if session is None or session.revoked_at is not None or not session.user.is_active:
        raise SessionRevoked
    if session.expires_at <= timezone.now():
        raise TokenExpired
    return session


def set_password(*, user_id: UUID, password: str) -> None:
    """Give the user another password, as somebody who may: whoever knew the old one is logged out."""
    hashed = make_password(password)  # Slow by design, so before the transaction.
    with transaction.atomic():
        User.objects.filter(pk=user_id).update(password=hashed)
        revoke_sessions(user_id=user_id, reason="password_changed")


@transaction.atomic
def revoke_session(*, session_id: UUID, reason: str) -> bool:
    """End one log-in; whether it was still alive."""
    return _revoke(Session.objects.select_for_update().live().filter(pk=session_id), reason=reason) > 0


@transaction.atomic
def revoke_sessions(*, user_id: UUID, reason: str, but: UUID | None = None) -> int:
    """End all log-ins of the user, or all but one; how many."""
    sessions = Session.objects.select_for_update().live().filter(user_id=user_id)
    if but is not None:
        sessions = sessions.exclude(pk=but)
    return _revoke(sessions.order_by("pk"), reason=reason)


def _revoke(sessions: Iterable[Session], *, reason: str) -> int:
    ids = [session.pk for session in sessions]
    if ids:
        Session.objects.filter(pk__in=ids).update(revoked_at=timezone.now(), revoked_reason=reason)
        transaction.on_commit(lambda: _announce(session_ids=ids))
    return len(ids)


def _announce(*, session_ids: Iterable[UUID] = (), user_ids: Iterable[UUID] = ()) -> None:
    try:
        revocations.announce(session_ids=session_ids, user_ids=user_ids)
    except revocations.RedisError as error:  # Committed already; the beat repeats it when Redis is back.
        logger.error("revocations were not announced: %s", error)


@transaction.atomic
def deactivate_user(*, user_id: UUID) -> None:
    """Lock the user out at once: no log-in, no refresh, no access token."""
    User.objects.filter(pk=user_id).update(is_active=False)
    revoke_sessions(user_id=user_id, reason="deactivated")
    transaction.on_commit(lambda: _announce(user_ids=[user_id]))


@transaction.atomic
def activate_user(*, user_id: UUID) -> None:
    """Let the user log in again. What was ended stays ended."""
    User.objects.filter(pk=user_id).update(is_active=True)
    transaction.on_commit(lambda: revocations.forget_user(user_id))


def change_user(*, user_id: UUID, **fields: str) -> None:
    """Set any of ``name`` and ``language``."""
    if fields:
        User.objects.filter(pk=user_id).update(**fields)


def repeat_revocations() -> None:
    """Announce every revocation that an access token may still outlive."""
    since = timezone.now() - settings.ACCESS_TOKEN_LIFETIME
    revocations.announce(session_ids=Session.objects.filter(revoked_at__gt=since).values_list("pk", flat=True))


def purge_sessions() -> int:
    """Delete log-ins that ended more than ``SESSIONS_KEPT`` ago, and allauth's expired state; how many log-ins."""
    since = timezone.now() - SESSIONS_KEPT
    deleted, _ = Session.objects.filter(Q(revoked_at__lt=since) | Q(expires_at__lt=since)).delete()
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()
    return deleted
