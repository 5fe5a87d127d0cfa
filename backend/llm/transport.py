"""Sends a request through a provider's SDK and reads the events of its answer, line by line and bounded."""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Any, Protocol

from backend.llm import refusals
from backend.llm.answer import PartialAnswer
from backend.llm.catalog import Provider
from backend.llm.chat import ChatEvent
from backend.llm.clients import Client, client_for
from backend.llm.errors import ProviderError
from backend.llm.sse import Payloads

MAX_LINE_BYTES = 16 * 1024 * 1024  # An event may repeat the whole request and the whole answer.
MAX_DRAIN_SECONDS = 0.1
# Seconds to wait for more after a complete answer: some servers keep the connection open for ever.
AFTER_USAGE = 0.5  # Another report of the usage, or [DONE].
AFTER_END = 3.0  # The usage, where gateways look it up.
AFTER_DOUBT = 4.0  # The rest, where the end that came is not the one that is specified.
NOT_A_STREAM = ("text/html", "application/xhtml+xml", "application/xml", "text/xml")
JSON = ("application/json", "text/json")

# A parameter and what replaces it when the provider refuses it. Learned once per provider and model.
Substitutes = Mapping[str, Mapping[str, Any]]
_refused: dict[tuple[str, str | None, str], frozenset[str]] = {}


class Reader(Protocol):
    """Converts the payloads of one API into chat events."""

    answer: PartialAnswer
    over: bool  # The end was announced: from now on ``patience`` limits the wait for more.

    @property
    def whole(self) -> bool:
        """The answer is complete, whatever may still follow."""

    @property
    def patience(self) -> float | None:
        """Seconds to wait for more; None while the end was not announced."""

    def read(self, line: bytes) -> Iterable[ChatEvent]: ...

    def end(self) -> Iterable[ChatEvent]:
        """The last events. :raises ProviderError: the answer is not whole, or is a refusal."""


class Exchange:
    """One request and its answer."""

    def __init__(self, provider: Provider, client: Client) -> None:
        self.provider = provider
        self.client = client
        self.name = provider.name
        self.finished = False  # The rest of the response is read then, so that the connection can be kept.
        self.deadline = monotonic() + provider.total_timeout
        self.event = b""  # The name of the event that is being read.

    async def send(self, path: str, body: dict[str, Any], substitutes: Substitutes) -> Any:
        """The open response. Parameters that the provider refuses are left out, one after another."""
        place = (self.name, self.provider.base_url, str(body["model"]))
        refused = set(_refused.get(place, ()))
        while True:
            try:
                async with asyncio.timeout(max(self.deadline - monotonic(), 0)):
                    response = await self.client.post(path, body_without(body, refused, substitutes))
                break
            except self.client.sdk.APIStatusError as error:
                failure = refusals.from_status(error, client=self.client, provider=self.name)
                sent = body_without(body, refused, substitutes)
                culprit = refused_parameter(error, [key for key in substitutes if key in sent and key not in refused])
                if error.status_code not in (400, 422) or failure.code != "provider_unavailable" or culprit is None:
                    raise failure from None
                refused.add(culprit)
            except (self.client.sdk.APIConnectionError, self.client.aiohttp.ClientError, OSError) as error:
                raise refusals.from_transport(error, client=self.client, provider=self.name) from error
        if refused:
            _refused[place] = frozenset(refused)
        return response

    def failure(self, error: Any) -> ProviderError:
        """The failure that an error event describes."""
        return refusals.from_event({"error": error}, client=self.client, provider=self.name)

    def refuse(self, value: Any) -> None:
        """:raises ProviderError: the event, which is no part of an answer, is an error without ``error`` around it."""
        error = refusals.unwrapped(value, event=self.event)
        if error:
            raise self.failure(error)

    async def lines(self, response: Any) -> AsyncGenerator[bytes, None]:
        """The payload of every event."""
        payloads = Payloads()
        chunks = response.aiter_bytes()
        try:
            async for chunk in chunks:
                found = payloads.feed(chunk)
                for self.event, payload in found:
                    yield payload
                if not found and payloads.pending > MAX_LINE_BYTES:
                    raise refusals.broken("sent a line without an end", provider=self.name)
                if monotonic() > self.deadline:
                    raise refusals.broken("took too long over the answer", provider=self.name)
            for self.event, payload in payloads.end():
                yield payload
        except (self.client.http.HTTPError, self.client.http.StreamError, self.client.aiohttp.ClientError) as error:
            raise refusals.from_transport(error, client=self.client, provider=self.name, opened=True) from error
        finally:
            await chunks.aclose()


