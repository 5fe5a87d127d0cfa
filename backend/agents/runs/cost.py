"""How much a run may cost at most, and how much of that is left for its next request."""

from decimal import Decimal

from django.conf import settings

from backend.agents.models import AgentVersion
from backend.agents.runs.toolbox import Toolbox
from backend.billing import pricing
from backend.http.money import MICRO
from backend.llm.catalog import Model

MIN_OUTPUT_TOKENS = 32  # An answer cut shorter than this is not worth its input.
MIN_OUTPUT_LIMIT = 16  # Providers take no lower limit on an answer, so fewer tokens are never what it may cost.
ESTIMATE_OF_OUTPUT = 2  # The estimate of an answer as later input is at most so many times its tokens.


def max_output_tokens(version: AgentVersion, model: Model) -> int:
    """Tokens that one answer of the model may have."""
    wanted = int(version.setting("max_tokens", settings.RUN_MAX_OUTPUT_TOKENS))
    return max(1, min(wanted, model.max_output_tokens, model.context_window // 2))


def longest_answer(version: AgentVersion, model: Model, toolbox: Toolbox) -> int:
    """Tokens that a whole answer, with all text between tool calls, may be estimated as when it is read again."""
    return ESTIMATE_OF_OUTPUT * max_output_tokens(version, model) * max_steps(version, toolbox)


def max_steps(version: AgentVersion, toolbox: Toolbox) -> int:
    """Requests to the model in one run. Without tools the first reply is the answer."""
    return int(version.limit("max_steps", settings.RUN_MAX_STEPS)) if toolbox.definitions else 1


def limit_on_cost(version: AgentVersion, max_cost: int | None) -> int | None:
    """Micro-units that the run must not exceed: the lower of the request's and the agent's limit, if there is one."""
    return min((limit for limit in (max_cost, version.limits.get("max_cost")) if limit is not None), default=None)


def max_possible_cost(
    *, model: Model, version: AgentVersion, input_tokens: int, toolbox: Toolbox, max_cost: int | None
) -> int:
    """Micro-units to set aside: every step in full, each reading what the ones before it returned.

    Never above the limits on cost.

    :raises ModelUnpriced: the model has no price.
    """
    output = max_output_tokens(version, model)
    grown = toolbox.max_output_tokens + output
    total = sum(
        pricing.max_request_cost(
            model,
            input_tokens=min(input_tokens + step * grown, model.context_window - output),
            max_output_tokens=max(output, MIN_OUTPUT_LIMIT),
        )
        for step in range(max_steps(version, toolbox))
    )
    limit = limit_on_cost(version, max_cost)
    return total if limit is None else min(total, limit)


def affordable_output_tokens(*, model: Model, input_tokens: int, left: Decimal, wanted: int) -> int:
    """How many tokens the next answer may have for ``left`` micro-units; 0 when it is not worth asking."""
    input_cost = Decimal(pricing.max_request_cost(model, input_tokens=input_tokens, max_output_tokens=0))
    price = (model.output_price or Decimal(0)) * MICRO / pricing.MILLION  # Micro-units per token.
    if input_cost == 0 and price == 0:
        return wanted
    affordable = wanted if price == 0 else int((left - input_cost) / price)
    if left < input_cost or affordable < max(MIN_OUTPUT_LIMIT, min(MIN_OUTPUT_TOKENS, wanted)):
        return 0
    return min(wanted, affordable)
