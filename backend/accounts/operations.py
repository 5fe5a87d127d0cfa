"""Writes of accounts: registration, log-ins and their tokens, passwords, revocation."""

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

REFRESHES = limits.Rate(20, 60)  # Per session: several tabs that start together, and repeats after lost responses.
SESSIONS_KEPT = timedelta(days=90)  # After their end.


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
    """Do the work of a sign-up and roll it back, so that response times do not reveal whether an address is taken."""
    with transaction.atomic():
        user = register_user(email=queries.placeholder_email(), password=password)
        EmailAddress.objects.create(user=user, email=user.email, primary=True)
        transaction.set_rollback(True)
    for _ in range(3):  # As many queries as allauth makes about a new account and its address.
        queries.owner_of_email(user.email)


@transaction.atomic
def give_personal_workspace(*, user: User) -> Workspace:
    """Make the user's personal workspace. Call it in the transaction that inserts the user."""
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

    :param state_key: the reference of the log-in's state; a client cannot use it as a key.
    :raises SessionRevoked: the user is deactivated.
    """
    # Locks the user's row, as the UPDATE of ``deactivate_user`` does. If this comes first, the deactivation waits, and
    # then finds and revokes the committed session. If the deactivation comes first, this waits, and PostgreSQL checks
    # ``is_active`` again after the wait. Without the lock, each could miss the other and leave a live log-in.
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
    """Log an operator in to the admin. Such a session has no tokens; the cookie is valid as long as the session."""
    return Session.objects.create(
        user=user,
        amr=amr,
        user_agent=user_agent[:256],
        ip_address=ip_address,
        expires_at=timezone.now() + timedelta(seconds=seconds),
    )


def refresh_session(*, refresh_token: str) -> TokenPair:
    """Exchange a refresh token for the next pair of tokens.

    A refresh token is valid for one generation of its session:

    1. The current generation: the session moves to the next one, and the caller gets its tokens.
    2. The generation before, within ``REFRESH_GRACE`` of the move: the caller gets the current generation's tokens, and
       nothing moves. Two tabs refresh at the same time, and responses get lost; neither may log the user out.
    3. Any other generation: two holders use copies of the same token, one of them a thief. The session ends for both.

    Without the time limit in 2, the thief and the owner could take turns for ever, each always one generation behind.
    The revocation in 3 is committed before the error is raised, because an exception would roll it back.

    :raises TokenExpired: the session was not used for ``REFRESH_TOKEN_LIFETIME``.
    :raises SessionRevoked: the session has ended, maybe by this call.
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
    """Set the user's password and end every log-in, as they may belong to a client that knows the old one only."""
    hashed = make_password(password)  # Slow by design, so before the transaction.
    with transaction.atomic():
        User.objects.filter(pk=user_id).update(password=hashed)
        revoke_sessions(user_id=user_id, reason="password_changed")


@transaction.atomic
def revoke_session(*, session_id: UUID, reason: str) -> bool:
    """End one log-in; returns whether it was live."""
    return _revoke(Session.objects.select_for_update().live().filter(pk=session_id), reason=reason) > 0


@transaction.atomic
def revoke_sessions(*, user_id: UUID, reason: str, but: UUID | None = None) -> int:
    """End all log-ins of the user, or all but one; returns how many."""
    sessions = Session.objects.select_for_update().live().filter(user_id=user_id)
    if but is not None:
        sessions = sessions.exclude(pk=but)
    return _revoke(sessions.order_by("pk"), reason=reason)


def _revoke(sessions: Iterable[Session], *, reason: str) -> int:
    ids = [session.pk for session in sessions]
    if ids:
        Session.objects.filter(pk__in=ids).update(revoked_at=timezone.now(), revoked_reason=reason)
        transaction.on_commit(lambda: _publish(session_ids=ids))
    return len(ids)


def _publish(*, session_ids: Iterable[UUID] = (), user_ids: Iterable[UUID] = ()) -> None:
    try:
        revocations.publish(session_ids=session_ids, user_ids=user_ids)
    except (
        revocations.RedisError
    ) as error:  # The database has it: ``repeat_revocations`` publishes it when Redis is back.
        logger.error("revocations_not_published error=%s", error)


@transaction.atomic
def deactivate_user(*, user_id: UUID) -> None:
    """Lock the user out at once: end every log-in, and refuse new ones, refreshes and access tokens."""
    User.objects.filter(pk=user_id).update(is_active=False)
    revoke_sessions(user_id=user_id, reason="deactivated")
    transaction.on_commit(lambda: _publish(user_ids=[user_id]))


@transaction.atomic
def activate_user(*, user_id: UUID) -> None:
    """Let the user log in again. Ended log-ins stay ended."""
    User.objects.filter(pk=user_id).update(is_active=True)
    transaction.on_commit(lambda: revocations.forget_user(user_id))


def change_user(*, user_id: UUID, **fields: str) -> None:
    """Set any of ``name`` and ``language``."""
    if fields:
        User.objects.filter(pk=user_id).update(**fields)


def repeat_revocations() -> None:
    """Publish again every revocation that a still valid access token could escape."""
    since = timezone.now() - settings.ACCESS_TOKEN_LIFETIME
    revocations.publish(session_ids=Session.objects.filter(revoked_at__gt=since).values_list("pk", flat=True))


def purge_sessions() -> int:
    """Delete log-ins that ended ``SESSIONS_KEPT`` ago, and allauth's expired state; returns how many log-ins."""
    since = timezone.now() - SESSIONS_KEPT
    deleted, _ = Session.objects.filter(Q(revoked_at__lt=since) | Q(expires_at__lt=since)).delete()
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()
    return deleted
