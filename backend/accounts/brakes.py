"""What bounds guesses at one account, and mails to one mailbox, without letting anyone lock its owner out.

A limit per account over all client addresses would do just that: a stranger who uses it up shuts the owner out as well.
So each client address has its own, and all of them together a much higher one, which does not count for an address that
the account has logged in from before.
"""

from dataclasses import dataclass

from django.http import HttpRequest

from backend.accounts import queries
from backend.http import limits
from backend.http.limits import Rate, RateLimited


@dataclass(frozen=True, slots=True)
class Brake:
    """
    :ivar near: what one client address may do about one account.
    :ivar far: what all client addresses together may do about it.
    """

    policy: str
    near: Rate
    far: Rate


PASSWORDS = Brake("wrong-password", near=Rate(10, 300), far=Rate(100, 600))
RESETS, CODES, LINKS = (  # Mails that any client can cause.
    Brake(f"mail-{kind}", near=Rate(10, 300), far=Rate(30, 3600)) for kind in ("reset", "code", "link")
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
    near = limits.hit(brake.policy, brake.near, f"{email} {address}")
    if not near.allowed:
        raise RateLimited(headers=near.headers)
    far = limits.hit(f"{brake.policy}-account", brake.far, email)
    if not far.allowed and not queries.has_logged_in_from(email=email, network=address):
        raise RateLimited(headers=far.headers)
    return Usage((near, far))


def release(brake: Brake, *, email: str, request: HttpRequest) -> None:
    """Forget what was counted about the account, from all addresses together and from this one."""
    limits.forget(brake.policy, f"{email} {limits.address_of(request)}")
    limits.forget(f"{brake.policy}-account", email)
