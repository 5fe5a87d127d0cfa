"""System checks on the settings of billing."""

import re
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.db import connection

from backend.http.money import parse_money


def money_settings_are_usable(**_: Any) -> list[CheckMessage]:
    errors: list[CheckMessage] = []
    if not re.fullmatch(r"[A-Z]{3}", settings.CURRENCY):
        errors.append(Error(f"CURRENCY={settings.CURRENCY!r} is not an ISO 4217 code such as USD.", id="billing.E001"))
    try:
        usable = parse_money(settings.SIGNUP_CREDIT) >= 0
    except ValueError:
        usable = False
    if not usable:
        errors.append(
            Error(f"SIGNUP_CREDIT={settings.SIGNUP_CREDIT!r} is not an amount such as 5.00.", id="billing.E002")
        )
    return errors


TOO_STRONG = """
SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls
    OR pg_has_role(oid, 'pg_write_all_data', 'MEMBER') OR pg_has_role(oid, 'pg_execute_server_program', 'MEMBER')
    OR pg_has_role(oid, 'pg_read_server_files', 'MEMBER') OR pg_has_role(oid, 'pg_write_server_files', 'MEMBER')
    OR EXISTS (
        SELECT FROM pg_class WHERE pg_class.oid = to_regclass('billing_transfer') AND (
            pg_has_role(pg_roles.oid, relowner, 'MEMBER')
            OR has_table_privilege(pg_roles.oid, pg_class.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')))
FROM pg_roles WHERE rolname = current_user
"""


def sign_up_credit_is_for_verified_addresses(**_: Any) -> list[CheckMessage]:
    """In production: with unverified addresses, a script could collect the credit any number of times."""
    try:
        gives = parse_money(settings.SIGNUP_CREDIT) > 0
    except ValueError:  # ``money_settings_are_usable`` reports it.
        return []
    if not gives or settings.EMAIL_VERIFICATION == "mandatory":
        return []
    hint = "Set EMAIL_VERIFICATION=mandatory, or SIGNUP_CREDIT=0."
    return [Error("SIGNUP_CREDIT goes to accounts whose address is not verified.", hint=hint, id="billing.E004")]


def the_products_role_cannot_alter_the_ledger(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Asks the database, so `check --deploy` runs it only with `--database default`."""
    if "default" not in (databases or ()):
        return []
    with connection.cursor() as cursor:
        cursor.execute(TOO_STRONG)
        if cursor.fetchone() != (True,):
            return []
    return [
        Warning(
            "The role of DATABASE_URL owns the tables of the ledger, or is a superuser or nearly one: a fault in one "
            "process could rewrite what was paid.",
            hint="Name the owner in MIGRATION_DATABASE_URL and a role of its own in DATABASE_URL, then run `migrate`.",
            id="billing.W003",
        )
    ]
