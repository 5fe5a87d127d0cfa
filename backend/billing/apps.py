from django.apps import AppConfig
from django.core import checks


class BillingConfig(AppConfig):
    name = "backend.billing"

    def ready(self) -> None:
        from backend.billing import receivers  # noqa: F401  # Importing connects them; models are loaded only now.
        from backend.billing.checks import (
            money_settings_are_usable,
            sign_up_credit_is_for_verified_addresses,
            the_products_role_cannot_alter_the_ledger,
        )

        checks.register(money_settings_are_usable)
        checks.register(sign_up_credit_is_for_verified_addresses, checks.Tags.security, deploy=True)
        checks.register(the_products_role_cannot_alter_the_ledger, checks.Tags.database, deploy=True)
