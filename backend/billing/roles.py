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

FUNCTIONS = (  # The functions that the product may call. Their helpers and triggers run as the owner.
    "ledger_open_wallet",
    "ledger_reserve",
    "ledger_record_usage",
    "ledger_capture",
    "ledger_release",
    "ledger_transfer",
    "ledger_expire_grant",
)
VIEWS = ("ledger_postings", "ledger_discrepancies")
# Columns of otherwise read-only tables. Deleting a user sets this one to NULL; a trigger allows nothing else.
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
        change = sql.SQL("ALTER ROLE {} LOGIN" if exists else "CREATE ROLE {} LOGIN").format(
            sql.Identifier(product.role)
        )
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
        for statement in _grants(role, _owned(cursor)):
            cursor.execute(statement)


def _owned(cursor: CursorWrapper) -> dict[str, set[str]]:
    """Names of what the owner has in the schema, by kind: r(elation), v(iew), S(equence), f(unction)."""
    cursor.execute(
        "SELECT relkind::text, relname FROM pg_class"
        " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'S') AND pg_has_role(relowner, 'USAGE')"
        " UNION SELECT 'f', proname FROM pg_proc"
        " WHERE pronamespace = 'public'::regnamespace AND pg_has_role(proowner, 'USAGE')"
    )
    owned: dict[str, set[str]] = {kind: set() for kind in "rvSf"}
    for kind, name in cursor.fetchall():
        owned[kind].add(name)
    return owned


def _grants(role: str, owned: dict[str, set[str]]) -> Iterator[sql.Composed]:
    """Names of tables that are not there are left out: after a migration backwards, some are missing."""
    database = connection.settings_dict["NAME"]
    tables = owned["r"] & {"django_migrations", *connection.introspection.django_table_names()}
    read = tables & {
        "django_migrations",
        *(model._meta.db_table for model in apps.get_app_config("billing").get_models()),
    }
    views = owned["v"] & set(VIEWS)
    functions = {name for name in owned["f"] if name.startswith("ledger_")}
    yield from (
        _statement("REVOKE CREATE, TEMPORARY ON DATABASE {on} FROM PUBLIC, {role}", [database], role),
        _statement("GRANT CONNECT ON DATABASE {on} TO {role}", [database], role),
        _statement("REVOKE CREATE ON SCHEMA {on} FROM PUBLIC, {role}", ["public"], role),
        _statement("GRANT USAGE ON SCHEMA {on} TO {role}", ["public"], role),
        # Tables that a later migration makes work at once. Of one of billing, the grants after it take the rest back.
        _statement(
            "ALTER DEFAULT PRIVILEGES IN SCHEMA {on} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {role}",
            ["public"],
            role,
        ),
    )
    for statement, names in (
        ("REVOKE ALL ON {on} FROM PUBLIC, {role}", tables | views),
        ("REVOKE ALL ON FUNCTION {on} FROM PUBLIC, {role}", functions),
        ("GRANT SELECT, INSERT, UPDATE, DELETE ON {on} TO {role}", tables - read),
        ("GRANT SELECT ON {on} TO {role}", read | views),
        ("GRANT USAGE, SELECT ON SEQUENCE {on} TO {role}", owned["S"]),
        ("GRANT EXECUTE ON FUNCTION {on} TO {role}", functions & set(FUNCTIONS)),
    ):
        if names:
            yield _statement(statement, names, role)
    for table, columns in WRITTEN_COLUMNS.items():
        if table in tables:
            written = sql.SQL(", ").join(map(sql.Identifier, columns))
            yield sql.SQL("GRANT UPDATE ({}) ON {} TO {}").format(written, sql.Identifier(table), sql.Identifier(role))


def _statement(text: str, on: Iterable[str], role: str) -> sql.Composed:
    names = sql.SQL(", ").join(sql.Identifier(name) for name in sorted(on))
    return sql.SQL(text).format(on=names, role=sql.Identifier(role))
