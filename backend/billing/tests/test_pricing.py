"""Prices: exact, each token once, and never without one."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from backend.billing import operations, pricing
from backend.billing.errors import InvalidAmount, ModelUnpriced
from backend.billing.models import UsageRecord
from backend.billing.tests.conftest import use
from backend.llm.catalog import CatalogError, Model, catalog, load


def model(
    input_price: str | None, output_price: str | None, cached_input_price: str | None = None, kind: str = "chat"
) -> Model:
    def price(text: str | None) -> Decimal | None:
        return None if text is None else Decimal(text)

    return Model(
        id="m",
        name="m",
        provider="p",
        kind="chat" if kind == "chat" else "embedding",
        input_price=price(input_price),
        cached_input_price=price(cached_input_price),
        output_price=price(output_price),
        context_window=1_000,
        max_output_tokens=1_000,
        dimensions=None,
        temperature=True,
        available=True,
        unavailable_reason=None,
    )


def test_cached_tokens_are_counted_once_at_their_own_price() -> None:
    cost = pricing.cost(
        model("2.50", "10", "0.25"), input_tokens=1_000_000, cached_input_tokens=400_000, output_tokens=100_000
    )
    assert cost == Decimal("1.50") + Decimal("0.10") + Decimal("1.00")


def test_cached_tokens_without_a_price_of_their_own_cost_like_the_others() -> None:
    cost = pricing.cost(model("2.50", "10"), input_tokens=1_000_000, cached_input_tokens=400_000, output_tokens=0)
    assert cost == Decimal("2.50")


def test_costs_are_exact() -> None:
    cost = pricing.cost(model("0.0375", "0.15"), input_tokens=1, cached_input_tokens=0, output_tokens=1)
    assert cost == Decimal("0.0000001875")


@pytest.mark.parametrize(
    "unpriced", [model(None, None), model("1", None), model(None, "1"), model(None, None, kind="embedding")]
)
def test_a_model_without_a_price_is_not_free_but_refused(unpriced: Model) -> None:
    with pytest.raises(ModelUnpriced) as refusal:
        pricing.cost(unpriced, input_tokens=1, cached_input_tokens=0, output_tokens=1)
    with pytest.raises(ModelUnpriced):
        pricing.max_request_cost(unpriced, input_tokens=1, max_output_tokens=1)

    assert (refusal.value.code, refusal.value.status) == ("model_unpriced", 422)


def test_a_free_model_costs_nothing() -> None:
    assert pricing.max_request_cost(model("0", "0"), input_tokens=1_000, max_output_tokens=1_000) == 0


def test_an_embedding_model_needs_no_price_for_output() -> None:
    cost = pricing.cost(model("0.02", None, kind="embedding"), input_tokens=50, cached_input_tokens=0, output_tokens=0)
    assert cost == Decimal("0.000001")


@pytest.mark.parametrize(("inputs", "cached", "outputs"), [(-1, 0, 0), (1, 2, 0), (1, -1, 0), (0, 0, -1)])
def test_impossible_counts_are_refused(inputs: int, cached: int, outputs: int) -> None:
    with pytest.raises(InvalidAmount):
        pricing.cost(model("1", "1"), input_tokens=inputs, cached_input_tokens=cached, output_tokens=outputs)


@pytest.mark.parametrize("key", ["input_price", "cached_input_price", "output_price"])
@pytest.mark.parametrize("price", ["-0.01", "nan", "inf"])
def test_a_price_that_would_mint_credit_is_refused_when_the_catalog_is_read(
    tmp_path: Path, key: str, price: str
) -> None:
    prices = {"input_price": "1", "cached_input_price": "1", "output_price": "1"} | {key: price}
    path = tmp_path / "bad.toml"
    path.write_text(
        '[[provider]]\nname = "acme"\nkind = "openai-chat"\n[[provider.model]]\nname = "m"\ncontext_window = 9\n'
        + "".join(f"{name} = {value}\n" for name, value in prices.items())
    )

    with pytest.raises(CatalogError, match=key):
        load(path)
    with pytest.raises(InvalidAmount):
        pricing.cost(model("-0.01", "1"), input_tokens=1, cached_input_tokens=0, output_tokens=0)


PRICES = st.decimals(0, 1_000, places=6).map(str)
TOKENS = st.integers(0, 2_000_000)


@given(st.tuples(PRICES, PRICES, PRICES), TOKENS, TOKENS, st.floats(0, 1))
def test_the_max_request_cost_is_never_exceeded(
    prices: tuple[str, str, str], inputs: int, outputs: int, share: float
) -> None:
    priced = model(*prices)
    used = pricing.cost(priced, input_tokens=inputs, cached_input_tokens=int(inputs * share), output_tokens=outputs)
    assert (
        0 <= pricing.to_micro(used) <= pricing.max_request_cost(priced, input_tokens=inputs, max_output_tokens=outputs)
    )


@given(TOKENS)
def test_rounding_is_upwards_and_by_less_than_one(ten_thousandths: int) -> None:
    exact = Decimal(ten_thousandths) / 10**10
    assert 0 <= Decimal(pricing.to_micro(exact)) / 10**6 - exact < Decimal("0.000001")


@pytest.mark.django_db
def test_a_record_keeps_the_prices_of_its_moment(workspace_id: UUID, models_file: Path) -> None:
    def record(step: int) -> Decimal:
        return operations.record_usage(
            workspace_id=workspace_id,
            user_id=None,
            agent_id=None,
            reference="run_1",
            attempt=1,
            step=step,
            model=catalog().get("plain"),
            input_tokens=1_000,
            cached_input_tokens=400,
            output_tokens=10,
        )

    assert record(1) == Decimal("0.00066")
    models_file.write_text(models_file.read_text().replace("input_price = 1.00", "input_price = 10.00"))
    assert catalog().get("plain").input_price == 10

    assert record(1) == Decimal("0.00066")  # Repeated: as it was.
    assert record(2) == Decimal("0.00606")
    first, second = UsageRecord.objects.order_by("step")
    assert [first.input_price, first.cached_input_price, first.output_price] == [1, Decimal("0.1"), 2]
    assert second.input_price == 10
    assert first.cost + second.cost == Decimal("0.00672")


@pytest.mark.django_db
def test_unpriced_usage_is_refused_and_a_free_one_recorded(workspace_id: UUID) -> None:
    with pytest.raises(ModelUnpriced):
        use(workspace_id, "run_1", 5, model="unpriced")
    use(workspace_id, "run_1", 5, model="acme/free")
    operations.reserve(
        workspace_id=workspace_id, amount=0, reference="run_1", expires_at=timezone.now() + timedelta(hours=1)
    )

    assert operations.capture(reference="run_1", description="") == 0
    assert UsageRecord.objects.get().cost == 0
