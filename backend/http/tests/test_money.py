"""Amounts of money."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.exceptions import ValidationError

from backend.http.money import MAX_AMOUNT, MICRO, MoneyField, format_money, parse_money


@pytest.mark.parametrize(
    ("micro", "text"),
    [
        (5_000_000, "5.00"),
        (-1_875, "-0.001875"),
        (4_998_125, "4.998125"),
        (0, "0.00"),
        (1, "0.000001"),
        (100_000, "0.10"),
        (-12_300_000, "-12.30"),
        (Decimal("0.4"), "0.00"),
        (Decimal("-0.4"), "0.00"),
        (Decimal("0.5"), "0.000001"),
        (Decimal("1875.25"), "0.001875"),
    ],
)
def test_an_amount_as_text(micro: int | Decimal, text: str) -> None:
    assert format_money(micro) == text


@given(st.integers(-MAX_AMOUNT + MICRO, MAX_AMOUNT - MICRO))
def test_an_amount_survives_formatting_and_parsing(micro: int) -> None:
    assert parse_money(format_money(micro)) == micro


@given(st.decimals(min_value=-(10**9), max_value=10**9, places=6))
def test_an_amount_is_parsed_exactly(amount: Decimal) -> None:
    assert parse_money(f"{amount:f}") == int(amount * MICRO)


@pytest.mark.parametrize(
    "text",
    ["", "-", ".", "1.", ".5", "+1", "1e3", "1,5", " 1", "1\n", "NaN", "١", "1_000", "0.0000001", "1" * 13, "--1"],
)
def test_an_invalid_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        parse_money(text)


@given(st.text() | st.floats() | st.booleans() | st.none() | st.lists(st.integers()))
def test_a_field_accepts_amounts_or_refuses(data: Any) -> None:
    try:
        micro = MoneyField().to_internal_value(data)
    except ValidationError:
        return
    assert abs(micro) <= MAX_AMOUNT
    assert isinstance(data, str)


@pytest.mark.parametrize(("data", "code"), [("0.99", "min_value"), ("2.01", "max_value"), (1.5, "invalid")])
def test_a_field_has_bounds(data: Any, code: str) -> None:
    with pytest.raises(ValidationError) as refused:
        MoneyField(min_value=MICRO, max_value=2 * MICRO).to_internal_value(data)
    assert refused.value.get_codes() == [code]


def test_a_field_reads_whole_numbers_too() -> None:
    assert MoneyField().to_internal_value(3) == 3 * MICRO
