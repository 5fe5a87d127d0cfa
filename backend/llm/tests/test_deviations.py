"""Answers that are written otherwise than specified: what is there is understood, and what is missing is noticed."""

import json
from typing import Any

import pytest

from backend.llm.tests.frames import DONE, called, chunk, frames, named, read, spent

AB = ("alpha beta", "")
STOP, USED = chunk("stop"), spent(prompt_tokens=1000, completion_tokens=10, total_tokens=1010)
A, B = chunk(content="alpha "), chunk(content="beta")
MESSAGE = {"role": "assistant", "content": "alpha beta"}


def choice(**members: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, **members}]}


def parts(*several: Any) -> dict[str, Any]:
    return chunk(content=list(several))


SAID: dict[str, tuple[tuple[str, str], list[dict[str, Any]]]] = {
    "as specified": (AB, [chunk(role="assistant", content=""), A, B, STOP, USED]),
    "message in place of delta": (AB, [choice(message=MESSAGE, finish_reason="stop")]),
    "message in place of delta, in pieces": (
        AB,
        [choice(message={"content": "alpha "}), choice(message={"content": "beta"}), STOP],
    ),
    "message in place of delta, whole each time": (
        AB,
        [choice(message={"content": "alpha "}), choice(message=MESSAGE), choice(message=MESSAGE), STOP],
    ),
    "message beside the deltas": (
        AB,
        [
            choice(delta={"content": "alpha "}, message={"content": "alpha "}),
            choice(delta={"content": "beta"}, message=MESSAGE),
            STOP,
        ],
    ),
    "message at the end": (AB, [A, B, choice(delta={}, message=MESSAGE, finish_reason="stop")]),
    "message beside an empty delta": (AB, [choice(delta={}, message=MESSAGE, finish_reason="stop")]),
    "message beside a null delta": (AB, [choice(delta=None, message=MESSAGE, finish_reason="stop")]),
    "message without an end": (AB, [choice(message=MESSAGE)]),
    "message with reasoning": (
        ("alpha beta", "Hm."),
        [choice(message={**MESSAGE, "reasoning_content": "Hm."}, finish_reason="stop")],
    ),
    "text of the older API": (AB, [choice(text="alpha "), choice(text="beta", finish_reason="stop")]),
    "null content": (AB, [chunk(content=None), A, chunk(content=None), B, STOP]),
    "parts": (AB, [parts({"type": "text", "text": "alpha "}), parts({"type": "text", "text": "beta"}), STOP]),
    "parts of strings": (AB, [parts("alpha ", "beta"), STOP]),
    "one part without a list": (AB, [chunk(content={"type": "text", "text": "alpha beta"}), STOP]),
    "parts of other kinds": (AB, [parts({"type": "image"}, None, {"type": "text", "text": "alpha beta"}, {}), STOP]),
    "parts whose text is an object": (AB, [parts({"type": "text", "text": {"value": "alpha beta"}}), STOP]),
    "parts that think": (
        ("alpha beta", "Hm. So."),
        [
            parts({"type": "thinking", "thinking": [{"type": "text", "text": "Hm. "}]}),
            parts({"type": "thinking", "thinking": "So."}, {"type": "text", "text": "alpha beta"}),
            STOP,
        ],
    ),
    "a number as content": (("7 of 10", ""), [chunk(content=7), chunk(content=" of "), chunk(content=10), STOP]),
    "a refusal": (("I will not.", ""), [chunk(content=None, refusal="I will not."), STOP]),
    "reasoning_content": (("alpha beta", "Hm."), [chunk(reasoning_content="Hm.", content=None), A, B, STOP]),
    "reasoning": (("alpha beta", "Hm."), [chunk(reasoning="Hm.", content=""), A, B, STOP]),
    "thinking": (("alpha beta", "Hm."), [chunk(thinking="Hm.", content=""), A, B, STOP]),
    "reasoning under two names": (("alpha beta", "Hm."), [chunk(reasoning_content="Hm.", reasoning="Hm."), A, B, STOP]),
    "reasoning and its details": (
        ("alpha beta", "Hm."),
        [chunk(reasoning="Hm.", reasoning_details=[{"type": "reasoning.text", "text": "Hm."}]), A, B, STOP],
    ),
    "reasoning in details alone": (
        ("alpha beta", "Hm. So."),
        [
            chunk(
                reasoning_details=[
                    {"type": "reasoning.text", "text": "Hm. "},
                    {"type": "reasoning.encrypted", "data": "x"},
                ]
            ),
            chunk(reasoning_details=[{"type": "reasoning.summary", "summary": "So."}]),
            *(A, B, STOP),
        ],
    ),
    "reasoning of another type": (AB, [chunk(reasoning={"effort": "low"}, content="alpha "), B, STOP]),
    "ids, roles and names of other types": (
        AB,
        [{**A, "id": 5, "created": "now", "model": None, "object": 0}, chunk(role=7, content="beta", name=[]), STOP],
    ),
    "fields of other types": (
        AB,
        [chunk(content="alpha ", refusal=False, tool_calls="none", function_call=[], reasoning_content=0), B, STOP],
    ),
    "an index of another type": (AB, [choice(index="zero", delta={"content": "alpha beta"}), STOP]),
    "choices that are null": (AB, [{"choices": None}, A, {"choices": [None]}, B, STOP]),
    "one choice without a list": (AB, [{"choices": {"delta": {"content": "alpha beta"}}}, STOP]),
    "usage of another type": (AB, [{**A, "usage": "none"}, {**B, "usage": []}, {**STOP, "usage": 5}]),
    "filters before it": (AB, [{"choices": [], "prompt_filter_results": [{}], "id": "", "model": ""}, A, B, STOP]),
    "success is no error": (AB, [{"code": 0, "message": "success", "choices": None}, A, B, {**STOP, "error": None}]),
    "an end without usage": (AB, [A, B, STOP]),
    "usage without an end": (AB, [A, B, USED]),
    "usage before the end": (AB, [A, B, USED, STOP]),
    "an end in every chunk": (AB, [chunk("stop", content="alpha "), chunk("stop", content="beta"), USED]),
    "no end yet": (AB, [chunk("", content="alpha "), chunk("null", content="beta"), STOP]),
}


