"""Reads of accounts, for its own modules and the apps above: users, actors, log-ins, addresses."""

import ipaddress
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID, uuid4

from allauth.account.models import EmailAddress
from django.conf import settings
from django.db.models import Count, Exists, OuterRef, Q
from django.utils import translation

from backend.accounts.actors import Actor
from backend.accounts.errors import SessionRevoked
from backend.accounts.models import Membership, Session, User, Workspace
from backend.db import sql
from backend.db.sql import Columns
from backend.errors import NotFound

_NAMED = "SELECT workspace_id, role FROM accounts_membership WHERE user_id = %s AND workspace_id = %s"
_PERSONAL = """
SELECT m.workspace_id, m.role
FROM accounts_membership m JOIN accounts_workspace w ON w.id = m.workspace_id
WHERE m.user_id = %s AND w.personal_owner_id = %s
"""


def personal_workspace_id(user_id: UUID) -> UUID:
    """:raises NotFound: there is no such user."""
    try:
        return Workspace.objects.values_list("pk", flat=True).get(personal_owner_id=user_id)
    except Workspace.DoesNotExist as error:
        raise NotFound from error


def owner_of_email(email: str) -> User | None:
    """The account that a canonical address logs in to and whose password it may reset, active or not.

    An address counts for the account that has verified it. The address of a sign-up counts for its account until that
    one has verified any. An address that was added to an account and not verified counts for none.
    """
    proven = EmailAddress.objects.filter(email=email, verified=True).select_related("user").first()
    verified = EmailAddress.objects.filter(user=OuterRef("pk"), verified=True)
    named = User.objects.filter(email=email).annotate(has_verified=Exists(verified)).first()  # Both, for equal times.
    if proven is not None:
        owner: User = proven.user
        return owner
    return named if named is not None and not named.has_verified else None


def user_exists(user_id: UUID) -> bool:
    return User.objects.filter(pk=user_id).first() is not None


def language_of(user_id: UUID) -> str:
    """The language that the user has chosen, else that of the current request, as ``pt-br``."""
    chosen = User.objects.filter(pk=user_id).values_list("language", flat=True).first()
    return chosen or translation.get_language() or settings.LANGUAGE_CODE


def lock_mailbox(email: str) -> None:
    """Lock the address until the transaction ends, for a decision on which account it belongs to."""
    sql.row("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"mailbox:{email}"])


def placeholder_email() -> str:
    """An address that no mailbox has (RFC 2606), for an account that is left without one; no client can guess it."""
    return f"{uuid4().hex}@lost.invalid"


def email_of(user_id: UUID) -> str:
    """:raises NotFound: there is no such user."""
    try:
        return User.objects.values_list("email", flat=True).get(pk=user_id)
    except User.DoesNotExist as error:
        raise NotFound from error


def has_verified_primary(user_id: UUID) -> bool:
    return bool(EmailAddress.objects.filter(user_id=user_id, primary=True, verified=True).exists())


def actor_in(*, user_id: UUID, workspace_id: UUID | None, session_id: UUID | None) -> Actor:
    """The user in that workspace, or in their personal one: one query.

    :raises NotFound: there is no such workspace, or the user is no member of it.
    """
    found = sql.row(_PERSONAL, [user_id, user_id]) if workspace_id is None else sql.row(_NAMED, [user_id, workspace_id])
    if found is None:
        raise NotFound
    return Actor(user_id=user_id, workspace_id=found[0], role=found[1], session_id=session_id)


_NOW = """
SELECT m.role
FROM accounts_membership m JOIN accounts_user u ON u.id = m.user_id AND u.is_active
WHERE m.user_id = %s AND m.workspace_id = %s AND (%s::uuid IS NULL OR EXISTS (
    SELECT FROM accounts_session s
    WHERE s.id = %s AND s.user_id = u.id AND s.revoked_at IS NULL AND s.expires_at > now()
))
"""


def actor_now(actor: Actor) -> Actor | None:
    """The actor with its current role: one query.

    None if its log-in has ended, its user is deactivated or its membership was deleted.
    """
    found = sql.row(_NOW, [actor.user_id, actor.workspace_id, actor.session_id, actor.session_id])
    return None if found is None else replace(actor, role=found[0])


def session_is_live(session_id: UUID) -> bool:
    return Session.objects.live().filter(pk=session_id, user__is_active=True).exists()


_KNOWN = """
SELECT 1 FROM accounts_session
WHERE user_id = %s AND ip_address <<= %s::inet AND revoked_reason NOT IN ('replayed', 'address_proven', 'made_operator')
LIMIT 1
"""


def session_began_since(session_id: str | None, moment: datetime) -> bool:
    return session_id is not None and Session.objects.filter(pk=session_id, created_at__gte=moment).exists()


def has_logged_in_from(*, email: str, network: str) -> bool:
    """Whether the account of a canonical address has logged in from there, among the log-ins that are still kept.

    :param network: as ``limits.address_of`` returns it: an address, or the /64 of one.
    """
    try:
        ipaddress.ip_network(network)
    except ValueError:
        return False
    owner = owner_of_email(email)
    return owner is not None and sql.row(_KNOWN, [owner.pk, network]) is not None


@dataclass(frozen=True, slots=True)
class Profile:
    """A user and their memberships, oldest first, each with its workspace loaded."""

    user: User
    memberships: list[Membership]


_USER, _MEMBERSHIP, _WORKSPACE = Columns(User, "u"), Columns(Membership, "m"), Columns(Workspace, "w")
_PROFILE = f"""
SELECT {_USER}, {_MEMBERSHIP}, {_WORKSPACE}
FROM accounts_user u
    LEFT JOIN (accounts_membership m JOIN accounts_workspace w ON w.id = m.workspace_id) ON m.user_id = u.id
WHERE u.id = %s AND u.is_active
ORDER BY m.id
"""  # noqa: S608 — names of columns.


def profile(user_id: UUID) -> Profile:
    """One prepared query: a user has few workspaces, so the repeated columns of the user cost less than a second one.

    :raises SessionRevoked: the user does not exist any more, or is deactivated.
    """
    rows = sql.rows(_PROFILE, [user_id])
    if not rows:
        raise SessionRevoked
    memberships = []
    for row in rows:
        if row[len(_USER)] is None:  # The outer join found no membership.
            continue
        membership = _MEMBERSHIP.load(row, start=len(_USER))
        membership.workspace = _WORKSPACE.load(row, start=len(_USER) + len(_MEMBERSHIP))
        memberships.append(membership)
    return Profile(user=_USER.load(rows[0]), memberships=memberships)


@dataclass(frozen=True, slots=True)
class People:
    """Counts of users: all, and those who signed up or used a log-in since a moment."""

    total: int
    new: int
    active: int


def count_people(*, since: datetime) -> People:
    """Over all workspaces, for operators."""
    counted = User.objects.aggregate(total=Count("pk"), new=Count("pk", filter=Q(created_at__gte=since)))
    active = Session.objects.filter(last_used_at__gte=since).values("user_id").distinct().count()
    return People(total=counted["total"], new=counted["new"], active=active)
