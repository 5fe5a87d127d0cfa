"""What a mailed link to set a new password depends on, and so ends with."""

from datetime import datetime

from allauth.account.models import EmailAddress
from django.contrib.auth.tokens import PasswordResetTokenGenerator

from backend.accounts.models import User


class ResetTokens(PasswordResetTokenGenerator):
    """Tokens that no log-in ends, nor anything else that a client does who holds the account without its mailbox.

    Django's end with the next log-in and allauth's with the next address: anyone who signed up with another person's
    address could end that person's links again and again.

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
