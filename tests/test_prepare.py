"""What the launcher has done before the product starts."""

from typing import Any

from backend.accounts.models import User
from backend.embedded.prepare import make_operator
from tests.actors import PASSWORD, Person


def test_only_a_changed_password_ends_log_ins(owner: Person, django_capture_on_commit_callbacks: Any) -> None:
    User.objects.update(is_staff=True, is_superuser=True)

    def start(password: str) -> Any:
        with django_capture_on_commit_callbacks(execute=True):
            make_operator(email=owner.user.email, password=password, change=True)
        return owner.get("/api/v1/users/me").status_code

    assert start(PASSWORD) == 200
    assert start("another horse entirely") == 401
