"""What bounds guesses at one account, and mails to one mailbox, without letting anyone lock its owner out.

A limit per account over all client addresses would do just that: a stranger who uses it up shuts the owner out as well.
So each client address has its own, and all of them together a much higher one. Once that one is used up, the first uses
of each address still count against a reserve, which clients that go on and on cannot use up; and it does not apply to
an address that the account has logged in from before.
"""

from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from backend.accounts import queries
from backend.http import limits
from backend.http.limits import Rate, RateLimited

FIRST = 2  # Uses of one client address that the reserve is for.


@dataclass(frozen=True, slots=True)
class Brake:
    """
    :ivar near: what one client address may do about one account; the last rate has the longest span.
    :ivar far: what all client addresses together may do about it. The reserve is as large.
    """

    policy: str
    near: tuple[Rate, ...]
    far: Rate


PASSWORDS = Brake("wrong-password", near=(Rate(10, 300), Rate(30, 3600)), far=Rate(100, 600))
# The password was right by then, and a code has six digits: all addresses together stay slow too.
SECOND_FACTORS = Brake("wrong-code", near=(Rate(10, 300), Rate(15, 3600)), far=Rate(30, 3600))
RESETS, CODES, LINKS = (  # Mails that any client can cause.
    Brake(f"mail-{kind}", near=(Rate(10, 300), Rate(20, 3600)), far=Rate(100, 3600))
    for kind in ("reset", "code", "link")
)


@dataclass(frozen=True, slots=True)
class Usage:
    """One use of a brake, which may be taken back; ``rollback`` is how allauth calls that."""

    hits: tuple[limits.Verdict, ...]

    def rollback(self) -> None:
        for hit in self.hits:
            limits.undo(hit)


def use(brake: Brake, *, email: str, request: HttpRequest) -> Usage:
    """Count one guess or mail. Whether there is such an account makes no difference.

    :param email: canonical.
    :raises RateLimited: there were too many.
    """
    address = limits.address_of(request)
    near = tuple(limits.check(_near(brake, rate), rate, f"{email} {address}") for rate in brake.near)
    far = limits.hit(_far(brake), brake.far, email)
    if not far.allowed and not queries.has_logged_in_from(email=email, network=address):
        if near[-1].rate.limit - near[-1].remaining > FIRST:
            raise RateLimited(headers=far.headers)
        far = limits.check(_reserve(brake), brake.far, email)
    return Usage((*near, far))


def too_many(error: RateLimited) -> ValidationError:
    """What the form of a log-in says about a brake: how long the reader has to wait."""
    seconds = int(error.extra["headers"]["Retry-After"])
    return ValidationError(
        _("Too many failed attempts. Try again in %(minutes)d min."),
        code="too_many_login_attempts",
        params={"minutes": max(1, -(-seconds // 60))},
    )


def release(brake: Brake, *, email: str, request: HttpRequest) -> None:
    """Forget what was counted about the account, from all addresses together and from this one."""
    for rate in brake.near:
        limits.forget(_near(brake, rate), f"{email} {limits.address_of(request)}")
    limits.forget(_far(brake), email)
    limits.forget(_reserve(brake), email)


def _near(brake: Brake, rate: Rate) -> str:
    return f"{brake.policy}-{rate.seconds}"


def _far(brake: Brake) -> str:
    return f"{brake.policy}-account"


def _reserve(brake: Brake) -> str:
    return f"{brake.policy}-reserve"