@pytest.mark.parametrize(("expected", "body"), SAID.values(), ids=SAID.keys())
def test_what_chat_completions_say(expected: tuple[str, str], body: list[dict[str, Any]]) -> None:
    for done in (DONE, b""):
        answer = read("chat", frames(*body) + done)

        assert answer[:2] == expected
        assert (answer.reason, answer.error) == ("stop", "")
        assert answer.usage in (None, (1000, 0, 10))


SLIPS = {
    "half of a surrogate pair": (rb'{"choices":[{"delta":{"content":"a\ud83c b"}}]}', "a\ufffd b"),
    "half of one, and an index as text": (rb'{"choices":[{"index":"0","delta":{"content":"a\uDF89 b"}}]}', "a\ufffd b"),
    "a byte that is not UTF-8": (b'{"choices":[{"delta":{"content":"a\xff b"}}]}', "a\ufffd b"),
    "NaN": (b'{"choices":[{"delta":{"content":"a b"},"logprobs":[{"logprob":NaN},{"logprob":-Infinity}]}]}', "a b"),
    "raw control characters": (b'{"choices":[{"delta":{"content":"a\tb"}}]}', "a\tb"),
    "a number too large": (
        b'{"created":1e999,"choices":[{"index":99999999999999999999999,"delta":{"content":"a b"}}]}',
        "a b",
    ),
    "members twice": (b'{"choices":[],"choices":[{"delta":{"content":"a b"}}]}', "a b"),
}


@pytest.mark.parametrize(("line", "text"), SLIPS.values(), ids=SLIPS.keys())
def test_slips_in_the_json(line: bytes, text: str) -> None:
    assert read("chat", b"data: " + line + b"\n\n" + frames(STOP)).text == text


DEEP = b"[" * 5_000 + b"]" * 5_000
NONSENSE = [
    b'data: {"choices":[{"delta":{"content":' + DEEP + b"}}]}",
    b'data: {"other":' + DEEP + b',"choices":[]}',
    b"data: [" + DEEP + b"]",
    b"{" * 5_000,
    b'data: {"choices":[{"delta":{"content":"a}}]}',
    b'data: ["a", 1]',
]


@pytest.mark.parametrize("line", NONSENSE, ids=range(len(NONSENSE)))
@pytest.mark.parametrize("kind", ["chat", "responses", "claude"])
def test_nonsense_fails_as_the_providers(kind: str, line: bytes) -> None:
    assert read(kind, line + b"\n\n").error.startswith("provider_unavailable: odd ")


def test_arguments_too_deep_to_read_are_given_on_as_they_are() -> None:
    arguments = '{"a":' * 2_000 + "1" + "}" * 2_000

    assert read("chat", frames(called(arguments, 0, "a", "search"), STOP)).calls == (("search", arguments),)


