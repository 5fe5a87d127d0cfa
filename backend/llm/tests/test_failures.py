"""What every adapter makes of a provider that refuses, stalls, breaks off or answers nonsense."""

import asyncio
import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from pytest_django import Settings

from backend.llm.chat import ProviderError, TextDelta, chat_model
from backend.llm.identities import anonymous
from backend.llm.refusals import MAX_MESSAGE_CHARACTERS, clean, retry_after
from backend.llm.tests.asking import ask, end_of, events, request, run, text_of
from tests.providers import FakeProvider, Reply
from tests.work import at_most

MODELS = ["chat", "responses", "claude"]
PROMPT = "prompt is too long: 250000 tokens > 200000 maximum"
MANY = tuple("word " for _ in range(20))


def failure(model: str) -> ProviderError:
    with pytest.raises(ProviderError) as refused:
        ask(model)
    assert refused.value.provider == f"fake-{model}"
    return refused.value


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply(status=401, message="No such key."), ("provider_auth", False)),
        (Reply(status=402, message="Pay first."), ("provider_auth", False)),
        (Reply(status=403, message="Not yours."), ("provider_auth", False)),
        (Reply(status=404, message="No such model."), ("provider_unavailable", False)),
        (Reply(status=429, message="Slow down."), ("provider_rate_limited", True)),
        (Reply(status=429, error_code="insufficient_quota"), ("provider_rate_limited", False)),
        (Reply(status=400, error_code="context_length_exceeded"), ("context_too_long", False)),
        (Reply(status=400, message=PROMPT), ("context_too_long", False)),
        (Reply(status=413), ("context_too_long", False)),
        (Reply(status=400, error_code="content_filter"), ("content_filtered", False)),
        (Reply(status=400, message="tools[0] is odd"), ("provider_unavailable", False)),
        (Reply(status=500), ("provider_unavailable", True)),
        (Reply(status=503), ("provider_unavailable", True)),
        (Reply(status=529, error_code="overloaded_error"), ("provider_unavailable", True)),
        (Reply(status=302), ("provider_unavailable", False)),
        (Reply(raw=b"<html>", content_type="text/html"), ("provider_unavailable", False)),
        (Reply(raw=b'{"ok": true}', content_type="application/json"), ("provider_unavailable", False)),
        (Reply(raw=b"data: {not json\n\n"), ("provider_unavailable", True)),
        (Reply(raw=b"data: \xff\xfe\x00\n\n"), ("provider_unavailable", True)),
        (Reply(raw=b'data: ["a", 1]\n\n'), ("provider_unavailable", True)),
        (Reply(raw=b"\x00\x01\x02 nothing at all"), ("provider_unavailable", True)),
        (Reply(raw=b""), ("provider_unavailable", True)),
        (Reply(text="I can", finish="content_filter"), ("content_filtered", False)),
        (Reply(text="I can", error_after="rate_limit_error"), ("provider_rate_limited", True)),
        (Reply(text="I can", error_after="overloaded_error"), ("provider_unavailable", True)),
    ],
)
def test_every_refusal_has_its_code(
    provider: FakeProvider, model: str, reply: Reply, expected: tuple[str, bool]
) -> None:
    provider.script(reply)

    error = failure(model)

    assert (error.code, error.retryable) == expected
    assert len(provider.requests) == 1  # Nothing retries by itself.
    assert error.detail.startswith(f"fake-{model} ")


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("reply", "what"),
    [
        (Reply(stall_before=True), "did not answer in time"),
        (Reply(chunks=MANY, stall_after=3), "stopped sending in the middle of the answer"),
        (Reply(chunks=MANY, cut_after=3), "broke the connection in the middle of the answer"),
    ],
)
def test_a_stall_and_a_half_stream_fail_and_keep_what_was_said(
    provider: FakeProvider, model: str, reply: Reply, what: str
) -> None:
    provider.script(reply)

    async def collect() -> tuple[str, ProviderError]:
        said = ""
        try:
            async for event in chat_model(asked.model).stream(asked):
                said += event.text if isinstance(event, TextDelta) else ""
        except ProviderError as error:
            return said, error
        raise AssertionError("It did not fail.")

    asked = request(model)
    said, error = run(collect())

    assert said == ("" if reply.stall_before else "word " * 3)
    assert (error.code, error.retryable) == ("provider_unavailable", True)
    assert what in error.detail


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_that_ends_politely_in_the_middle_is_not_an_answer(provider: FakeProvider, model: str) -> None:
    provider.script(Reply(chunks=MANY), Reply(raw=b": only a comment\n\n"))
    assert text_of(ask(model)) == "word " * 20

    assert "ended the answer in the middle" in failure(model).detail


