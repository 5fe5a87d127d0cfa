"""A provider that streams over real HTTP, and the models that point at it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import Settings

from tests.providers import FakeProvider


@pytest.fixture
def provider(settings: Settings, tmp_path: Path) -> Iterator[FakeProvider]:
    """The models ``chat``, ``responses`` and ``claude`` are this provider's; silence of a second is a stall."""
    with FakeProvider() as fake:
        settings.MODELS_FILE = fake.models_file(tmp_path, read_timeout=1)
        yield fake
