"""What the fake provider answers to the names of models when nothing was scripted."""

import json
from typing import Any

from tests.provider_frames import Reply, ReplyCall, conversation

HTML = b"<!doctype html><html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
LONG_TEXT = tuple(f"word{number} " for number in range(100))
FAULTS = {
    "fake-401": Reply(status=401, error_code="invalid_api_key", message="Incorrect API key provided."),
    "fake-403": Reply(status=403, message="Your account may not use this model."),
    "fake-404": Reply(status=404, error_code="model_not_found", message="The model does not exist."),
    "fake-429": Reply(status=429, retry_after=2, error_code="rate_limit_exceeded", message="Rate limit reached."),
    "fake-500": Reply(status=500, message="The server had an error."),
    "fake-context": Reply(
        status=400, error_code="context_length_exceeded", message="This model's maximum context length is 32000 tokens."
    ),
    "fake-filter": Reply(text="I", finish="content_filter"),
    "fake-stall": Reply(stall_before=True),
    "fake-stall-middle": Reply(chunks=LONG_TEXT, stall_after=5),
    "fake-half": Reply(chunks=LONG_TEXT, cut_after=5),
    "fake-nonsense": Reply(raw=b"data: {\x00\xff not json\n\n" * 3),
    "fake-html": Reply(raw=HTML, content_type="text/html"),
    "fake-long": Reply(chunks=LONG_TEXT),
    "fake-slow": Reply(chunks=LONG_TEXT, tokens_per_second=20),
}


def by_model(model: str, body: dict[str, Any]) -> Reply:
    """The reply to a request that no script covers."""
    if model in FAULTS:
        return FAULTS[model]
    question, answered, tools = conversation(body)
    if model == "fake-echo":
        return Reply(text=question)
    if model == "fake-tool" and tools and not answered:
        return Reply(tool_calls=(ReplyCall(tools[0], json.dumps({"query": question}, ensure_ascii=False)),))
    return Reply(text="This is what was found [1]." if answered else "This is the answer of the fake provider.")
