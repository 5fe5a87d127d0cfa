"""What a run costs is what it was accepted with, whatever happens to ``models.toml`` while it waits or works."""

from decimal import Decimal
from typing import Any

import pytest
from django.apps import apps
from pytest_django import Settings

from backend.agents.models import Run
from backend.agents.runs import runner
from backend.agents.tests.conftest import row
from backend.agents.tests.test_runner import assert_settled
from backend.http.ids import decode
from tests.actors import Person
from tests.providers import FakeProvider, Reply, Usage

pytestmark = pytest.mark.django_db
PRICES = 'input_price = "1.00"\ncached_input_price = "0.25"\noutput_price = "4.00"\n'


def edit(settings: Settings, old: str, new: str) -> None:
    """Of the model ``chat``, which stands first in the file."""
    text = settings.MODELS_FILE.read_text()
    assert old in text
    settings.MODELS_FILE.write_text(text.replace(old, new, 1))


def carry(person: Person, run: dict[str, Any]) -> dict[str, Any]:
    runner.execute(run_id=decode("run", run["id"]))
    shown: dict[str, Any] = person.get(f"/api/v1/runs/{run['id']}").json()
    return shown


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (PRICES, PRICES.replace('"1.00"', '"90.00"').replace('"4.00"', '"90.00"')),
        (PRICES, PRICES.replace('"1.00"', "0").replace('"0.25"', "0").replace('"4.00"', "0")),
        (PRICES, ""),
        ("context_window = 32000", "context_window = 1000"),
    ],
    ids=["dearer", "free", "unpriced", "smaller"],
)
def test_an_edit_while_it_waits_changes_no_charge(  # noqa: PLR0917  # Fixtures.
    ask: Any, owner: Person, provider: FakeProvider, settings: Settings, old: str, new: str
) -> None:
    provider.script(Reply(text="Nine.", usage=Usage(1000, 400, 50)))
    run = ask(carry=False)
    edit(settings, old, new.replace("max_output_tokens = 1000", "max_output_tokens = 10"))

    after = carry(owner, run)

    assert (after["status"], after["cost"]) == ("completed", "0.0009")
    record = apps.get_model("billing", "UsageRecord")._default_manager.get()
    prices = (record.input_price, record.cached_input_price, record.output_price)
    assert prices == (Decimal(1), Decimal("0.25"), Decimal(4))
    assert (record.model, record.provider) == ("chat", "fake-chat")
    assert_settled(owner, after)


def test_an_edit_while_it_works_changes_no_charge(
    ask: Any, owner: Person, provider: FakeProvider, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.script(Reply(text="Nine.", usage=Usage(1000, 400, 50)))
    from backend.agents.runs import settlement

    real = settlement.finish

    def finish(**given: Any) -> Any:
        edit(settings, 'name = "chat"', 'name = "chat-2"')
        return real(**given)

    monkeypatch.setattr(settlement, "finish", finish)
    run = ask(carry=False)
    Run.objects.update(offer=None)  # Even one that was accepted before offers were kept.

    after = carry(owner, run)

    assert (after["status"], after["cost"]) == ("completed", "0.0009")
    assert_settled(owner, after)


def test_a_model_that_is_gone_ends_the_run_and_costs_nothing(
    ask: Any, owner: Person, provider: FakeProvider, settings: Settings
) -> None:
    run = ask(carry=False)
    edit(settings, 'name = "chat"', 'name = "chat-2"')

    after = carry(owner, run)

    assert (after["status"], after["error"]["code"]) == ("failed", "provider_unavailable")
    assert "fake-chat/chat" in after["error"]["detail"]
    assert (after["cost"], provider.requests) == ("0.00", [])
    assert_settled(owner, after)


def test_a_run_stays_with_the_provider_that_it_was_accepted_for(
    ask: Any, owner: Person, provider: FakeProvider, settings: Settings
) -> None:
    """A bare name means the first provider that offers it: another one that is put before it takes no run over."""
    provider.script(Reply(text="Nine.", usage=Usage(1000, 400, 50)))
    run = ask(carry=False)
    other = (
        f'[[provider]]\nname = "dear"\nkind = "openai-chat"\nbase_url = "{provider.base_url}"\n[[provider.model]]\n'
        'name = "chat"\ninput_price = 50\noutput_price = 50\ncontext_window = 32000\n'
    )
    settings.MODELS_FILE.write_text(other + settings.MODELS_FILE.read_text())

    after = carry(owner, run)

    assert after["cost"] == "0.0009"
    [step] = owner.get(f"/api/v1/runs/{run['id']}/steps").json()["results"]
    assert step["provider"] == "fake-chat"
    assert_settled(owner, after)


def test_a_run_of_before_is_charged_by_the_catalog(ask: Any, owner: Person, provider: FakeProvider) -> None:
    provider.script(Reply(text="Nine.", usage=Usage(1000, 400, 50)))
    run = ask(carry=False)
    assert row(run).offer is not None
    Run.objects.update(offer=None)

    after = carry(owner, run)

    assert (after["status"], after["cost"]) == ("completed", "0.0009")
