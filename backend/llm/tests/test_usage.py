"""Usage in every shape that providers and gateways send: never input billed as output, never the cache twice."""

from typing import Any

import pytest

from backend.llm.tests.frames import DONE, chunk, frames, named, read
from backend.llm.tokens import count_tokens
from backend.llm.usage import Counts

P = dict[str, Any]
CACHE = 10_536  # Of 10,904 tokens of input, beside 19 of output.
WHOLE = (10_904, CACHE, 19)
READ = {"cache_read_input_tokens": CACHE}


def chat(given: object, written: object, total: object = None, **more: object) -> dict[str, object]:
    return {"prompt_tokens": given, "completion_tokens": written, "total_tokens": total, **more}


def within(cached: object) -> dict[str, object]:
    return {"prompt_tokens_details": {"cached_tokens": cached}}


def thought(tokens: int) -> dict[str, object]:
    return {"completion_tokens_details": {"reasoning_tokens": tokens}}


REPORTS: list[tuple[str, tuple[int, int, int] | None, list[Any]]] = [
    (
        "openai",
        (1000, 900, 10),
        [chat(1000, 10, 1010, prompt_tokens_details={"cached_tokens": 900, "audio_tokens": 0})],
    ),
    ("null members", (1000, 0, 10), [chat(1000, 10, None, prompt_tokens_details=None, completion_tokens_details=None)]),
    ("bedrock behind a gateway", WHOLE, [chat(368, 19, 10_923, **READ)]),
    ("the same in OpenAI's place", WHOLE, [chat(368, 19, 10_923, **within(CACHE))]),
    ("the same without a total", WHOLE, [chat(368, 19, **READ)]),
    (
        "bedrock's own names",
        WHOLE,
        [
            P(
                inputTokens=368,
                outputTokens=19,
                totalTokens=10_923,
                cacheReadInputTokens=CACHE,
                cacheReadInputTokenCount=CACHE,
                cacheWriteInputTokens=0,
            )
        ],
    ),
    ("anthropic's names", WHOLE, [P(input_tokens=368, output_tokens=19, **READ)]),
    (
        "tokens put into the cache are input",
        (10_904, 0, 19),
        [chat(368, 19, 10_923, cache_read_input_tokens=0, cache_creation_input_tokens=CACHE)],
    ),
    ("read and put, beside", (11_004, CACHE, 19), [chat(368, 19, 11_023, **READ, cache_creation_input_tokens=100)]),
    (
        "only what was put is beside",
        (1100, 900, 10),
        [chat(1000, 10, 1110, cached_tokens=900, cache_creation_input_tokens=100)],
    ),
    ("litellm: both names, within", WHOLE, [chat(10_904, 19, 10_923, **READ, **within(CACHE))]),
    (
        "both names of the input, no total",
        WHOLE,
        [P(prompt_tokens=10_904, input_tokens=368, completion_tokens=19, **READ)],
    ),
    ("anthropic's names within, by the total", (1000, 900, 10), [chat(1000, 10, 1010, cache_read_input_tokens=900)]),
    ("moonshot", (1000, 900, 10), [chat(1000, 10, 1010, cached_tokens=900)]),
    ("deepseek", (1000, 900, 10), [chat(1000, 10, 1010, prompt_cache_hit_tokens=900, prompt_cache_miss_tokens=100)]),
    ("deepseek says it twice", (1000, 900, 10), [chat(1000, 10, 1010, prompt_cache_hit_tokens=900, **within(900))]),
    (
        "openrouter: written tokens and money",
        (1000, 900, 10),
        [
            chat(
                1000,
                10,
                1010,
                cost=0.95,
                prompt_tokens_details={"cached_tokens": 900, "cache_write_tokens": 50},
                cost_details={"cached_tokens_cost": 7.5},
            )
        ],
    ),
    ("more cached than there was", (5, 5, 2), [chat(5, 2, prompt_cache_hit_tokens=9)]),
    ("reasoning within the output", (500, 0, 500), [chat(500, 500, 1000, **thought(200))]),
    ("xai: reasoning beside the output", (32, 0, 103), [chat(32, 9, 135, **thought(94))]),
    ("the same with a cache", (1000, 900, 103), [chat(1000, 9, 1103, cached_tokens=900, **thought(94))]),
    ("both beside", (10_904, CACHE, 113), [chat(368, 19, 11_017, **READ, reasoning_tokens=94)]),
    ("reasoning without a total", (32, 0, 103), [chat(32, 9, reasoning_tokens=94)]),
    ("nothing but reasoning", (21, 0, 60), [chat(21, 0, 81, **thought(60))]),
    ("gemini: reasoning in the total alone", (10, 0, 30), [chat(10, 5, 40)]),
    ("a total too large for the answer", (368, 0, 19), [chat(368, 19, 10_923)]),
    ("a total too large beside a cache", (1000, 900, 10), [chat(1000, 10, 1800, cached_tokens=900)]),
    ("a total too small", (1000, 0, 10), [chat(1000, 10, 500)]),
    ("a total of zero", (1000, 0, 10), [chat(1000, 10, 0)]),
    ("a negative total", (1000, 0, 10), [chat(1000, 10, -1)]),
    ("no output but a total", (1000, 900, 10), [P(prompt_tokens=1000, total_tokens=1010, cached_tokens=900)]),
    ("no input but a total", (1000, 0, 10), [P(completion_tokens=10, total_tokens=1010)]),
    ("text", (1000, 900, 10), [chat("1000", "10", "1010", cached_tokens="900")]),
    ("fractions", (1000, 900, 10), [chat(1000.0, 10.0, 1010.0, **within(900.0))]),
    ("a negative cache", (1000, 0, 10), [chat(1000, 10, cached_tokens=-900)]),
    (
        "parts of other types",
        (1000, 0, 10),
        [chat(1000, 10, prompt_tokens_details="none", completion_tokens_details=[5], cached_tokens=True)],
    ),
    ("infinite", None, [chat("inf", "nan")]),
    ("no object", None, [None, [], "usage", 5, {}]),
    ("zeros", None, [chat(0, 0, 0)]),
    ("cumulative", (1000, 0, 10), [chat(1000, n, 1000 + n) for n in range(11)]),
    ("twice the same", (1000, 900, 10), [chat(1000, 10, 1010, cached_tokens=900)] * 2),
    ("zeros after it", (1000, 0, 10), [chat(1000, 10, 1010), chat(0, 0, 0)]),
    ("null after it", (1000, 0, 10), [chat(1000, 10), None]),
    ("input first, output later", (1000, 0, 10), [chat(1000, 0, 1000), P(completion_tokens=10)]),
    ("the cache in the first alone", (1000, 900, 10), [chat(1000, 1, cached_tokens=900), chat(1000, 10, 1010)]),
    ("split only at the end", WHOLE, [chat(10_904, 1, 10_905), chat(368, 19, 10_923, **READ)]),
    ("split only at the start", WHOLE, [chat(368, 1, **READ), chat(10_904, 19)]),
]

