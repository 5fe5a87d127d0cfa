"""Maps the reasons that providers give for the end of an answer to four endings."""

from typing import Any, Literal

Ending = Literal["stop", "length", "filtered", "failed"]

NONE_YET = frozenset({"", "null", "none", "undefined"})
LENGTH = frozenset(
    {
        *("length", "length_limit", "limit", "max_length", "max_tokens", "max_output_tokens", "max_completion_tokens"),
        *("model_length", "model_context_window_exceeded", "context_window_exceeded", "token_limit", "truncated"),
    }
)
FILTERED = frozenset(
    {
        *("content_filter", "content_filtered", "contentfilter", "safety", "image_safety", "sensitive", "recitation"),
        *("refusal", "guardrail_intervened", "blocklist", "prohibited_content", "spii"),
    }
)
FAILED = frozenset(
    {
        *("error", "failed", "server_error", "network_error", "timeout", "abort", "aborted", "cancelled"),
        *("insufficient_system_resource", "malformed_function_call", "malformed_response", "unexpected_tool_call"),
    }
)


def ending(reason: Any) -> Ending | None:
    """The ending of a ``finish_reason`` or ``stop_reason``; None while it is empty. An unknown word means stop."""
    if not reason:
        return None
    if not isinstance(reason, str):
        return "stop"
    word = reason.rpartition(":")[2].strip().lower().replace("-", "_").replace(" ", "_")
    if word in NONE_YET:
        return None
    return "length" if word in LENGTH else "filtered" if word in FILTERED else "failed" if word in FAILED else "stop"
