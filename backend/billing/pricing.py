"""What usage costs: exact decimals, from prices per million tokens. Rounding happens once, when it is charged."""

from dataclasses import dataclass
from decimal import ROUND_CEILING, Context, Decimal, Inexact

from django.utils.translation import gettext as _

from backend.billing.errors import InvalidAmount, ModelUnpriced
from backend.http.money import MAX_AMOUNT, MICRO
from backend.llm.catalog import Model

EXACT = Context(prec=60, traps=[Inexact])
PRICE_PLACES = Decimal("1e-10")  # What the price columns hold; a price with more places is rounded up to them.
MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Charge:
    """Tokens (``input_tokens`` counts the cached too), the prices of this moment and their exact cost."""

    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    input_price: Decimal
    cached_input_price: Decimal
    output_price: Decimal
    cost: Decimal


def charge(model: Model, *, input_tokens: int, cached_input_tokens: int, output_tokens: int) -> Charge:
    """Price a request; each token is counted once, cached ones at their own price.

    :raises ModelUnpriced: the model has no price.
    :raises InvalidAmount: a count is negative, or more tokens are cached than were sent.
    """
    if not 0 <= cached_input_tokens <= input_tokens or output_tokens < 0:
        raise InvalidAmount
    if model.input_price is None or (model.output_price is None and model.kind == "chat"):
        raise ModelUnpriced(
            _("The model %(model)s has no price, so it cannot be charged for.") % {"model": model.id}, model=model.id
        )
    input_price = _price(model.input_price)
    cached_price = input_price if model.cached_input_price is None else _price(model.cached_input_price)
    output_price = _price(model.output_price or Decimal(0))
    total = EXACT.add(
        EXACT.add(
            EXACT.multiply(Decimal(input_tokens - cached_input_tokens), input_price),
            EXACT.multiply(Decimal(cached_input_tokens), cached_price),
        ),
        EXACT.multiply(Decimal(output_tokens), output_price),
    )
    return Charge(
        input_tokens=input_tokens,
        cached_input_tokens=cached_input_tokens,
        output_tokens=output_tokens,
        input_price=input_price,
        cached_input_price=cached_price,
        output_price=output_price,
        cost=EXACT.divide(total, Decimal(MILLION)),
    )


def cost(model: Model, *, input_tokens: int, cached_input_tokens: int, output_tokens: int) -> Decimal:
    """The exact cost in currency units.

    :raises ModelUnpriced: the model has no price.
    """
    return charge(
        model, input_tokens=input_tokens, cached_input_tokens=cached_input_tokens, output_tokens=output_tokens
    ).cost


def max_request_cost(model: Model, *, input_tokens: int, max_output_tokens: int) -> int:
    """The maximum cost of a request in micro-units, rounded up: the input all cached or not at all, and all the output.

    :raises ModelUnpriced: the model has no price.
    """
    highest = max(
        cost(model, input_tokens=input_tokens, cached_input_tokens=cached, output_tokens=max_output_tokens)
        for cached in (0, input_tokens)
    )
    return to_micro(highest)


def to_micro(amount: Decimal) -> int:
    """Whole micro-units of an exact amount, rounded up."""
    return int(EXACT.multiply(amount, Decimal(MICRO)).to_integral_value(ROUND_CEILING))


def _price(price: Decimal) -> Decimal:
    if not 0 <= price * MICRO <= MAX_AMOUNT:
        raise InvalidAmount(_("A price is out of range."))
    return price.quantize(PRICE_PLACES, ROUND_CEILING)