# Anthropic counts the cache beside the input.
APART: list[tuple[str, tuple[int, int, int] | None, list[Any]]] = [
    ("at the start, the output at the end", WHOLE, [P(input_tokens=368, **READ), P(output_tokens=19)]),
    (
        "the start repeated at the end",
        WHOLE,
        [P(input_tokens=368, **READ), P(input_tokens=368, **READ, output_tokens=19)],
    ),
    ("zeros at the start", WHOLE, [P(input_tokens=0), P(input_tokens=368, **READ, output_tokens=19)]),
    (
        "zeros at the end",
        WHOLE,
        [P(input_tokens=368, **READ), P(input_tokens=0, cache_read_input_tokens=0, output_tokens=19)],
    ),
    (
        "whole at the start, split at the end",
        WHOLE,
        [P(input_tokens=10_904), P(input_tokens=368, **READ, output_tokens=19)],
    ),
    (
        "split at the start, whole at the end",
        WHOLE,
        [P(input_tokens=368, **READ), P(input_tokens=10_904, output_tokens=19)],
    ),
    (
        "stored for five minutes and an hour",
        (1368, 0, 19),
        [
            P(
                input_tokens=368,
                output_tokens=19,
                cache_creation_input_tokens=1000,
                cache_creation={"ephemeral_5m_input_tokens": 600, "ephemeral_1h_input_tokens": 400},
            )
        ],
    ),
    ("small cache", (1010, 10, 19), [P(input_tokens=1000, cache_read_input_tokens=10, output_tokens=19)]),
    (
        "within, by the total",
        (1000, 900, 10),
        [P(input_tokens=1000, cache_read_input_tokens=900, output_tokens=10, total_tokens=1010)],
    ),
    (
        "tools of the server",
        (1000, 0, 10),
        [P(input_tokens=1000, output_tokens=10, server_tool_use={"web_search_requests": 3}, service_tier="standard")],
    ),
]


