"""Tokens of mailed links to set a new password, and when they stop being valid."""

from datetime import datetime

from allauth.account.models import EmailAddress
from django.contrib.auth.tokens import PasswordResetTokenGenerator

from backend.accounts.models import User


class ResetTokens(PasswordResetTokenGenerator):
    """Tokens that a client of the account without access to its mailbox cannot invalidate.

    Django's tokens end with the next log-in, allauth's with the next added address. A client that signed up with
    another person's address could so invalidate that person's links again and again.

    - Of an account that has verified an address: good while its password, its primary and its verified addresses are
      the same. A reset changes the password.
    - Of one that has verified none, whose password proves nothing: good while its address is the same, and until it is
      verified. A reset verifies it.
    """

    key_salt = "backend.accounts.reset_tokens"

    def _make_hash_value(self, user: User, timestamp: datetime | int) -> str:
        verified = (
            EmailAddress.objects.filter(user=user, verified=True).order_by("email").values_list("email", flat=True)
        )
        state = ["verified", user.password, *verified] if verified else ["unverified"]
        return "\n".join([str(user.pk), str(timestamp), user.email, *state])
