import os
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_email

from backend.accounts import operations


class Command(BaseCommand):
    help = "Makes somebody an operator, who may open the admin. An existing account keeps its password."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--email", default=os.environ.get("OPERATOR_EMAIL"), help="default: OPERATOR_EMAIL")
        parser.add_argument(
            "--password", default=os.environ.get("OPERATOR_PASSWORD"), help="default: OPERATOR_PASSWORD"
        )

    def handle(self, *args: Any, email: str | None, password: str | None, **options: Any) -> None:
        if not email or not password:
            raise CommandError("Give --email and --password, or set OPERATOR_EMAIL and OPERATOR_PASSWORD.")
        try:
            validate_email(email)
        except ValidationError as error:
            raise CommandError(f"{email!r} is not an e-mail address.") from error
        made = operations.ensure_operator(email=email, password=password)
        self.stdout.write(f"{email.lower()} {'is now' if made else 'was already there and is'} an operator.")