def test_a_connection_lost_after_the_end_costs_only_the_usage(provider: FakeProvider) -> None:
    lines = [
        {"choices": [{"delta": {"content": "Whole."}}]},
        {"choices": [{"delta": {}, "finish_reason": "stop"}]},
    ]
    raw = b"".join(b"data: %b\n\n" % json.dumps(line).encode() for line in lines)
    provider.script(Reply(raw=raw + b"data: {broken\n\n"))

    answer = ask("chat")

    assert text_of(answer) == "Whole."
    assert end_of(answer).usage.estimated


@pytest.mark.parametrize("model", MODELS)
def test_a_line_without_an_end_is_bounded(provider: FakeProvider, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.llm.transport.MAX_LINE_BYTES", 100_000)
    provider.script(Reply(raw=b"data: " + b"x" * 1_000_000))

    assert "without an end" in failure(model).detail


@pytest.mark.parametrize("model", MODELS)
def test_an_answer_that_never_ends_is_cut_off(
    provider: FakeProvider, model: str, settings: Settings, tmp_path: Path
) -> None:
    text = settings.MODELS_FILE.read_text().replace("read_timeout = 1\n", "read_timeout = 1\ntotal_timeout = 0.5\n")
    settings.MODELS_FILE = tmp_path / "hasty.toml"
    settings.MODELS_FILE.write_text(text)
    provider.script(Reply(chunks=MANY * 10, tokens_per_second=20))

    assert "took too long" in failure(model).detail
    assert provider.requests[0].disconnected.wait(10)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [({"retry_after": 2.5}, 2.5), ({"retry_after": 1e9}, 3600.0), ({}, None)],
)
def test_how_long_to_wait_is_passed_on(
    provider: FakeProvider, headers: dict[str, float], expected: float | None
) -> None:
    provider.script(Reply(status=429, **headers))  # type: ignore[arg-type]  # Only retry_after.

    assert failure("chat").retry_after == expected


@pytest.mark.parametrize(
    ("written", "low", "high"),
    [
        ("in 100 s", 60, 100),
        ("Mon, 01 Jan 2001 00:00:00 GMT", 0, 0),
        ("soon", None, None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None, None),
        ("Mon, 01 Jan 2020 00:00:00 +99999999999999999999", None, None),
        ("9" * 50_000, 3600, 3600),
        ("nan", None, None),
        ("-3", None, None),
    ],
)
def test_how_long_to_wait_may_be_a_date_or_nonsense(written: str, low: float | None, high: float | None) -> None:
    if written == "in 100 s":
        written = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    seconds = retry_after({"retry-after": written})

    if low is None or high is None:
        assert seconds is None
    else:
        assert seconds is not None
        assert low <= seconds <= high


