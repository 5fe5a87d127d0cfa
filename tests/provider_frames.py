"""The wire formats of the fake provider: one ``Reply`` as the event lines of each protocol."""

import base64
import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple


class Usage(NamedTuple):
    """Tokens; ``input`` includes ``cached``, whatever the protocol calls them."""

    input: int
    cached: int
    output: int


class ReplyCall(NamedTuple):
    name: str
    arguments: str
    id: str | None = None


@dataclass(frozen=True)
class Reply:
    """One scripted answer; see tests/providers.py."""

    text: str = ""
    chunks: tuple[str, ...] = ()
    reasoning: str = ""
    tool_calls: tuple[ReplyCall, ...] = ()
    usage: Usage | None = None  # None: 10 in, none cached, one out per chunk.
    send_usage: bool = True
    finish: str | None = None  # None: stop, or the protocol's word for tool calls. As OpenAI's chat API names them.
    tokens_per_second: float | None = None
    first_byte_delay: float = 0
    status: int = 200
    retry_after: float | None = None
    error_code: str | None = None
    message: str = "Refused."
    stall_before: bool = False
    stall_after: int | None = None
    go_on: threading.Event | None = None  # Ends the stall once it is set.
    cut_after: int | None = None
    error_after: str | None = None  # The code of an error event that takes the place of the end.
    raw: bytes | None = None
    stays_open: bytes | None = (
        None  # After raw, these bytes again and again, for ten seconds or until the client leaves.
    )
    content_type: str = "text/event-stream; charset=utf-8"

    @property
    def pieces(self) -> tuple[str, ...]:
        return self.chunks or tuple(re.findall(r"\S+\s*", self.text))

    @property
    def tokens(self) -> Usage:
        return self.usage or Usage(10, 0, max(1, len(self.pieces)))

    @property
    def reason(self) -> str:
        return self.finish or ("tool_calls" if self.tool_calls else "stop")

    def call_id(self, number: int) -> str:
        return self.tool_calls[number].id or f"call_{number}"


class Frame(NamedTuple):
    data: bytes
    is_token: bool = False


def line(payload: dict[str, Any], *, named: bool = False, token: bool = False) -> Frame:
    event = f"event: {payload['type']}\n" if named else ""
    return Frame(f"{event}data: {json.dumps(payload, ensure_ascii=False)}\n\n".encode(), token)


def seal(body: dict[str, Any], thought: str) -> str:
    """What proves that this model thought so."""
    return base64.b64encode(f"{body.get('model')}:{thought}".encode()).decode()


