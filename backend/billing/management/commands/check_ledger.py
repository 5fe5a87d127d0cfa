"""``manage.py check_ledger``: are the books right?"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from backend.billing import queries
from backend.http.ids import encode


class Command(BaseCommand):
    """Verify every sum of the ledger in one snapshot; ends with 1 and names the wallets that are off."""

    help = "Verify that balances, holds, grants and settlements equal the sums of their rows."

    def handle(self, *args: Any, **options: Any) -> None:
        found = queries.discrepancies()
        for item in found:
            self.stdout.write(
                f"{encode('wsp', item.workspace_id)}: {item.problem}: expected {item.expected}, found {item.found}"
                + (f" ({item.reference})" if item.reference else "")
            )
        if found:
            wallets = len({item.wallet_id for item in found})
            raise CommandError(f"The books are off in {wallets} wallet(s): {len(found)} finding(s).")
        self.stdout.write(self.style.SUCCESS("The books are right."))
