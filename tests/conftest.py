"""What several modules need running: the product, with people before its page, the gateway, and the small site.

Each is started once in a worker of pytest-xdist, for the first test that needs it, and ends with the worker. A test
that ends one of its processes starts it again; one that needs other settings, or a server of its own, has its own.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from playwright.sync_api import Browser
from redis import Redis

from tests import contract, gateway
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


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The product with demonstration content and a model that takes its time."""
    models = tmp_path_factory.mktemp("models") / "models.toml"
    models.write_text(MODELS)
    with stack(settings={"DEMO_CONTENT": "true", "MODELS_FILE": str(models)}) as running:
        yield running


@pytest.fixture(scope="session")
def plain() -> Iterator[Stack]:
    """The product as it comes."""
    with stack() as running:
        yield running


@pytest.fixture(scope="session")
def house() -> Iterator[gateway.Site]:
    """The product as four services behind nginx."""
    many = {"AUTH_RATE_LIMIT": "off", "REFRESH_RATE_LIMIT": "off", "SIGNUP_CREDIT": "1000.00"}
    with gateway.site(settings=many if contract.EXAMPLES else None) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """In a module of browser tests alone: while Playwright runs, Django refuses the thread its database."""
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


@pytest.fixture(scope="session")
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
