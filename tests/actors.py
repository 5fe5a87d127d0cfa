"""The cast of every test: owner, member and stranger, each with a client that speaks JSON as they do."""

from dataclasses import dataclass, field
from typing import Any

from allauth.account.models import EmailAddress
from django.test import Client

from backend.accounts import operations
from backend.accounts.models import Membership, User, Workspace


@dataclass
class Person:
    """A logged-in user, acting in ``workspace`` (by default their own)."""

    user: User
    workspace: Workspace
    access_token: str
    refresh_token: str
    client: Client = field(default_factory=lambda: Client(raise_request_exception=False))

    def headers(self, **extra: str) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self.access_token}",
            "Orquestra-Workspace": self.workspace.public_id,
            **{name.replace("_", "-"): value for name, value in extra.items()},
        }

    def get(self, path: str, query: dict[str, Any] | None = None, **headers: str) -> Any:
        return self.client.get(path, query or {}, headers=self.headers(**headers))

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self._send("post", path, body, headers)

    def put(self, path: str, body: Any = None, **headers: str) -> Any:
        return self._send("put", path, body, headers)

    def patch(self, path: str, body: Any = None, **headers: str) -> Any:
        return self._send("patch", path, body, headers)

    def delete(self, path: str, body: Any = None, **headers: str) -> Any:
        return self._send("delete", path, body, headers)

    def upload(self, path: str, fields: dict[str, Any], **headers: str) -> Any:
        """POST as multipart; a file is any object with ``read`` and ``name``."""
        return self.client.post(path, fields, headers=self.headers(**headers))

    def _send(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Any:
        send = getattr(self.client, method)
        return send(
            path, {} if body is None else body, content_type="application/json", headers=self.headers(**headers)
        )


PASSWORD = "correct horse battery staple"


def register(email: str) -> Person:
    """A person who has just signed up, made by the operations under the API: a quarter of the work of ``sign_up``.

    What allauth keeps of a log-in is made by the first request to one of its routes.
    """
    user = operations.register_user(email=email, password=PASSWORD)
    EmailAddress.objects.create(user=user, email=email, primary=True)
    _, tokens = operations.start_session(user=user, amr=["pwd"], ip_address="127.0.0.1")
    return Person(user, user.personal_workspace, tokens.access_token, tokens.refresh_token)


def sign_up(email: str, *, language: str = "en") -> Person:
    """Register through the API, as any stranger would."""
    response = Client(headers={"Accept-Language": language}).post(
        "/api/v1/auth/signup", {"email": email, "password": PASSWORD}, content_type="application/json"
    )
    assert response.status_code == 200, response.content
    meta = response.json()["meta"]
    user = User.objects.get(email=email)
    return Person(user, user.personal_workspace, meta["access_token"], meta["refresh_token"])


def join(person: Person, workspace: Workspace, role: str = Membership.Role.MEMBER) -> Person:
    """The same person, acting in another workspace with this role."""
    Membership.objects.create(workspace=workspace, user=person.user, role=role)
    person.workspace = workspace
    return person
