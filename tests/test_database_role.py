"""The role that the product's processes connect as: it does all of their work, and nothing to the ledger beside it."""

import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from backend.billing.roles import FUNCTIONS
from tests.http_client import ApiClient
from tests.live import ROOT, Stack, migrate, stack
from tests.servers import own_servers

DENIED = "42501"  # insufficient_privilege

REFUSED = [
    # What was moved.
    "UPDATE billing_transfer SET amount = 1",
    "DELETE FROM billing_transfer",
    "TRUNCATE billing_transfer",
    "INSERT INTO billing_transfer (id) VALUES (gen_random_uuid())",
    "MERGE INTO billing_transfer USING (SELECT 1) ON false WHEN NOT MATCHED THEN INSERT (sequence) VALUES (1)",
    # Balances, and what they follow from.
    "UPDATE billing_wallet SET posted = posted + 1000000",
    "UPDATE billing_wallet SET held = 0",
    "INSERT INTO billing_wallet (id) VALUES (gen_random_uuid())",
    "DELETE FROM billing_wallet",
    "INSERT INTO billing_creditgrant (transfer_id) VALUES (gen_random_uuid())",
    "UPDATE billing_creditgrant SET remaining = amount",
    "DELETE FROM billing_creditgrant",
    "INSERT INTO billing_hold (id) VALUES (gen_random_uuid())",
    "UPDATE billing_hold SET state = 'released', ended_at = now()",
    "DELETE FROM billing_hold",
    "INSERT INTO billing_usagerecord (id) VALUES (gen_random_uuid())",
    "UPDATE billing_usagerecord SET cost = 0",
    "DELETE FROM billing_usagerecord",
    "SELECT * FROM billing_wallet FOR UPDATE",
    "LOCK TABLE billing_wallet IN SHARE MODE",
    # The parts of the ledger's functions.
    "SELECT ledger_post(wallet, 0, gen_random_uuid(), 'grant', 'credit', 1, 'k', '', '') FROM billing_wallet wallet",
    "SELECT ledger_spend_grants(id, 1) FROM billing_wallet",
    "SELECT ledger_lock_wallet(workspace_id) FROM billing_wallet",
    # Its definition.
    "ALTER TABLE billing_transfer DISABLE TRIGGER ALL",
    "DROP TRIGGER transfer_immutable ON billing_transfer",
    "CREATE TRIGGER mine BEFORE INSERT ON billing_transfer FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change()",
    "ALTER TABLE billing_transfer DROP CONSTRAINT transfer_amount_positive",
    "ALTER TABLE billing_wallet OWNER TO CURRENT_USER",
    "DROP TABLE billing_creditgrant",
    "CREATE INDEX ON billing_transfer (amount)",
    "CREATE OR REPLACE FUNCTION ledger_release(p_reference text) RETURNS boolean LANGUAGE sql AS 'SELECT true'",
    "ALTER FUNCTION ledger_release SECURITY INVOKER",
    "DROP FUNCTION ledger_release",
    "CREATE OR REPLACE VIEW ledger_discrepancies AS SELECT 1",
    # Objects that could take the place of another.
    "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE TABLE public.mine (x int)",
    "CREATE TEMPORARY TABLE billing_wallet (x int)",
    "CREATE SCHEMA mine",
    "CREATE EXTENSION vector",
    # The server and its other roles.
    "SET session_replication_role = replica",
    "SET ROLE orquestra",
    "SET SESSION AUTHORIZATION orquestra",
    "GRANT orquestra TO CURRENT_USER",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "ALTER ROLE orquestra PASSWORD 'mine'",
    "CREATE ROLE mine SUPERUSER",
    "SELECT * FROM pg_authid",
    "COPY billing_transfer TO PROGRAM 'cat'",
    "COPY billing_transfer TO '/tmp/mine'",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT lo_import('/etc/passwd')",
    # Other tables: their rows are the product's, their shape is not.
    "ALTER TABLE accounts_user ADD COLUMN mine int",
    "TRUNCATE accounts_user CASCADE",
    "DELETE FROM django_migrations",
]


@pytest.fixture(scope="module")
def live() -> Iterator[Stack]:
    """On servers of its own, whose database was migrated as an installation does it."""
    with own_servers() as servers, stack(settings=servers.settings()) as running:
        yield running


@pytest.fixture
def product(live: Stack) -> Iterator[psycopg.Connection]:
    """A connection as the product's processes have it. What a test does is rolled back."""
    with psycopg.connect(live.environment["DATABASE_URL"]) as connection:
        yield connection
        connection.rollback()


@pytest.fixture(scope="module")
def person(live: Stack) -> Iterator[ApiClient]:
    client = ApiClient.sign_up(live.base_url)
    yield client
    client.close()