BODY: dict[str, Any] = {
    "id": "c",
    "object": "chat.completion",
    "choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1000, "completion_tokens": 10},
}
RESPONSE: dict[str, Any] = {
    "object": "response",
    "status": "completed",
    "output": [
        {"type": "reasoning", "summary": []},
        {"type": "message", "content": [{"type": "output_text", "text": "alpha beta"}]},
    ],
    "usage": {"input_tokens": 1000, "output_tokens": 10},
}
LETTER: dict[str, Any] = {
    "type": "message",
    "content": [{"type": "thinking", "thinking": ""}, {"type": "text", "text": "alpha beta"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 1000, "output_tokens": 10},
}


@pytest.mark.parametrize(("kind", "document"), [("chat", BODY), ("responses", RESPONSE), ("claude", LETTER)])
@pytest.mark.parametrize("form", ["{}", "[{}]", "data: {}\n\n", "\ufeff{}\n"])
def test_an_answer_in_one_piece(kind: str, document: dict[str, Any], form: str) -> None:
    for indent in (None, 2):
        answer = read(kind, form.replace("{}", json.dumps(document, indent=indent)).encode())

        assert (answer.text, answer.reason, answer.usage, answer.error) == ("alpha beta", "stop", (1000, 0, 10), "")


ENDS: dict[str, list[Any]] = {
    "stop": [
        "stop",
        "end_turn",
        "eos",
        "EOS",
        "stop_sequence",
        "<|eot_id|>",
        "function_call",
        "tool_calls",
        "unknown",
        1,
    ],
    "length": ["length", "max_tokens", "MAX_TOKENS", "max_output_tokens", "model_length", "FinishReason: MAX_TOKENS"],
    "filtered": [
        "content_filter",
        "content-filter",
        "SAFETY",
        "sensitive",
        "RECITATION",
        "refusal",
        "guardrail_intervened",
    ],
    "failed": [
        "error",
        "network_error",
        "insufficient_system_resource",
        "abort",
        "function_call_filter: MALFORMED_FUNCTION_CALL",
    ],
}


@pytest.mark.parametrize("meant", ENDS)
def test_the_words_for_an_end(meant: str) -> None:
    for word in ENDS[meant]:
        chat = read("chat", frames(A, chunk(word), USED))
        claude = read("claude", named(*TEXT, {"type": "message_delta", "delta": {"stop_reason": word}}))

        for answer in (chat, claude):
            if meant in ("stop", "length"):
                assert (answer.reason, answer.error) == (meant, ""), word
            else:
                assert ("content_filtered" if meant == "filtered" else "broke off") in answer.error, word


TEXT: list[dict[str, Any]] = [
    {"type": "message_start", "message": {"usage": {"input_tokens": 1000, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "alpha "}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "beta"}},
]
CUT: dict[str, Any] = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 10}}
OVER: dict[str, Any] = {"type": "message_stop"}


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        (named(*TEXT, CUT, OVER), True),
        (named(*TEXT, CUT, OVER, typed=False), True),
        (named(*TEXT, CUT) + DONE, True),
        (named(*TEXT, CUT), True),
        (named({"type": "ping"}, *TEXT, {**CUT, "usage": None}, OVER), False),
        (named(*TEXT, OVER), False),
        (named(*TEXT[:2], {**TEXT[2], "index": None}, {**TEXT[3], "index": "0"}, CUT), True),
        (
            named(
                {**TEXT[0], "message": "m"},
                *TEXT[2:],
                {**CUT, "usage": {"input_tokens": "1000", "output_tokens": 10.0}},
            ),
            True,
        ),
        (
            named(
                *TEXT, {**CUT, "delta": {"stop_reason": "end_turn", "stop_sequence": 0, "text": []}, "index": []}, OVER
            ),
            True,
        ),
    ],
)
def test_what_messages_say(body: bytes, usage: bool) -> None:
    answer = read("claude", body)

    assert (answer.text, answer.reason, answer.error) == ("alpha beta", "stop", "")
    assert answer.usage == ((1000, 0, 10) if usage else None)


def test_every_signed_thought_is_given_back_wherever_blocks_stand() -> None:
    """Two blocks at one index, as of servers that number none."""
    block = {"type": "thinking", "thinking": "a", "signature": "s"}
    blocks: list[dict[str, Any]] = [{"type": "content_block_start", "content_block": block}]
    answer = read("claude", named(*blocks, *blocks, *TEXT[2:], CUT))

    assert answer.reasoning == "aa"
    assert answer.end is not None
    assert answer.end.state is not None
    assert answer.end.state.items == [block, block, "text"]


