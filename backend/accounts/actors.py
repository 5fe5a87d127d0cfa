"""The actor of a request: a user in one workspace, with a role. Resolved once, passed to every operation."""

from dataclasses import dataclass
from uuid import UUID

from backend.errors import Forbidden

WRITERS = frozenset({"owner", "admin", "member"})


@dataclass(frozen=True, slots=True)
class Actor:
    """A user acting in one workspace.

    :ivar role: the user's role there: ``owner``, ``admin``, ``member`` or ``viewer``.
    :ivar session_id: the log-in of the request; none for an API key.
    :ivar scopes: what an API key may do; none for a person, who may do all that the role allows.
    """

    user_id: UUID
    workspace_id: UUID
    role: str
    session_id: UUID | None = None
    scopes: frozenset[str] | None = None

    @property
    def is_admin(self) -> bool:
        return self.role in ("owner", "admin")

    def require(self, scope: str) -> None:
        """Refuse what the role or the API key does not allow.

        :param scope: such as ``documents:write``.

        :raises Forbidden: a viewer may only read; an API key may only do what its scopes name.
        """
        if not scope.endswith(":read") and self.role not in WRITERS:
            raise Forbidden
        if self.scopes is not None and scope not in self.scopes:
            raise Forbidden
