"""What came of a request to a provider: what it used, measured or estimated, how it failed, what it asked for."""

import logging
from typing import Any

from rest_framework.exceptions import ParseError

from backend.agents.runs.live import Reply
from backend.agents.runs.settlement import Failure
from backend.http import parsers
from backend.llm import chat
from backend.llm.errors import ProviderError

logger = logging.getLogger(__name__)

NONSENSE = 2  # Context windows: no usage is so large, and ours may be told smaller than they are.


def credible(usage: chat.Usage | None, request: chat.ChatRequest) -> chat.Usage | None:
    """What the provider says that it used, unless no request to this model can have used so much."""
    if usage is None or max(usage.input_tokens, usage.output_tokens) <= NONSENSE * request.model.context_window:
        return usage
    logger.warning("usage_not_credible model=%s usage=%s", request.model.id, usage)
    return None


def estimated(reply: Reply, request: chat.ChatRequest, input_tokens: int) -> chat.Usage | None:
    """What the provider will charge for an answer that did not end, as well as we can tell."""
    if not (reply.began or (reply.interrupted and reply.sent)):
        return None
    output = chat.count_tokens(reply.text) + chat.count_tokens(reply.reasoning) + chat.count_calls(reply.calls)
    output = min(output, request.max_tokens or output)
    return chat.Usage(input_tokens=input_tokens, cached_input_tokens=0, output_tokens=output, estimated=True)


def failure_of(error: ProviderError | None) -> Failure | None:
    if error is None:
        return None
    return {"code": error.code, "detail": error.detail, "provider": error.provider, "retryable": error.retryable}


def decoded(arguments: str) -> Any:
    """The arguments that a model wrote, or its words where they are no JSON that can be stored."""
    try:
        return parsers.loads(arguments.encode() or b"{}")
    except ParseError:
        return arguments
