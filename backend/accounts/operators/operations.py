"""Makes an account an operator."""

import json

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.hashers import make_password
from django.contrib.sessions.models import Session as State
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from backend.accounts import operations, queries
from backend.accounts.errors import EmailTaken
from backend.accounts.models import User
from backend.accounts.states import OperatorStore, SessionStore
from backend.http.mailboxes import canonical


def ensure_operator(*, email: str, password: str) -> bool:
    """Make sure that this address is that of an operator who may do everything.

    :return: whether it became one now, with ``password``.

    An account that is a superuser already stays as it is. Any client may have registered any other account with this
    address: see ``_take_over``.
    """
    email = canonical(email)
    hashed = make_password(password)  # Slow by design, so before the transaction.
    with transaction.atomic():
        queries.lock_mailbox(
            email
        )  # Else another account could prove the address between the look-up and the deletion.
        found = User.objects.select_for_update().filter(email=email).first()
        if found is not None:
            return False if found.is_staff and found.is_superuser else _take_over(found, hashed)
        EmailAddress.objects.filter(email=email).delete()  # From accounts that added it.
    try:
        user = operations.register_user(email=email, password=password, is_staff=True, is_superuser=True)
    except EmailTaken:
        return ensure_operator(email=email, password=password)  # Another process registered it first.
    EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=True)
    return True


def _take_over(user: User, hashed: str) -> bool:
    """Give an account that any client may have registered to its new owner; in the transaction that locked it.

    1. The password is the given one, and the account is open.
    2. Second factors and log-ins by other sites are dropped.
    3. Its one address is its own, verified, and attached to no other account.
    4. Every log-in ends, and so does every step of one that is on its way, such as a code sent to another address.
    """
    user.password, user.is_active, user.is_staff, user.is_superuser = hashed, True, True, True
    user.save(update_fields=["password", "is_active", "is_staff", "is_superuser"])
    Authenticator.objects.filter(user=user).delete()
    SocialAccount.objects.filter(user=user).delete()
    EmailAddress.objects.filter(Q(user=user) | Q(email__iexact=user.email)).delete()
    EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=True)
    operations.revoke_sessions(user_id=user.pk, reason="made_operator")
    operations.activate_user(user_id=user.pk)
    _forget_states(user)
    return True


def _forget_states(user: User) -> None:
    """Delete the states that name the user. They are sealed, so each is opened: this happens once per operator."""
    names = (str(user.pk), user.pk.hex, user.email)
    stores = (SessionStore(), OperatorStore())
    for row in State.objects.filter(expire_date__gt=timezone.now()).iterator(chunk_size=500):
        text = "".join(json.dumps(store.decode(row.session_data), default=str) for store in stores)
        if any(name in text for name in names):
            row.delete()
