"""The two roles of the database: the owner, which migrates, and the product's, which cannot write the ledger's tables.

Web processes, workers and beat connect as the role of DATABASE_URL. It reads and writes ordinary tables, reads those of
billing, and moves money through the functions of ``ledger.sql``, which run with the rights of their owner. Where
MIGRATION_DATABASE_URL names the owner, ``migrate`` connects as that one, makes the product's role and grants what it
needs. Without it, one role owns and does everything, and `check --deploy --database default` warns.
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import ProgrammingError, connection, transaction
from django.db.backends.utils import CursorWrapper
from psycopg import errors, sql

logger = logging.getLogger(__name__)

FUNCTIONS = (  # What the ledger offers; its parts and triggers are for its owner.
    "ledger_open_wallet",
    "ledger_reserve",
    "ledger_record_usage",
    "ledger_capture",
    "ledger_release",
    "ledger_transfer",
    "ledger_expire_grant",
)
VIEWS = ("ledger_postings", "ledger_discrepancies")
# Of tables that are otherwise only read. A user who is deleted is forgotten in the usage; a trigger allows no more.
WRITTEN_COLUMNS = {"billing_usagerecord": ("user_id",)}


@dataclass(frozen=True, slots=True)
class Product:
    """The role of web processes, workers and beat. An empty password means that it logs in by other means."""

    role: str
    password: str


@contextmanager
def as_owner() -> Iterator[Product | None]:
    """Within, Django's connection is that of MIGRATION_DATABASE_URL, without time-outs.

    Yields the role of DATABASE_URL if that is another one.
    """
    owner: dict[str, Any] = settings.MIGRATION_DATABASE
    kept = {name: connection.settings_dict[name] for name in owner}
    product = Product(connection.settings_dict["USER"], connection.settings_dict["PASSWORD"])
    _connect_with(owner)
    try:
        yield product if owner.get("USER", product.role) != product.role else None
    finally:
        _connect_with(kept)


def _connect_with(values: dict[str, Any]) -> None:
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]  # PostgreSQL's; it keeps connections with the old values.
    connection.settings_dict.update(values)


@transaction.atomic
def make(product: Product) -> None:
    """Make the role if it is not there, and give it its password.

    :raises ProgrammingError: the owner may not make roles; then an administrator of the server has to make this one.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [product.role])
        exists = cursor.fetchone() is not None
        change = sql.SQL("ALTER ROLE {} LOGIN" if exists else "CREATE ROLE {} LOGIN").format(_name(product.role))
        if product.password:  # Hashed here, since a statement may be logged.
            client = connection.connection.pgconn
            hashed = client.encrypt_password(product.password.encode(), product.role.encode(), b"scram-sha-256")
            change += sql.SQL(" PASSWORD {}").format(hashed.decode())
        try:
            with transaction.atomic():
                cursor.execute(change)
        except ProgrammingError as error:
            if not exists or not isinstance(error.__cause__, errors.InsufficientPrivilege):
                raise
            logger.warning("database_role_not_altered", extra={"role": product.role})  # An administrator made it.


@transaction.atomic
def grant(role: str) -> None:
    """Give the role what the product needs of this database, and take everything else. Connected as the owner."""
    with connection.cursor() as cursor:
        for statement in _grants(role, existing=_existing(cursor)):
            cursor.execute(statement)


def _existing(cursor: CursorWrapper) -> set[str]:
    """Names of tables, views and functions: after a migration backwards, some are missing."""
    cursor.execute("SELECT proname FROM pg_proc WHERE proname = ANY(%s)", [list(FUNCTIONS)])
    functions = {name for (name,) in cursor.fetchall()}
    return functions | set(connection.introspection.table_names(cursor, include_views=True))


def _grants(role: str, *, existing: set[str]) -> Iterator[sql.Composed]:
    to, database = _name(role), _name(connection.settings_dict["NAME"])
    tables = existing & {"django_migrations", *connection.introspection.django_table_names()}
    read = existing & {model._meta.db_table for model in apps.get_app_config("billing").get_models()}
    read |= existing & {*VIEWS, "django_migrations"}
    for statement in (
        "REVOKE CREATE, TEMPORARY ON DATABASE {database} FROM PUBLIC, {to}",
        "GRANT CONNECT ON DATABASE {database} TO {to}",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC, {to}",
        "GRANT USAGE ON SCHEMA public TO {to}",
        "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {to}",
        "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {to}",
        # Tables that a later migration makes work at once. Of a table of the ledger, the next call takes the rest back.
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {to}",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO {to}",
    ):
        yield sql.SQL(statement).format(database=database, to=to)
    if written := tables - read:
        yield sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO {}").format(_names(written), to)
    if read:
        yield sql.SQL("GRANT SELECT ON {} TO {}").format(_names(read), to)
    for table, columns in WRITTEN_COLUMNS.items():
        if table in existing:
            yield sql.SQL("GRANT UPDATE ({}) ON {} TO {}").format(_names(columns), _name(table), to)
    if functions := existing & set(FUNCTIONS):
        yield sql.SQL("GRANT EXECUTE ON FUNCTION {} TO {}").format(_names(functions), to)


def _name(name: str) -> sql.Identifier:
    return sql.Identifier(name)


def _names(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(_name(name) for name in sorted(names))
