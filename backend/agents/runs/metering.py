"""What a request to a provider used: measured or estimated, and recorded with billing; how it failed."""

import logging
from typing import Any

from rest_framework.exceptions import ParseError

from backend.agents.models import Step
from backend.agents.runs import offer
from backend.agents.runs.endings import Failure
from backend.agents.runs.live import Reply
from backend.billing import operations as billing
from backend.http import parsers
from backend.llm import chat
from backend.llm.errors import ProviderError

logger = logging.getLogger(__name__)

MAX_CONTEXT_WINDOWS = 2  # No usage is so large; the window that we know may be smaller than the model's.


def used(reply: Reply, request: chat.ChatRequest, input_tokens: int, *, shutdown: bool) -> chat.Usage | None:
    """What the provider will charge: as it measured or, where it did not or cannot be believed, as we estimate.

    A request that our shutdown interrupted before any output costs nothing, as after the sudden death of a worker: the
    workspace did not cause it. One that the caller cancelled, or whose time is over, costs its input; else a caller
    could have the provider read any number of long inputs for nothing.

    :param shutdown: the worker's shutdown has interrupted the run.
    """
    measured = credible(reply.usage, request)
    if measured is None and shutdown and not reply.began:
        return None
    return measured or estimated(reply, request, input_tokens)


def credible(usage: chat.Usage | None, request: chat.ChatRequest) -> chat.Usage | None:
    """What the provider measured, unless no request to this model can have used so much."""
    limit = MAX_CONTEXT_WINDOWS * request.model.context_window
    if usage is None or max(usage.input_tokens, usage.output_tokens) <= limit:
        return usage
    logger.warning("usage_not_credible model=%s usage=%s", request.model.id, usage)
    return None


def estimated(reply: Reply, request: chat.ChatRequest, input_tokens: int) -> chat.Usage | None:
    """What the provider will charge for an answer that did not end, as far as we can count."""
    if not (reply.began or (reply.interrupted and reply.sent)):
        return None
    output = chat.count_tokens(reply.text) + chat.count_tokens(reply.reasoning) + chat.count_calls(reply.calls)
    output = min(output, request.max_tokens or output)
    return chat.Usage(input_tokens=input_tokens, cached_input_tokens=0, output_tokens=output, estimated=True)


def record(step: Step, usage: chat.Usage | None) -> None:
    """Record the step's usage with billing at the prices of its run's offer, once however often it is repeated.

    This charges nothing yet: ``settlement.finish`` charges the run, once, for all that its steps recorded.

    :raises UnknownModel, ModelUnpriced: the run has no offer, and the catalog no price for its model any more.
    """
    if usage is None:
        return
    run = step.run
    step.usage = {
        "input_tokens": usage.input_tokens,
        "cached_input_tokens": usage.cached_input_tokens,
        "output_tokens": usage.output_tokens,
        "estimated": usage.estimated,
    }
    step.cost = billing.record_usage(
        workspace_id=run.workspace_id,
        user_id=run.created_by_id,
        agent_id=run.agent_version.agent_id,
        reference=run.public_id,
        attempt=step.attempt,
        step=step.index,
        model=offer.agreed_model(run),
        input_tokens=usage.input_tokens,
        cached_input_tokens=usage.cached_input_tokens,
        output_tokens=usage.output_tokens,
    )


def failure_of(error: ProviderError | None) -> Failure | None:
    if error is None:
        return None
    return {"code": error.code, "detail": error.detail, "provider": error.provider, "retryable": error.retryable}


def decoded(arguments: str) -> Any:
    """The arguments that a model wrote, or their text where that is no JSON that can be stored."""
    try:
        return parsers.loads(arguments.encode() or b"{}")
    except ParseError:
        return arguments
