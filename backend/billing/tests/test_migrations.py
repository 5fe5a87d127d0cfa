"""The ledger is installed and removed as a whole."""

from collections.abc import Iterator

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from backend.billing import operations, roles
from backend.billing.tests.conftest import assert_books_are_right, hold, open_wallet, use
from tests.services import PRODUCT

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("migrated_again")]


@pytest.fixture
def migrated_again() -> Iterator[None]:
    """Whatever a test leaves behind, those after it find the tables and the ledger."""
    yield
    call_command("migrate", verbosity=0)  # All: what depends on billing went with it.
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE billing_transfer DISABLE TRIGGER transfer_never_truncated")
    roles.grant(PRODUCT)


def parts() -> set[str]:
    """Functions, views and triggers of the ledger."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT proname FROM pg_proc WHERE proname LIKE 'ledger\\_%%'"
            " UNION SELECT viewname FROM pg_views WHERE viewname LIKE 'ledger\\_%%'"
            " UNION SELECT tgname FROM pg_trigger"
            " WHERE NOT tgisinternal AND tgrelid::regclass::text LIKE 'billing\\_%%'"
        )
        return {name for (name,) in cursor.fetchall()}


def test_backwards_and_forwards_again() -> None:
    before = parts()
    assert {"ledger_reserve", "ledger_discrepancies", "transfer_immutable", "transfer_never_truncated"} <= before

    call_command("migrate", "billing", "0001", verbosity=0)
    assert parts() == set()
    call_command("migrate", "billing", "zero", verbosity=0)
    assert not [table for table in connection.introspection.table_names() if table.startswith("billing_")]
    call_command("migrate", "billing", verbosity=0)

    assert parts() == before
    workspace_id = open_wallet(1_000)
    hold(workspace_id, 500, "run_1")
    use(workspace_id, "run_1", 100)
    assert operations.capture(reference="run_1", description="") == 100
    assert_books_are_right()


def test_installing_twice_changes_nothing() -> None:
    """So that a later migration may run the file again."""
    before = parts()
    executor = MigrationExecutor(connection)
    migration = executor.loader.get_migration("billing", "0002_ledger")

    with connection.schema_editor() as editor:
        for operation in migration.operations:
            operation.database_forwards("billing", editor, None, None)  # type: ignore[arg-type]  # RunSQL uses neither state.

    assert parts() == before
