"""Password authentication by our rule of which account an address belongs to."""

from allauth.account.auth_backends import AuthenticationBackend as AllauthBackend

from backend.accounts import queries
from backend.accounts.models import User
from backend.http.mailboxes import InvalidEmail, canonical


class AuthenticationBackend(AllauthBackend):  # type: ignore[misc]  # allauth ships no types that mypy reads.
    """allauth's backend, which hashes a password for unknown addresses too, with ``queries.owner_of_email``."""

    def _authenticate_by_email(self, email: str, password: str) -> User | None:
        try:
            owner = queries.owner_of_email(canonical(email))
        except InvalidEmail:
            return None
        user: User | None = self._check_password(owner, password)
        return user