def state_of(connection: psycopg.Connection, statement: str) -> str | None:
    """The SQLSTATE with which the statement is refused; none if it is not."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(statement.encode())
    except psycopg.Error as error:
        return error.sqlstate
    return None


@pytest.mark.parametrize("statement", REFUSED)
def test_it_may_not(product: psycopg.Connection, person: ApiClient, statement: str) -> None:
    assert state_of(product, statement) == DENIED


def test_it_has_no_special_rights(product: psycopg.Connection) -> None:
    row = product.execute(
        "SELECT rolname, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls,"
        " (SELECT count(*) FROM pg_auth_members WHERE member = pg_roles.oid),"
        " (SELECT count(*) FROM pg_class WHERE relowner = pg_roles.oid),"
        " (SELECT count(*) FROM pg_proc WHERE proowner = pg_roles.oid)"
        " FROM pg_roles WHERE rolname = current_user"
    ).fetchone()

    assert row == ("orquestra_app", False, False, False, False, False, 0, 0, 0)


def test_of_the_ledger_it_may_call_what_python_calls_and_read_the_rest(product: psycopg.Connection) -> None:
    functions = product.execute(
        "SELECT proname, prosecdef, proconfig, has_function_privilege(oid, 'EXECUTE'), proacl::text"
        " FROM pg_proc WHERE proname LIKE 'ledger\\_%'"
    ).fetchall()
    assert {name for name, *_, callable_, _ in functions if callable_} == set(FUNCTIONS)
    for name, definer, configuration, _, rights in functions:
        assert definer == (name in FUNCTIONS), name
        assert not definer or configuration == ["search_path=pg_catalog, public, pg_temp"], name
        assert "=X/" not in rights.replace("orquestra=X/", "").replace("orquestra_app=X/", ""), name  # Not every role.
    writable = product.execute(
        "SELECT relname FROM pg_class WHERE (relname LIKE 'billing\\_%' OR relname LIKE 'ledger\\_%') AND"
        " relkind IN ('r', 'v') AND has_table_privilege(oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')"
    ).fetchall()
    assert writable == []


@pytest.mark.parametrize(
    ("call", "state"),
    [
        ("ledger_reserve(workspace_id, gen_random_uuid(), 'mine', -1, now())", "OQ422"),
        ("ledger_reserve(workspace_id, gen_random_uuid(), 'mine', NULL, now())", "OQ422"),
        ("ledger_transfer(workspace_id, gen_random_uuid(), 'grant', 'credit', -5, 'k', '', '', NULL, 0)", "OQ422"),
        ("ledger_transfer(workspace_id, gen_random_uuid(), 'grant', 'credit', NULL, 'k', '', '', NULL, 0)", "OQ422"),
        ("ledger_transfer(workspace_id, gen_random_uuid(), 'usage', 'debit', 1, 'k', '', '', NULL, 0)", "OQ423"),
        ("ledger_transfer(workspace_id, gen_random_uuid(), 'expiry', 'debit', 1, 'k', '', '', NULL, 0)", "OQ423"),
        ("ledger_transfer(workspace_id, gen_random_uuid(), 'grant', 'credit', 1, 'usage:r', '', '', NULL, 0)", "OQ423"),
        ("ledger_transfer(workspace_id, gen_random_uuid(), 'grant', 'upward', 1, 'k', '', '', NULL, 0)", "23514"),
        ("ledger_transfer(gen_random_uuid(), gen_random_uuid(), 'grant', 'credit', 1, 'k', '', '', NULL, 0)", "OQ404"),
        ("ledger_capture(reference, gen_random_uuid(), gen_random_uuid(), '', -5)", None),  # It was captured.
        (
            "ledger_record_usage(workspace_id, gen_random_uuid(), 'mine', 1, 1, NULL, NULL, NULL, 'm', 'p', -9, 0, 0,"
            " 1, 1, 1, -0.000009)",
            "23514",
        ),
        ("ledger_open_wallet(workspace_id, gen_random_uuid(), 'USD')", "23505"),
    ],
)
def test_what_the_functions_take_is_checked_inside_them(
    product: psycopg.Connection, person: ApiClient, call: str, state: str | None
) -> None:
    agent = person.agent()
    person.ask(agent["id"], "What is said here?")

    assert (
        state_of(product, f"SELECT {call} FROM billing_wallet JOIN billing_hold ON wallet_id = billing_wallet.id")
        == state
    )


def test_usage_may_lose_its_user_and_gets_no_other(product: psycopg.Connection, person: ApiClient) -> None:
    person.ask(person.agent()["id"], "Who asks?")

    other = "UPDATE billing_usagerecord SET user_id = gen_random_uuid()"
    assert state_of(product, other) == "OQ423"
    assert state_of(product, "UPDATE billing_usagerecord SET user_id = NULL") is None


def test_temporary_objects_do_not_take_the_place_of_the_ledgers(live: Stack, person: ApiClient) -> None:
    """Where the owner cannot refuse them, as on a server that others administer."""
    [(database, role)] = live.rows("SELECT current_database(), 'orquestra_app'")
    with psycopg.connect(live.owner_url, autocommit=True) as owner:
        owner.execute(f"GRANT TEMPORARY ON DATABASE {database} TO {role}".encode())
        try:
            with psycopg.connect(live.environment["DATABASE_URL"]) as product:
                workspace = product.execute("SELECT workspace_id FROM billing_wallet").fetchone()
                product.execute("CREATE TEMPORARY TABLE billing_wallet AS SELECT * FROM public.billing_wallet")
                product.execute("SET search_path = pg_temp, public")
                product.execute(
                    "SELECT public.ledger_transfer(%s, gen_random_uuid(), 'grant', 'credit', 1, 'k', '', '', NULL, 0)",
                    workspace,
                )
                balances = "SELECT (SELECT sum(posted) FROM pg_temp.billing_wallet), (SELECT sum(posted) FROM {})"
                shadow, real = product.execute(balances.format("public.billing_wallet").encode()).fetchone() or (0, 0)
                assert real == shadow + 1
                product.rollback()
        finally:
            owner.execute(f"REVOKE TEMPORARY ON DATABASE {database} FROM {role}".encode())


def test_the_whole_way_of_money_works(live: Stack, person: ApiClient) -> None:
    """Sign-up credit, a charge, an operator's grant and adjustment, what expires, and the books."""
    assert person.call("GET", "/api/v1/billing/balance")["currency"] == "USD"
    before = Decimal(person.call("GET", "/api/v1/billing/balance")["posted"])
    run, _, _ = person.ask(person.agent()["id"], "How much is it?")
    after = Decimal(person.call("GET", "/api/v1/billing/balance")["posted"])
    assert before - after == Decimal(run["cost"]) > 0

    workspace = person.call("GET", "/api/v1/users/me")["workspaces"][0]["id"]
    script = f"""
from django.core.management import call_command
from datetime import timedelta
from django.utils import timezone
from backend.billing import operations
from backend.billing.models import Wallet
from backend.http.ids import decode
workspace = decode("wsp", "{workspace}")
past = timezone.now() - timedelta(days=1)
operations.grant(workspace_id=workspace, amount=70, description="", key="gift", expires_at=past)
operations.adjust(workspace_id=workspace, amount=-30, description="", key="less")
operations.reserve(workspace_id=workspace, amount=10, reference="late", expires_at=past)
print(operations.expire_holds(), operations.expire_grants())
call_command("check_ledger")
"""
    moved = subprocess.run(
        [sys.executable, "manage.py", "shell", "-c", script],
        cwd=ROOT,
        env=live.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert moved.returncode == 0, moved.stderr
    # The adjustment took 30 of the gift.
    assert moved.stdout.splitlines()[-2:] == ["1 40", "The books are right."]


def test_migrating_again_takes_back_what_was_granted_by_hand(live: Stack, product: psycopg.Connection) -> None:
    with psycopg.connect(live.owner_url) as owner:
        owner.execute("GRANT ALL ON billing_wallet TO orquestra_app")
    assert state_of(product, "UPDATE billing_wallet SET held = held") is None
    environment = {**live.environment, "MIGRATION_DATABASE_URL": live.owner_url}

    migrated = subprocess.run(
        [sys.executable, "manage.py", "migrate"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )

    assert migrated.returncode == 0, migrated.stderr
    assert state_of(product, "UPDATE billing_wallet SET held = held") == DENIED


def test_an_owner_who_is_no_superuser_is_enough(live: Stack) -> None:
    """As on a managed server: it owns the database and may make roles."""
    with psycopg.connect(live.owner_url, autocommit=True) as server:
        server.execute("CREATE ROLE managed_owner LOGIN CREATEROLE")
        server.execute("CREATE DATABASE managed OWNER managed_owner")
    urls = {
        name: urlunsplit(urlsplit(live.owner_url)._replace(netloc=f"{role}@{place}", path="/managed"))
        for name, role in (("MIGRATION_DATABASE_URL", "managed_owner"), ("DATABASE_URL", "managed_app:its-own"))
        for place in [urlsplit(live.owner_url).netloc.rpartition("@")[2]]
    }

    migrate({**live.environment, **urls})

    with psycopg.connect(urls["DATABASE_URL"]) as product:
        assert product.execute("SELECT count(*) FROM billing_wallet").fetchone() == (0,)
        assert state_of(product, "SELECT ledger_release('none')") is None
        assert state_of(product, "INSERT INTO accounts_workspace (id) VALUES (gen_random_uuid())") == "23502"
        for statement in ("UPDATE billing_wallet SET held = 0", "CREATE TEMPORARY TABLE x (y int)"):
            assert state_of(product, statement) == DENIED
