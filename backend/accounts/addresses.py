"""Verification of addresses: an address belongs to the account that proves it receives mail there."""

import logging
from uuid import UUID

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext

from backend.accounts import operations, queries
from backend.accounts.errors import EmailTaken
from backend.accounts.models import User
from backend.accounts.reset_tokens import ResetTokens
from backend.accounts.signals import primary_verified
from backend.errors import FieldError

logger = logging.getLogger(__name__)


@transaction.atomic
def prove(*, user_id: UUID, email: str, by_account: bool) -> None:
    """Verify an address of the account, whose caller presented the secret that was mailed to it.

    1. Lock the mailbox, then every account concerned in the order of their ids, so that no two calls deadlock.
    2. If this is the account's first verified address and the caller is not logged in to the account, remove its
       credentials. Any client can sign up with another person's address. When that person takes the account over, the
       password, log-ins and second factors of the client must not open it any longer.
    3. Take the address from accounts that have not verified it.
    4. Verify it. A verified address replaces an unverified primary one.

    :param email: canonical; one of the account's addresses.
    :param by_account: whether the caller is logged in to this account, or goes on with the sign-up that made it.
    :raises EmailTaken: another account has verified the address, or this account does not have it any longer.
    """
    queries.lock_mailbox(email)
    concerned = User.objects.select_for_update().filter(Q(pk=user_id) | Q(email=email)).order_by("pk")
    user = next((user for user in concerned if user.pk == user_id), None)
    own = EmailAddress.objects.filter(user_id=user_id)
    address = own.filter(email=email).first()
    if address is None and user is not None and user.email == email:
        address = EmailAddress(user=user, email=email)  # Made by an operator, who left no row.
    if user is None or address is None or EmailAddress.objects.filter(email=email, verified=True).exclude(user=user):
        raise EmailTaken
    if address.verified:
        return
    first = not own.filter(verified=True).exists()
    if first and not by_account:
        _drop_credentials(user=user, keep=email)
    _take_from_others(user=user, email=email)
    address.verified = True
    if not own.filter(primary=True, verified=True).exists():
        own.filter(primary=True).update(primary=False)
        address.primary = True
        User.objects.filter(pk=user_id).update(email=email)
    address.save()
    if first:
        primary_verified.send(sender=User, user_id=user_id, email=email)


def reset_password(*, user_id: UUID, token: str, password: str) -> None:
    """Set a new password by a mailed token, once: of several requests with one token, the first alone succeeds.

    The token went to the account's address, which is verified by this if the account has verified none yet. Every
    log-in ends.

    :raises FieldError: the token is not valid any longer.
    :raises EmailTaken: another account has verified the address in the meantime.
    """
    hashed = make_password(password)  # Slow by design, so before the transaction.
    with transaction.atomic():
        queries.lock_mailbox(queries.email_of(user_id))
        user = User.objects.select_for_update().get(pk=user_id)
        if not user.is_active or not ResetTokens().check_token(user, token):
            raise FieldError("/key", gettext("The password reset token was invalid."), "invalid_password_reset")
        if not EmailAddress.objects.filter(user=user, verified=True).exists():
            prove(user_id=user_id, email=user.email, by_account=False)
        User.objects.filter(pk=user_id).update(password=hashed)
        operations.revoke_sessions(user_id=user_id, reason="password_changed")


def _drop_credentials(*, user: User, keep: str) -> None:
    """Remove the password, log-ins, second factors and other addresses: only the mailbox opens the account."""
    operations.revoke_sessions(user_id=user.pk, reason="address_proven")
    User.objects.filter(pk=user.pk).update(password=make_password(None))
    Authenticator.objects.filter(user=user).delete()
    SocialAccount.objects.filter(user=user).delete()
    EmailAddress.objects.filter(user=user).exclude(email=keep).delete()


def _take_from_others(*, user: User, email: str) -> None:
    """Remove the address from accounts that have not verified it; one without another gets a placeholder."""
    EmailAddress.objects.filter(email=email).exclude(user=user).delete()
    for other in User.objects.filter(email=email).exclude(pk=user.pk):
        User.objects.filter(pk=other.pk).update(email=queries.placeholder_email())
        logger.warning("email_lost", extra={"user": other.public_id})
