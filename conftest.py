"""Fixtures of every test: three people, and Redis emptied between tests."""

from collections.abc import Iterator

import pytest
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import connection
from django.utils import translation
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from pytest_django import DjangoDbBlocker
from redis import Redis

from backend.accounts import mail, outbox
from backend.billing import roles
from tests.actors import Person, join, register
from tests.economy import economy
from tests.services import PRODUCT

# By itself, Hypothesis fails an example that takes 200 ms: on a busy machine, any.
hypothesis_settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """Transactional tests end by truncating every table, which the ledger refuses; its own test arms the trigger."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE billing_transfer DISABLE TRIGGER transfer_never_truncated")
        roles.grant(PRODUCT)


@pytest.fixture(autouse=True)
def product_role(request: pytest.FixtureRequest) -> None:
    """Tests have the rights of the product's role, so that what it may not do fails here too.

    Those marked ``owner_role`` have the owner's, and so have transactional ones, which end by truncating all tables.
    """
    marker = request.node.get_closest_marker("django_db")
    transactional = "transactional_db" in request.fixturenames or (marker and marker.kwargs.get("transaction"))
    if request.node.get_closest_marker("owner_role") or transactional:
        return
    if marker or "db" in request.fixturenames:
        request.getfixturevalue("db")
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL ROLE {PRODUCT}")  # Until the transaction around the test ends.


@pytest.fixture(scope="session", autouse=True)
def economical() -> Iterator[None]:
    with economy():
        yield


@pytest.fixture(scope="session")
def redis_of_the_run() -> Iterator[Redis]:
    with Redis.from_url(settings.REDIS_URL) as client:
        yield client


@pytest.fixture(autouse=True)
def clean_redis(redis_of_the_run: Redis) -> None:
    """Each test starts with its own Redis database empty: no rate limits, streams or caches of the one before."""
    redis_of_the_run.flushdb()


@pytest.fixture(autouse=True)
def default_language() -> None:
    """A request leaves its language behind in its thread, which is also the thread of the next test."""
    translation.deactivate()


@pytest.fixture
def owner(db: None) -> Person:
    """Owns the workspace that the test is about."""
    return register("owner@example.com")


@pytest.fixture
def member(owner: Person) -> Person:
    """Works in the owner's workspace."""
    return join(register("member@example.com"), owner.workspace)


@pytest.fixture
def viewer(owner: Person) -> Person:
    """May only read in the owner's workspace."""
    return join(register("viewer@example.com"), owner.workspace, role="viewer")


@pytest.fixture
def stranger(db: None) -> Person:
    """Has a workspace of their own and no business in the owner's."""
    return register("stranger@example.com")


@pytest.fixture
def mailoutbox(mailoutbox: list[EmailMessage], monkeypatch: pytest.MonkeyPatch) -> list[EmailMessage]:
    """Every e-mail, as if a worker had sent it while the request went on."""
    monkeypatch.setattr(outbox, "_enqueue", lambda job, *, seconds: mail.deliver(mail.keep(job, seconds=seconds)))
    return mailoutbox
