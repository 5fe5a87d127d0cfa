from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from backend.documents import storage
from backend.errors import ServiceUnavailable


class Command(BaseCommand):
    help = "Makes the bucket S3_BUCKET where there is none yet. With files in a folder there is nothing to do."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--wait", type=float, default=30.0, help="seconds to wait for the server (default: 30)")

    def handle(self, *args: Any, wait: float, **options: Any) -> None:
        try:
            made = storage.make_bucket(seconds=wait)
        except ServiceUnavailable as error:
            raise CommandError(f"The bucket is not there and cannot be made: {error.__cause__}") from error
        self.stdout.write("The bucket is made." if made else "There is nothing to make.")