SAYS: list[dict[str, Any]] = [
    {"type": "response.output_text.delta", "delta": "alpha "},
    {"type": "response.output_text.delta", "delta": "beta"},
]
COMPLETE: dict[str, Any] = {
    "type": "response.completed",
    "response": {
        "status": "completed",
        "usage": {
            "input_tokens": 1000,
            "input_tokens_details": {"cached_tokens": 900},
            "output_tokens": 10,
            "total_tokens": 1010,
        },
    },
}


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        (named(*SAYS, COMPLETE), True),
        (named(*SAYS, COMPLETE, typed=False), True),
        (named({"type": "response.created", "response": {"usage": "none", "output": {}}}, *SAYS, COMPLETE), True),
        (named({"type": "keepalive"}, *SAYS, {**COMPLETE, "type": "response.done"}) + DONE, True),
        (named(*SAYS, {**COMPLETE, "response": RESPONSE}), None),
        (named({"type": "response.completed", "response": RESPONSE}), None),
        (named(*SAYS) + DONE, False),
        (named(*SAYS, {"type": "response.completed", "response": {"usage": None}}), False),
        (named({**SAYS[0], "output_index": "0", "item_id": 7}, SAYS[1], COMPLETE), True),
        (b"data: {}\n\n" + named(*SAYS, COMPLETE), True),
    ],
)
def test_what_responses_say(body: bytes, usage: bool | None) -> None:
    answer = read("responses", body)

    assert (answer.text, answer.reason, answer.error) == ("alpha beta", "stop", "")
    assert answer.usage == {True: (1000, 900, 10), None: (1000, 0, 10), False: None}[usage]


FAULTS: list[dict[str, Any]] = [
    {"error": {"message": "Prompt is too long: context length.", "code": "context_length_exceeded"}},
    {"error": "context length exceeded"},
    {"error": {"code": 400, "msg": "the context window is exceeded"}},
    {"message": "maximum context length is 10", "code": 400, "object": "error"},
    {"detail": "maximum context length is 10"},
    {"errors": [{"message": "maximum context length is 10", "code": 5}], "success": False},
    {"base_resp": {"status_code": 2013, "status_msg": "context window exceeds limit: context length"}, "choices": None},
    {"type": "error", "error": {"type": "context_length_exceeded"}},
]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", ["chat", "responses", "claude"])
def test_an_error_in_the_stream_or_in_its_place(fault: dict[str, Any], kind: str) -> None:
    begun = {"chat": frames(A), "responses": named(*SAYS), "claude": named(*TEXT)}[kind]
    error = json.dumps(fault)
    for body in (f"data: {error}\n\n", f"event: error\ndata: {error}\n\n", f"error: {error}\n\n"):
        assert read(kind, begun + body.encode()).error.startswith("context_too_long: odd"), body
    for body in (error, f"[{error}]", json.dumps(fault, indent=2)):
        assert read(kind, body.encode()).error.startswith("context_too_long: odd"), body


@pytest.mark.parametrize(
    ("code", "expected"), [(401, "provider_auth"), (429, "provider_rate_limited"), (502, "provider_unavailable")]
)
def test_the_status_in_an_error_event_says_what_went_wrong(code: int, expected: str) -> None:
    body = frames(A, {**chunk("error"), "error": {"code": code, "message": "Upstream."}})

    assert read("chat", body).error.startswith(expected)
    assert read("chat", frames(A, choice(error={"code": code}, delta={}))).error.startswith(expected)


@pytest.mark.parametrize(
    ("body", "waits"),
    [
        ([A], None),
        ([A, {"choices": [], "prompt_filter_results": []}], None),
        ([spent(prompt_tokens=1000), A], None),
        ([spent(prompt_tokens=1000, completion_tokens=1), A], None),
        ([A, {**B, "usage": {"prompt_tokens": 1000, "completion_tokens": 10}}], None),
        ([A, B, STOP], 3.0),
        ([A, B, STOP, USED], 0.5),
        ([A, B, USED], 4.0),
        ([chunk("stop", content="alpha"), chunk("stop", content="beta"), USED], 4.0),
    ],
)
def test_how_long_more_is_waited_for(body: list[dict[str, Any]], waits: float | None) -> None:
    """Before the end as long as the provider may take; after it hardly, whatever keeps the connection open."""
    assert read("chat", frames(*body)).patience == waits
    assert read("chat", frames(*body) + DONE).patience == (0 if b"completion_tokens" in frames(*body) else 0.5)


def test_the_other_protocols_wait_no_longer() -> None:
    assert read("claude", named(*TEXT)).patience is None
    assert read("claude", named(*TEXT, CUT)).patience == 0.5
    assert read("claude", named(*TEXT, CUT, OVER)).patience == 0
    assert read("responses", named(*SAYS)).patience is None
    assert read("responses", named(*SAYS, COMPLETE)).patience == 0
