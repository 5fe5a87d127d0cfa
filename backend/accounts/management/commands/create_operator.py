import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from backend.accounts.operators.operations import ensure_operator
from backend.http.mailboxes import InvalidEmail, canonical


class Command(BaseCommand):
    help = (
        "Makes an operator, who may do everything in the admin. An account that is one already stays as it is; any "
        "other with this address gets this password and loses its log-ins, second factors and other addresses."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--email", default=os.environ.get("OPERATOR_EMAIL"), help="default: OPERATOR_EMAIL")
        parser.add_argument(
            "--password", default=os.environ.get("OPERATOR_PASSWORD"), help="default: OPERATOR_PASSWORD"
        )

    def handle(self, *args: Any, email: str | None, password: str | None, **options: Any) -> None:
        if not email or not password:
            raise CommandError("Give --email and --password, or set OPERATOR_EMAIL and OPERATOR_PASSWORD.")
        try:
            email = canonical(email)
        except InvalidEmail as error:
            raise CommandError(f"{email!r} is not an e-mail address.") from error
        made = ensure_operator(email=email, password=password)
        state = "is now an operator, with the password given" if made else "was an operator already; nothing changed"
        self.stdout.write(f"{email} {state}.")
