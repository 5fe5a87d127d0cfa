"""Sends a request through a provider's SDK and reads the events of its answer, line by line and bounded."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from time import monotonic
from typing import Any, Protocol, TypeVar

import msgspec

from backend.llm import refusals
from backend.llm.catalog import Provider
from backend.llm.chat import ChatEvent
from backend.llm.clients import Client, client_for
from backend.llm.errors import ProviderError

LONGEST_LINE = 16 * 1024 * 1024  # An event may repeat the whole request and the whole answer.
LONGEST_ERROR = 65536
LONGEST_DRAIN = 0.1  # Seconds.
NOT_A_STREAM = ("text/html", "application/json", "application/xhtml+xml", "application/xml", "text/xml")

Event = TypeVar("Event")

# A parameter and what goes in its place when the provider refuses it. Found out once per provider and model.
Substitutes = Mapping[str, Mapping[str, Any]]
_refused: dict[tuple[str, str | None, str], frozenset[str]] = {}


class Reader(Protocol):
    """Turns the payloads of one API into our events."""

    @property
    def ended(self) -> bool:
        """The provider said that nothing more follows."""

    @property
    def whole(self) -> bool:
        """The answer has all its parts, whatever may still follow."""

    def read(self, line: bytes) -> Iterable[ChatEvent]: ...

    def end(self) -> Iterable[ChatEvent]:
        """The last events. :raises ProviderError: the answer is not whole, or is a refusal."""


class Exchange:
    """One request and its answer."""

    def __init__(self, provider: Provider, client: Client) -> None:
        self.provider = provider
        self.client = client
        self.name = provider.name
        self.finished = False  # Nothing more will come: what is left of the response is read, to keep the connection.
        self.deadline = monotonic() + provider.total_timeout

    async def send(self, path: str, body: dict[str, Any], substitutes: Substitutes) -> Any:
        """The response, open. Parameters that the provider does not know are taken back, one by one."""
        place = (self.name, self.provider.base_url, str(body["model"]))
        refused = set(_refused.get(place, ()))
        while True:
            try:
                async with asyncio.timeout(max(self.deadline - monotonic(), 0)):
                    response = await self.client.post(path, without(body, refused, substitutes))
                break
            except self.client.sdk.APIStatusError as error:
                failure = refusals.from_status(error, client=self.client, provider=self.name)
                sent = without(body, refused, substitutes)
                culprit = named(error, [key for key in substitutes if key in sent and key not in refused])
                if error.status_code not in (400, 422) or failure.code != "provider_unavailable" or culprit is None:
                    raise failure from None
                refused.add(culprit)
            except (self.client.sdk.APIConnectionError, self.client.http.HTTPError, TimeoutError) as error:
                raise refusals.from_transport(error, client=self.client, provider=self.name) from error
        if refused:
            _refused[place] = frozenset(refused)
        return response

    async def lines(self, response: Any) -> AsyncGenerator[bytes, None]:
        """The payload of every event.

        One line each, whether blank lines part them or not, as some servers leave them out; only a JSON object that
        does not end on its line goes on over the next ``data:`` lines up to a blank one (HTML standard, 9.2.6).
        """
        rest = bytearray()
        begun = bytearray()
        chunks = response.aiter_bytes()
        try:
            async for chunk in chunks:
                rest += chunk
                if b"\n" in chunk:
                    *complete, tail = rest.split(b"\n")
                    rest = tail
                    for line in complete:
                        payload = data_of(line)
                        if begun or (payload.startswith(b"{") and not payload.endswith(b"}")):
                            begun += payload + b"\n"
                            if line.strip():
                                continue
                            payload = bytes(begun).strip()
                            begun.clear()
                        if payload:
                            yield payload
                if len(rest) + len(begun) > LONGEST_LINE:
                    raise refusals.broken("sent a line without an end", provider=self.name)
                if monotonic() > self.deadline:
                    raise refusals.broken("took too long over the answer", provider=self.name)
            if payload := bytes(begun + data_of(rest)).strip():
                yield payload
        except (self.client.http.HTTPError, self.client.http.StreamError) as error:
            raise refusals.from_transport(error, client=self.client, provider=self.name, opened=True) from error
        finally:
            await chunks.aclose()


@asynccontextmanager
async def exchange(
    provider: Provider, path: str, body: dict[str, Any], *, substitutes: Substitutes
) -> AsyncGenerator[tuple[Exchange, AsyncGenerator[bytes, None]], None]:
    """Send, and give the lines of the answer; the connection is closed or given back on every way out.

    :raises ProviderError: the provider refused, cannot be reached or answers with something else than a stream.
    """
    current = Exchange(provider, await client_for(provider))
    response = await current.send(path, body, substitutes)
    lines = current.lines(response)
    try:
        content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type in NOT_A_STREAM:
            raise await not_a_stream(current, response, content_type)
        yield current, lines
    finally:
        if current.finished:
            await drain(lines)
        await lines.aclose()
        await response.aclose()


async def converse(
    provider: Provider,
    path: str,
    body: dict[str, Any],
    *,
    substitutes: Substitutes,
    read_by: Callable[[Exchange], Reader],
) -> AsyncGenerator[ChatEvent, None]:
    """One answer from the request to its last event."""
    async with exchange(provider, path, body, substitutes=substitutes) as (current, lines):
        reader = read_by(current)
        try:
            async for line in lines:
                for event in reader.read(line):
                    yield event
                if reader.ended:
                    current.finished = True
                    break
        except ProviderError:
            if not reader.whole:
                raise  # Else only what follows the answer was lost, such as its usage.
        for event in reader.end():
            yield event


async def drain(lines: AsyncGenerator[bytes, None]) -> None:
    with suppress(ProviderError, TimeoutError):
        async with asyncio.timeout(LONGEST_DRAIN):
            async for _ in lines:
                pass


async def not_a_stream(current: Exchange, response: Any, content_type: str) -> ProviderError:
    """What to say of an answer that is a page or a document: the error it holds, or that it is the wrong place."""
    error: Any = None
    if content_type == "application/json":
        try:
            error = msgspec.json.decode(await beginning(response, current.provider.read_timeout))
        except (current.client.http.HTTPError, TimeoutError, msgspec.MsgspecError, UnicodeDecodeError):
            error = None
    if isinstance(error, dict) and error.get("error"):
        return refusals.from_event(error, client=current.client, provider=current.name)
    what = f"answered with {content_type} and not with a stream of events: its base_url may be wrong"
    return refusals.broken(what, provider=current.name, retryable=False)


async def beginning(response: Any, seconds: float) -> bytes:
    body = bytearray()
    async with asyncio.timeout(seconds), aclosing(response.aiter_bytes()) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > LONGEST_ERROR:
                break
    return bytes(body)


def decoded(decode: Callable[[bytes], Event], line: bytes, *, provider: str) -> Event:
    """The event that a line holds. Half of a surrogate pair in it becomes U+FFFD: servers that cut text by UTF-16 send
    it, and it is valid JSON (RFC 8259, 8.2) but no text.

    :raises ProviderError: it holds none.
    """
    try:
        return decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        if b"\\ud" not in line.lower():
            raise refusals.broken("sent an event that is not valid", provider=provider) from None
    try:
        text = json.dumps(json.loads(line), ensure_ascii=False)
        return decode(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode())
    except (ValueError, RecursionError, msgspec.MsgspecError):
        raise refusals.broken("sent an event that is not valid", provider=provider) from None


def data_of(line: bytes | bytearray) -> bytes:
    """The payload of a line, empty for comments and other fields. Some servers send ``error:`` lines too."""
    if line.startswith((b"data:", b"error:")):
        return bytes(line[line.index(b":") + 1 :]).strip()
    return b""


def without(body: dict[str, Any], refused: set[str], substitutes: Substitutes) -> dict[str, Any]:
    if not refused:
        return body
    kept = {key: value for key, value in body.items() if key not in refused}
    for key in refused:
        for name, value in substitutes.get(key, {}).items():
            if name not in refused:
                kept.setdefault(name, value)
    return kept


def named(error: Any, parameters: list[str]) -> str | None:
    """The parameter that a refusal complains of, if it is one of these."""
    message = str(getattr(error, "param", None) or "") + " " + str(error)[: refusals.LONGEST_READ]
    return next((name for name in parameters if re.search(rf"(?<![\w-]){name}(?![\w-])", message)), None)