@asynccontextmanager
async def exchange(
    provider: Provider, path: str, body: dict[str, Any], *, substitutes: Substitutes
) -> AsyncGenerator[tuple[Exchange, AsyncGenerator[bytes, None], str], None]:
    """Send the request; yield the payloads and the content type. The connection is closed or returned on every exit.

    :raises ProviderError: the provider refused, cannot be reached, or did not send a stream.
    """
    current = Exchange(provider, await client_for(provider))
    response = await current.send(path, body, substitutes)
    lines = current.lines(response)
    try:
        content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type in NOT_A_STREAM:
            raise not_a_stream(current, content_type)
        yield current, lines, content_type
    finally:
        if current.finished:
            await drain(lines)
        await lines.aclose()
        await response.aclose()


async def stream_answer(
    provider: Provider,
    path: str,
    body: dict[str, Any],
    *,
    substitutes: Substitutes,
    read_by: Callable[[Exchange], Reader],
) -> AsyncGenerator[ChatEvent, None]:
    """One answer from the request to its last event."""
    async with exchange(provider, path, body, substitutes=substitutes) as (current, lines, content_type):
        reader = read_by(current)
        try:
            async for line in lines:
                for event in reader.read(line):
                    yield event
                if reader.over:
                    break
            since = asyncio.get_running_loop().time()
            while (more := await next_after_end(lines, since, reader.patience)) is not None:
                for event in reader.read(more):
                    since = asyncio.get_running_loop().time()
                    yield event
            current.finished = True
        except ProviderError:
            if not reader.whole:
                raise  # Else only what follows the answer was lost, such as its usage.
        if content_type in JSON and reader.answer.empty and not reader.whole:
            raise not_a_stream(current, content_type)
        for event in reader.end():
            yield event


async def next_after_end(lines: AsyncGenerator[bytes, None], since: float, patience: float | None) -> bytes | None:
    """The next payload after a complete answer, if it arrives within ``patience`` seconds after its last event.

    Silence, comments and empty events, which keep a connection open, must not delay the end of the answer.
    """
    if patience == 0:
        return None
    try:
        async with asyncio.timeout_at(None if patience is None else since + patience):
            return await anext(lines)
    except (TimeoutError, StopAsyncIteration):
        return None


def patience(*, whole: bool, ended: bool, counted: bool, doubtful: bool = False) -> float | None:
    """Seconds to wait for more, by whether the usage is known and whether the end is the one that is specified."""
    if ended:
        return 0 if counted else AFTER_USAGE
    if not whole:
        return None
    return AFTER_DOUBT if doubtful else AFTER_USAGE if counted else AFTER_END


async def drain(lines: AsyncGenerator[bytes, None]) -> None:
    with suppress(ProviderError, TimeoutError):
        async with asyncio.timeout(MAX_DRAIN_SECONDS):
            async for _ in lines:
                pass


def not_a_stream(current: Exchange, content_type: str) -> ProviderError:
    what = f"answered with {content_type} and not with a stream of events: its base_url may be wrong"
    return refusals.broken(what, provider=current.name, retryable=False)


def body_without(body: dict[str, Any], refused: set[str], substitutes: Substitutes) -> dict[str, Any]:
    if not refused:
        return body
    kept = {key: value for key, value in body.items() if key not in refused}
    for key in refused:
        for name, value in substitutes.get(key, {}).items():
            if name not in refused:
                kept.setdefault(name, value)
    return kept


def refused_parameter(error: Any, parameters: list[str]) -> str | None:
    """The parameter that the provider refused, if it is one of these."""
    message = str(getattr(error, "param", None) or "") + " " + str(error)[: refusals.MAX_MESSAGE_CHARACTERS]
    return next((name for name in parameters if re.search(rf"(?<![\w-]){name}(?![\w-])", message)), None)
