"""What several modules need running: the product with its page and two people before it, and the small site."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from playwright.sync_api import Browser
from redis import Redis

from tests.browser import Visitor, chromium, email, visitor
from tests.edge_server import Site
from tests.live import Stack, stack

# Slow enough that a person, or a test, can act in the middle of an answer.
MODELS = """
[[provider]]
name = "offline"
kind = "offline"
tokens_per_second = 12

[[provider.model]]
name = "offline"
input_price = 0.40
output_price = 1.60
context_window = 128000
max_output_tokens = 2048
"""


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything, with a model that takes its time. A module that needs other settings has its own."""
    models = tmp_path_factory.mktemp("models") / "models.toml"
    models.write_text(MODELS)
    with stack(settings={"DEMO_CONTENT": "true", "MODELS_FILE": str(models)}) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def ana(browser: Browser, live: Stack) -> Iterator[Visitor]:
    """At a desk, signed up."""
    for ana in visitor(browser, live.base_url):
        ana.sign_up(email())
        yield ana


@pytest.fixture
def rui(browser: Browser, live: Stack) -> Iterator[Visitor]:
    """On a phone, in Portuguese and in the dark."""
    size = {"width": 375, "height": 700}
    yield from visitor(browser, live.base_url, viewport=size, locale="pt-BR", color_scheme="dark", has_touch=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    running = Site(tmp_path_factory.mktemp("site"))
    yield running
    running.stop()


@pytest.fixture
def own_site(tmp_path: Path) -> Iterator[Site]:
    """One that the test may end."""
    running = Site(tmp_path)
    yield running
    if running.process.poll() is None:
        running.process.kill()
        running.process.wait()


@pytest.fixture
def redis() -> Iterator[Redis]:
    with Redis.from_url(settings.REDIS_URL) as client:
        yield client
