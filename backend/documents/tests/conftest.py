"""What the tests of reading documents leave behind in their process is taken away again."""

import resource
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def processor_time() -> Iterator[None]:
    """Readers limit the processor time of their process, which is a child's of its own elsewhere, and this one here."""
    yield
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (hard, hard))
