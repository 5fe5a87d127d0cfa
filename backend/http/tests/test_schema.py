"""The OpenAPI document is generated once per process."""

import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.utils import translation
from drf_spectacular.generators import SchemaGenerator

from backend.http import schema


@pytest.fixture
def cold() -> Iterator[None]:
    """A process that has not made the document yet, and threads that change places often."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    schema._generate.cache_clear()
    yield
    sys.setswitchinterval(interval)
    schema._generate.cache_clear()


@pytest.mark.usefixtures("cold")
def test_first_requests_at_the_same_time_get_one_and_the_same_document(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    generate: Any = SchemaGenerator.get_schema

    def counted(*args: object, **kwargs: object) -> object:
        made.append(1)
        return generate(*args, **kwargs)

    monkeypatch.setattr(SchemaGenerator, "get_schema", counted)
    barrier = threading.Barrier(12)
    answers: list[tuple[int, bytes]] = []

    def ask() -> None:
        client = Client(raise_request_exception=False)
        barrier.wait(30)
        response = client.get("/api/schema")
        answers.append((response.status_code, response.content))

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [status for status, _ in answers] == [200] * 12
    assert len(set(answers)) == 1
    assert len(made) == 1


@pytest.mark.usefixtures("cold")
def test_the_document_does_not_depend_on_the_language_of_the_first_request() -> None:
    with translation.override("pt-br"):
        first = schema.document()
    schema._generate.cache_clear()
    with translation.override("en"):
        assert schema.document() == first
