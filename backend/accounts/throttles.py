"""Limits guesses at one account, and mails to one mailbox, without letting a stranger lock the account's owner out.

One limit per account over all client addresses would let a stranger do that: by sending wrong
passwords until the limit is reached, it would block the owner's right password too. So a use counts against two limits:

1. that of the client address about this account (``per_address``), low;
2. that of all client addresses together (``per_account``), much higher, which slows an attack from many addresses.

When the second is reached, two kinds of client still pass: an address from which the account has logged in before, and
the first ``RESERVED_USES`` of any other address, which count against a reserve of the same size. One address cannot use
the reserve up, since it has only its first uses of it; the owner at a new address has them too.
"""

from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from backend.accounts import queries
from backend.http import limits
from backend.http.limits import Rate, RateLimited

RESERVED_USES = 2  # Uses of one client address that may count against the reserve.


@dataclass(frozen=True, slots=True)
class Throttle:
    """
    :ivar policy: the name in rate-limit headers and Redis keys.
    :ivar per_address: limits of one client address about one account; the last rate has the longest span.
    :ivar per_account: the limit of all client addresses together about one account. The reserve has the same size.
    """

    policy: str
    per_address: tuple[Rate, ...]
    per_account: Rate


PASSWORDS = Throttle("wrong-password", per_address=(Rate(10, 300), Rate(30, 3600)), per_account=Rate(100, 600))
# The client has the password already, and a code has only six digits: all addresses together get a low limit too.
SECOND_FACTORS = Throttle("wrong-code", per_address=(Rate(10, 300), Rate(15, 3600)), per_account=Rate(30, 3600))
RESETS, CODES, LINKS = (  # Mails that any client can request for any address.
    Throttle(f"mail-{kind}", per_address=(Rate(10, 300), Rate(20, 3600)), per_account=Rate(100, 3600))
    for kind in ("reset", "code", "link")
)


@dataclass(frozen=True, slots=True)
class Usage:
    """One counted use. allauth calls ``rollback`` to take it back when the password was right."""

    hits: tuple[limits.Verdict, ...]

    def rollback(self) -> None:
        for hit in self.hits:
            limits.undo(hit)


def use(throttle: Throttle, *, email: str, request: HttpRequest) -> Usage:
    """Count one guess or mail, in the same way whether or not the account exists.

    :param email: canonical.
    :raises RateLimited: a limit is reached.
    """
    address = limits.address_of(request)
    of_address = tuple(
        limits.check(_address_key(throttle, rate), rate, f"{email} {address}") for rate in throttle.per_address
    )
    of_account = limits.hit(_account_key(throttle), throttle.per_account, email)
    if not of_account.allowed and not queries.has_logged_in_from(email=email, network=address):
        if of_address[-1].rate.limit - of_address[-1].remaining > RESERVED_USES:
            raise RateLimited(headers=of_account.headers)
        of_account = limits.check(_reserve_key(throttle), throttle.per_account, email)
    return Usage((*of_address, of_account))


def too_many(error: RateLimited) -> ValidationError:
    """The form error of a log-in that was limited, with the minutes to wait."""
    seconds = int(error.extra["headers"]["Retry-After"])
    return ValidationError(
        _("Too many failed attempts. Try again in %(minutes)d min."),
        code="too_many_login_attempts",
        params={"minutes": max(1, -(-seconds // 60))},
    )


def reset(throttle: Throttle, *, email: str, request: HttpRequest) -> None:
    """Clear the counts about the account: of this address, of all addresses together, and of the reserve."""
    for rate in throttle.per_address:
        limits.forget(_address_key(throttle, rate), f"{email} {limits.address_of(request)}")
    limits.forget(_account_key(throttle), email)
    limits.forget(_reserve_key(throttle), email)


def _address_key(throttle: Throttle, rate: Rate) -> str:
    return f"{throttle.policy}-{rate.seconds}"


def _account_key(throttle: Throttle) -> str:
    return f"{throttle.policy}-account"


def _reserve_key(throttle: Throttle) -> str:
    return f"{throttle.policy}-reserve"