def counted(reports: list[Any], *, beside: bool = False) -> tuple[int, int, int] | None:
    counts = Counts(beside=beside)
    for report in reports:
        counts.add(report)
    usage = counts.usage(limit=2048)
    return None if usage is None else (usage.input_tokens, usage.cached_input_tokens, usage.output_tokens)


@pytest.mark.parametrize(("expected", "reports"), [row[1:] for row in REPORTS], ids=[row[0] for row in REPORTS])
def test_what_chat_completions_used(expected: tuple[int, int, int] | None, reports: list[Any]) -> None:
    assert counted(reports) == expected
    said = [chunk(content="Hello.", finish=None), *({"choices": [], "usage": report} for report in reports)]
    assert read("chat", frames(*said, chunk("stop"))).usage == expected


@pytest.mark.parametrize(("expected", "reports"), [row[1:] for row in APART], ids=[row[0] for row in APART])
def test_what_messages_used(expected: tuple[int, int, int] | None, reports: list[Any]) -> None:
    assert counted(reports, beside=True) == expected
    *first, last = reports
    body = named(
        {"type": "message_start", "message": {"usage": {"output_tokens": 1, **(first[0] if first else {})}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "Hello."}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": last},
        {"type": "message_stop"},
    )
    assert read("claude", body).usage == expected


FULL = chat(1000, 10, 1010)
TEXT = chunk(content="Hello.")
PLACES = {
    "in a chunk of its own": [TEXT, chunk("stop"), {"choices": [], "usage": FULL}],
    "in the last chunk": [TEXT, {**chunk("stop"), "usage": FULL}],
    "before the end": [TEXT, {"choices": [], "usage": FULL}, chunk("stop")],
    "in every chunk": [
        {**chunk(content="Hel"), "usage": {**FULL, "completion_tokens": 5, "total_tokens": 1005}},
        {**chunk(content="lo."), "usage": FULL},
        chunk("stop"),
    ],
    "in the choice": [TEXT, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": FULL}]}],
    "in the choice before the end": [
        {"choices": [{"index": 0, "delta": {"content": "Hello."}, "usage": FULL}]},
        chunk("stop"),
    ],
    "in the delta": [TEXT, chunk("stop", usage=FULL)],
    "groq": [TEXT, {**chunk("stop"), "x_groq": {"id": "r", "usage": FULL}}],
    "gemini's name": [
        TEXT,
        {
            **chunk("stop"),
            "usageMetadata": {"promptTokenCount": 1000, "candidatesTokenCount": 10, "totalTokenCount": 1010},
        },
    ],
    "null in the others": [{**TEXT, "usage": None}, {**chunk("stop"), "usage": None}, {"choices": None, "usage": FULL}],
    "with a choice that is empty": [TEXT, chunk("stop"), {"choices": [{"index": 0, "delta": {}}], "usage": FULL}],
}


@pytest.mark.parametrize("body", PLACES.values(), ids=PLACES.keys())
def test_where_usage_stands(body: list[dict[str, Any]]) -> None:
    *others, last = [frames(each) for each in body]
    for raw in ([*others, last], [*others, last, DONE], [*others, DONE, last]):
        answer = read("chat", b"".join(raw))

        assert (answer.text, answer.usage, answer.reason) == ("Hello.", (1000, 0, 10), "stop")


def test_only_what_is_not_known_is_estimated() -> None:
    """The provider knows its input: an estimate of it would be billed without its cache."""
    report = chat(5000, 0, cached_tokens=4000)
    end = read("chat", frames(TEXT, chunk("stop"), {"choices": [], "usage": report})).end

    assert end is not None
    assert (end.usage.input_tokens, end.usage.cached_input_tokens, end.usage.estimated) == (5000, 4000, True)
    assert end.usage.output_tokens == count_tokens("Hello.")
