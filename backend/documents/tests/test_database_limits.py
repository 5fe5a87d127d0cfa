"""Idle transactions that hold locks, and endless statements: requests are refused within seconds."""

import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import OperationalError, connection, transaction

from backend import celery
from backend.documents.models import Document
from backend.documents.tests.cast import upload, uuid_of
from tests.actors import Person

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def forgotten() -> "Iterator[psycopg.Connection[tuple[Any, ...]]]":
    """Another session whose transaction nothing ends."""
    parameters = connection.get_connection_params()
    names = ("host", "port", "user", "password", "dbname")
    with psycopg.connect(**{name: parameters[name] for name in names if name in parameters}) as session:
        yield session
        session.rollback()


def test_a_row_that_an_idle_transaction_locks_refuses_requests_soon(
    owner: Person, forgotten: "psycopg.Connection[tuple[Any, ...]]"
) -> None:
    document = upload(owner, "Locked.").json()["id"]
    forgotten.execute("SELECT FROM documents_document WHERE id = %s FOR UPDATE", [uuid_of(document)])
    started = time.monotonic()

    response = owner.delete(f"/api/v1/documents/{document}")

    assert time.monotonic() - started < 4 * settings.DATABASE_LOCK_SECONDS
    assert (response.status_code, response.json()["code"]) == (503, "service_unavailable")
    assert int(response["Retry-After"]) > 0
    forgotten.rollback()
    assert owner.delete(f"/api/v1/documents/{document}").status_code == 204
    assert not Document.objects.alive().exists()


def test_every_connection_has_its_limits(owner: Person) -> None:
    with connection.cursor() as cursor:
        for name, expected in (
            ("statement_timeout", "15s"),
            ("lock_timeout", "3s"),
            ("idle_in_transaction_session_timeout", "1min"),
        ):
            cursor.execute(f"SHOW {name}")
            assert cursor.fetchone() == (expected,)


def test_a_transaction_that_waits_for_its_client_is_ended_and_is_an_outage(
    owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    def waits(**_: Any) -> None:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL idle_in_transaction_session_timeout = '50ms'")
            time.sleep(0.5)
            Document.objects.exists()

    monkeypatch.setattr("backend.documents.operations.create_collection", waits)

    response = owner.post("/api/v1/collections", {"name": "Slow"})

    assert response.status_code == 503
    assert owner.get("/api/v1/collections").status_code == 200


def test_a_statement_without_an_end_is_an_outage(owner: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(**_: Any) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = '50ms'")
            cursor.execute("SELECT pg_sleep(20)")

    monkeypatch.setattr("backend.documents.operations.create_collection", endless)

    assert owner.post("/api/v1/collections", {"name": "Endless"}).status_code == 503
    with pytest.raises(OperationalError, match="statement timeout"):
        endless()


def test_workers_have_longer_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    options = dict(settings.DATABASES["default"]["OPTIONS"])
    monkeypatch.setitem(settings.DATABASES["default"], "OPTIONS", options)

    celery.allow_long_statements()

    assert "statement_timeout=300000" in options["options"]
    assert "lock_timeout=3000" in options["options"]
