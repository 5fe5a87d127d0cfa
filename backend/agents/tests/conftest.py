"""A provider that does as it is told, models that talk to it, and an agent of the owner."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from backend.agents.models import Run
from backend.agents.runs import runner, worker
from backend.http.ids import decode
from tests.actors import Person
from tests.providers import FakeProvider

MODEL = """
[[provider]]
name = "{name}"
kind = "openai-chat"
base_url = "{url}"
read_timeout = 1
[[provider.model]]
name = "{name}"
input_price = "1.00"
output_price = "4.00"
context_window = 32000
max_output_tokens = 1000
"""
BEHAVIOURS = ("tool", "slow", "long", "401", "429", "500", "context", "filter", "stall", "stall-middle", "half")
UNPRICED = """
[[provider]]
name = "unpriced"
kind = "openai-chat"
base_url = "{url}"
[[provider.model]]
name = "unpriced"
context_window = 32000
[[provider]]
name = "keyless"
kind = "openai-chat"
base_url = "{url}"
api_key_env = "NO_SUCH_KEY_ANYWHERE"
[[provider.model]]
name = "keyless"
input_price = "1.00"
output_price = "1.00"
context_window = 32000
"""


@pytest.fixture(scope="session", autouse=True)
def loop_ends() -> Iterator[None]:
    """The event loop that the tests' own runs started does not outlive Redis."""
    yield
    worker.close()


@pytest.fixture(scope="session")
def provider_server() -> Iterator[FakeProvider]:
    with FakeProvider() as server:
        yield server


def models_toml(server: FakeProvider, folder: Path) -> Path:
    names = [f"fake-{name}" for name in (*BEHAVIOURS, "nonsense", "html", "echo")]
    extra = "".join(MODEL.format(name=name, url=server.base_url) for name in names)
    return server.models_file(folder, extra=extra + UNPRICED.format(url=server.base_url), read_timeout=5)


@pytest.fixture
def provider(provider_server: FakeProvider, settings: Settings, tmp_path: Path) -> FakeProvider:
    """Its models ``chat`` (the default), ``fake-…`` and ``unpriced`` are the catalog of this test."""
    provider_server.requests.clear()
    provider_server._scripts.clear()  # Of a test whose run ended before it asked for all of them.
    settings.MODELS_FILE = models_toml(provider_server, tmp_path)
    return provider_server


@pytest.fixture
def agent(owner: Person, provider: FakeProvider) -> dict[str, Any]:
    response = owner.post("/api/v1/agents", {"name": "Reader"})
    assert response.status_code == 201, response.content
    created: dict[str, Any] = response.json()
    return created


@pytest.fixture
def conversation(owner: Person, agent: dict[str, Any]) -> dict[str, Any]:
    created: dict[str, Any] = owner.post("/api/v1/conversations", {"agent": agent["id"]}).json()
    return created


Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def ask(owner: Person, provider: FakeProvider) -> Ask:
    """Ask in a new conversation with a new agent, and carry the run to its end as a worker would."""

    def asked(
        text: str = "How are you?", *, carry: bool = True, max_cost: str | None = None, **fields: Any
    ) -> dict[str, Any]:
        agent = owner.post("/api/v1/agents", {"name": "Reader", **fields})
        assert agent.status_code == 201, agent.content
        conversation = owner.post("/api/v1/conversations", {"agent": agent.json()["id"]}).json()["id"]
        run = owner.post(f"/api/v1/conversations/{conversation}/runs", {"input": text, "max_cost": max_cost})
        assert run.status_code == 202, run.content
        if carry:
            runner.execute(run_id=decode("run", run.json()["id"]))
        shown: dict[str, Any] = owner.get(f"/api/v1/runs/{run.json()['id']}").json()
        return shown

    return asked


def row(run: dict[str, Any]) -> Run:
    return Run.objects.select_related("output_message", "agent_version").get(pk=decode("run", run["id"]))
