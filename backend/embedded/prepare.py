"""``python -m backend.embedded.prepare``: migrates the database and creates the operator, in one start of Python."""

import gc
import os
import time
from pathlib import Path

import django

gc.disable()  # This process ends soon, so collecting garbage would only take time.
django.setup()  # Models can be imported only after this.

from django.contrib.auth import get_user_model  # noqa: E402
from django.core.management import call_command  # noqa: E402

from backend.accounts import operations  # noqa: E402
from backend.accounts.operators.operations import ensure_operator  # noqa: E402
from backend.embedded import postgres  # noqa: E402


def main() -> None:
    while not postgres.is_ready(Path(os.environ["CLUSTER"])):  # The launcher ends this process if it never is.
        time.sleep(0.05)
    call_command("migrate", interactive=False, verbosity=0)
    make_operator(
        email=os.environ["OPERATOR_EMAIL"],
        password=os.environ["OPERATOR_PASSWORD"],
        change=bool(os.environ.get("OPERATOR_PASSWORD_CHANGES")),
    )


def make_operator(*, email: str, password: str, change: bool) -> None:
    """Create or update a superuser.

    :param change: give an operator who is already there this password. Where that is news, their log-ins end.
    """
    made = ensure_operator(email=email, password=password)
    user = get_user_model().objects.get_by_natural_key(email)
    if change and not made and not user.check_password(password):
        operations.set_password(user_id=user.pk, password=password)


if __name__ == "__main__":
    main()