def halves(text: str) -> tuple[str, str]:
    return text[: len(text) // 2], text[len(text) // 2 :]


def chat_completions(reply: Reply, body: dict[str, Any]) -> Iterator[Frame]:
    def chunk(delta: dict[str, Any], *, finish: str | None = None, token: bool = False) -> Frame:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        fixed = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": body.get("model")}
        return line({**fixed, "choices": [choice], "usage": None}, token=token)

    yield chunk({"role": "assistant", "content": ""})
    if reply.reasoning:
        yield chunk({"reasoning_content": reply.reasoning})
    for piece in reply.pieces:
        yield chunk({"content": piece}, token=True)
    for number, call in enumerate(reply.tool_calls):
        head, tail = halves(call.arguments)
        function = {"name": call.name, "arguments": head}
        yield chunk(
            {"tool_calls": [{"index": number, "id": reply.call_id(number), "type": "function", "function": function}]}
        )
        yield chunk({"tool_calls": [{"index": number, "function": {"arguments": tail}}]})
    if reply.error_after:
        yield line({"error": {"message": reply.message, "code": reply.error_after, "type": reply.error_after}})
        return
    yield chunk({}, finish=reply.reason)
    if reply.send_usage and (body.get("stream_options") or {}).get("include_usage"):
        tokens = reply.tokens
        usage = {
            "prompt_tokens": tokens.input,
            "completion_tokens": tokens.output,
            "total_tokens": tokens.input + tokens.output,
            "prompt_tokens_details": {"cached_tokens": tokens.cached},
        }
        yield line({"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [], "usage": usage})
    yield Frame(b"data: [DONE]\n\n")


def responses(reply: Reply, body: dict[str, Any]) -> Iterator[Frame]:
    def event(type: str, *, token: bool = False, **members: Any) -> Frame:
        return line({"type": type, **members}, named=True, token=token)

    shell: dict[str, Any] = {"id": "resp_1", "object": "response", "model": body.get("model"), "output": []}
    yield event("response.created", response={**shell, "status": "in_progress", "usage": None})
    if reply.reasoning:
        yield event("response.reasoning_summary_text.delta", item_id="rs_1", output_index=0, delta=reply.reasoning)
        thought = {"type": "reasoning", "id": "rs_1", "encrypted_content": seal(body, reply.reasoning)}
        summary = [{"type": "summary_text", "text": reply.reasoning}]
        yield event("response.output_item.done", output_index=0, item={**thought, "summary": summary})
    if reply.pieces:
        yield event("response.output_item.added", output_index=0, item={"type": "message", "id": "msg_1"})
    for piece in reply.pieces:
        yield event("response.output_text.delta", item_id="msg_1", output_index=0, delta=piece, token=True)
    for number, call in enumerate(reply.tool_calls):
        item = {"type": "function_call", "id": f"fc_{number}", "call_id": reply.call_id(number), "name": call.name}
        place: dict[str, Any] = {"output_index": number + 1}
        yield event("response.output_item.added", item={**item, "arguments": "", "status": "in_progress"}, **place)
        for part in halves(call.arguments):
            yield event("response.function_call_arguments.delta", item_id=item["id"], delta=part, **place)
        yield event("response.output_item.done", item={**item, "arguments": call.arguments}, **place)
    if reply.error_after:
        error = {"code": reply.error_after, "message": reply.message}
        yield event("response.failed", response={**shell, "status": "failed", "error": error})
        return
    tokens = reply.tokens
    usage = {
        "input_tokens": tokens.input,
        "input_tokens_details": {"cached_tokens": tokens.cached},
        "output_tokens": tokens.output,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": tokens.input + tokens.output,
    }
    end = {**shell, "usage": usage if reply.send_usage else None}
    cut = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(reply.reason)
    if cut:
        yield event(
            "response.incomplete", response={**end, "status": "incomplete", "incomplete_details": {"reason": cut}}
        )
    else:
        yield event("response.completed", response={**end, "status": "completed"})


def anthropic_messages(reply: Reply, body: dict[str, Any]) -> Iterator[Frame]:
    def event(type: str, *, token: bool = False, **members: Any) -> Frame:
        return line({"type": type, **members}, named=True, token=token)

    tokens = reply.tokens
    usage = {
        "input_tokens": tokens.input - tokens.cached,
        "cache_read_input_tokens": tokens.cached,
        "cache_creation_input_tokens": 0,
        "output_tokens": 1,
    }
    message: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": body.get("model"),
        "content": [],
    }
    yield event("message_start", message={**message, "usage": usage if reply.send_usage else None})
    yield event("ping")
    index = 0
    if reply.reasoning:
        yield event("content_block_start", index=index, content_block={"type": "thinking", "thinking": ""})
        yield event("content_block_delta", index=index, delta={"type": "thinking_delta", "thinking": reply.reasoning})
        yield event(
            "content_block_delta",
            index=index,
            delta={"type": "signature_delta", "signature": seal(body, reply.reasoning)},
        )
        yield event("content_block_stop", index=index)
        index += 1
    if reply.pieces:
        yield event("content_block_start", index=index, content_block={"type": "text", "text": ""})
        for piece in reply.pieces:
            yield event("content_block_delta", index=index, delta={"type": "text_delta", "text": piece}, token=True)
        yield event("content_block_stop", index=index)
        index += 1
    for number, call in enumerate(reply.tool_calls):
        block = {"type": "tool_use", "id": reply.call_id(number), "name": call.name, "input": {}}
        yield event("content_block_start", index=index, content_block=block)
        for part in halves(call.arguments):
            yield event("content_block_delta", index=index, delta={"type": "input_json_delta", "partial_json": part})
        yield event("content_block_stop", index=index)
        index += 1
    if reply.error_after:
        yield event("error", error={"type": reply.error_after, "message": reply.message})
        return
    reason = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
    ending = {"output_tokens": tokens.output} if reply.send_usage else None
    yield event("message_delta", delta={"stop_reason": reason[reply.reason], "stop_sequence": None}, usage=ending)
    yield event("message_stop")


PROTOCOLS: dict[str, Callable[[Reply, dict[str, Any]], Iterator[Frame]]] = {
    "/v1/chat/completions": chat_completions,
    "/v1/responses": responses,
    "/v1/messages": anthropic_messages,
}


def refusal(reply: Reply, path: str) -> dict[str, Any]:
    """The body of an error status in the provider's own shape."""
    if path.startswith("/v1/messages"):
        return {
            "type": "error",
            "error": {"type": reply.error_code or "invalid_request_error", "message": reply.message},
        }
    return {"error": {"message": reply.message, "type": "error", "param": None, "code": reply.error_code}}


def conversation(body: dict[str, Any]) -> tuple[str, bool, list[str]]:
    """The last user text, whether a tool has answered since, and the names of the offered tools."""
    turns = body.get("input") or body.get("messages") or []
    if isinstance(turns, str):
        turns = [{"role": "user", "content": turns}]
    question, answered = "", False
    for turn in turns:
        content = turn.get("content")
        blocks = content if isinstance(content, list) else []
        kinds = {turn.get("role"), turn.get("type"), *(block.get("type") for block in blocks)}
        if kinds & {"tool", "function_call_output", "tool_result"}:
            answered = True
        elif turn.get("role") == "user":
            text = "".join(block.get("text", "") for block in blocks) if blocks else content
            question, answered = str(text or ""), False
    return question, answered, [(tool.get("function") or tool)["name"] for tool in body.get("tools") or []]