def test_no_key_is_ever_repeated(
    provider: FakeProvider, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_KEY", "topsecret-12345")
    text = settings.MODELS_FILE.read_text().replace("read_timeout", 'api_key_env = "SOME_KEY"\nread_timeout')
    settings.MODELS_FILE = tmp_path / "keyed.toml"
    settings.MODELS_FILE.write_text(text)
    said = "Incorrect API key provided: topsecret-12345, or was it sk-proj-abc*****xyz?\n<b>See</b> Bearer abcdef123."
    for model in MODELS:
        provider.script(Reply(status=401, message=said))
        error = failure(model)
        assert error.code == "provider_auth"
        assert error.detail.endswith(" refused the request (status 401).")  # Without its message about our account.
        provider.script(Reply(status=400, message=said))
        error = failure(model)
        assert error.detail.endswith("Incorrect API key provided: [key], or was it [key]? See [key]")
        for secret in ("topsecret", "abc***", "abcdef123"):
            assert secret not in f"{error!r} {error.detail} {error.__dict__}"
        assert provider.requests[-1].headers["authorization"] == "Bearer topsecret-12345"
    assert provider.requests[-1].headers["x-api-key"] == "topsecret-12345"  # What Anthropic's gateways look for.


def test_a_long_message_is_shortened(provider: FakeProvider) -> None:
    provider.script(Reply(status=400, message="x" * 100_000))

    assert len(failure("chat").detail) < 400


def test_a_missing_key_is_reported_before_anything_is_sent(
    provider: FakeProvider, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOME_KEY", raising=False)
    text = settings.MODELS_FILE.read_text().replace("read_timeout", 'api_key_env = "SOME_KEY"\nread_timeout')
    settings.MODELS_FILE = tmp_path / "keyed.toml"
    settings.MODELS_FILE.write_text(text)

    error = failure("chat")

    assert (error.code, error.retryable) == ("provider_auth", False)
    assert provider.requests == []


@pytest.fixture
def no_server(settings: Settings, tmp_path: Path) -> Iterator[None]:
    """Providers at a port where no server listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        fake = FakeProvider(port=taken.getsockname()[1])
        settings.MODELS_FILE = fake.models_file(tmp_path)
        yield


@pytest.mark.usefixtures("no_server")
@pytest.mark.parametrize("model", MODELS)
def test_a_provider_that_is_not_there_got_nothing(model: str) -> None:
    error = failure(model)

    assert (error.code, error.retryable) == ("provider_unavailable", True)
    assert "cannot be reached" in error.detail


REFUSED = "Unsupported parameter: '{}' is not supported with this model."


@pytest.mark.parametrize(
    ("model", "parameters", "left"),
    [
        ("chat", ["stream_options"], {"max_tokens": 1000, "temperature": 0.5}),
        ("chat", ["max_tokens"], {"max_completion_tokens": 1000, "temperature": 0.5}),
        ("chat", ["max_tokens", "temperature", "stream_options"], {"max_completion_tokens": 1000}),
        ("chat", ["max_tokens", "max_completion_tokens"], {"temperature": 0.5}),
        ("responses", ["temperature", "include"], {"max_output_tokens": 1000}),
        ("claude", ["temperature"], {"max_tokens": 1000}),
    ],
)
def test_a_parameter_that_is_refused_is_taken_back_and_remembered(
    provider: FakeProvider, model: str, parameters: list[str], left: dict[str, object]
) -> None:
    provider.script(*[Reply(status=400, message=REFUSED.format(name)) for name in parameters])

    async def twice() -> None:
        for _ in range(2):
            assert text_of(await events(request(model, temperature=0.5)))

    run(twice())

    assert len(provider.requests) == len(parameters) + 2
    *_, first, second = provider.requests
    assert first.body == second.body
    for name in ("max_tokens", "max_completion_tokens", "max_output_tokens", "temperature", "stream_options"):
        assert first.body.get(name) == (
            {"include_usage": True}
            if name == "stream_options" and name not in parameters and model == "chat"
            else left.get(name)
        )


def test_a_parameter_refused_for_ever_ends(provider: FakeProvider) -> None:
    provider.script(*[Reply(status=400, message="max_tokens max_completion_tokens temperature stream_options")] * 20)

    error = failure("chat")

    assert error.code == "provider_unavailable"
    assert len(provider.requests) < 6


def test_too_long_a_prompt_is_not_taken_for_a_refused_parameter(provider: FakeProvider) -> None:
    said = "'max_tokens' is too large: 1000. This model's maximum context length is 4096 tokens."
    provider.script(Reply(status=400, message=said))

    assert failure("chat").code == "context_too_long"
    assert len(provider.requests) == 1


@pytest.mark.parametrize("text", ["<", "<a", "< >", "sk-", "Bearer ", "sk-*", "[key]", " ", "context ", "\x00", "ä"])
def test_a_long_message_of_a_provider_is_read_in_proportion(provider: FakeProvider, text: str) -> None:
    provider.script(Reply(status=500, message=text * (500_000 // len(text))))

    with at_most(5):
        assert len(failure("chat").detail) < 400


def test_a_key_at_the_end_of_what_is_read_is_not_shown() -> None:
    shown = clean("<" + "x" * (MAX_MESSAGE_CHARACTERS - 12) + ">" + "secret-key-of-ours", key="secret-key-of-ours")

    assert "secret" not in shown


def test_failures_leave_the_loop_clean(provider: FakeProvider) -> None:
    """No task of a failed stream goes on."""

    async def fail() -> int:
        provider.script(Reply(chunks=MANY, cut_after=2))
        with pytest.raises(ProviderError):
            await events(request("chat"))
        await asyncio.sleep(0)
        return len(asyncio.all_tasks())

    assert run(fail()) == 1


ACCOUNT = (
    "Rate limit reached for gpt-x in organization Acme GmbH (org-Zq81LmNo) project proj_77aaBB on tokens per min. "
    "Key ending in 9xYz of ops@acme.example at http://10.1.2.3:4000/v1 behind llm.prod.internal:8443, tenant "
    "'Acme Two', projects/acme-prod/locations/eu, 6f1c2b34-aaaa-4bbb-8ccc-1234567890ab."
)
NAMES = ("Acme", "Zq81", "77aa", "9xYz", "ops@", "10.1.2.3", "prod.internal", "acme-prod", "6f1c2b34")


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429, 500, 503, 529, "context", "stream"])
def test_names_of_the_operators_account_stay_in_the_log(
    provider: FakeProvider, model: str, status: int | str, caplog: pytest.LogCaptureFixture
) -> None:
    if status == "stream":
        provider.script(Reply(text="I can", error_after="rate_limit_error", message=ACCOUNT))
    elif status == "context":
        provider.script(Reply(status=400, error_code="context_length_exceeded", message=ACCOUNT))
    else:
        provider.script(Reply(status=int(status), message=ACCOUNT))

    error = failure(model)

    assert not [name for name in NAMES if name in error.detail], error.detail
    if status != "stream":
        assert "Acme GmbH" in caplog.text


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Your organization must be verified to use the model `gpt-x`.", None),
        ("The model `gpt-x` does not exist or you do not have access to it.", None),
        ("max_tokens is too large: 1000. claude-3-5-sonnet-20241022 takes 8192 at most.", None),
        ("Unsupported value: 'messages[2].content' is 1:2, see temperature.", None),
        ("in organization acme on tokens", "in organization […] on tokens"),
        ('in organization "Acme & Sons" on tokens', "in organization […] on tokens"),
        ("for account 12345678 of acme", "for account […] of acme"),
        ("upstream connect error at gpu-7:8000.", "upstream connect error at […]."),
    ],
)
def test_what_is_about_the_request_is_left(said: str, shown: str | None) -> None:
    assert anonymous(said) == (shown or said)


@pytest.mark.parametrize(
    "text",
    ["org-", "a@", "a.", "http://", "1.", "project ", "project A ", "x-", "projects/", "0a-", "a:", "'", 'team "'],
)
def test_names_are_looked_for_in_proportion(text: str) -> None:
    with at_most(2):
        anonymous(text * (10_000 // len(text)))
