"""``manage.py migrate``, as the role that owns the tables."""

from typing import Any

from django.core.management.commands.migrate import Command as Migrate

from backend.billing import roles


class Command(Migrate):
    """Django's own, connected with MIGRATION_DATABASE_URL where that is set; then the product gets its rights."""

    def handle(self, *args: Any, **options: Any) -> None:
        with roles.as_owner() as product:
            super().handle(*args, **options)
            if product is not None and not (options["plan"] or options["check_unapplied"]):
                roles.make(product)
                roles.grant(product.role)
