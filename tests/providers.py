"""A model provider for tests: a real HTTP server that streams like OpenAI (chat and responses) and Anthropic.

In a test, in a thread of its own::

    with FakeProvider() as provider:
        provider.base_url                      # "http://127.0.0.1:41234/v1" for kind openai-chat and openai-responses
        provider.anthropic_url                 # "http://127.0.0.1:41234" for kind anthropic
        provider.script(Reply(text="Hello."))  # The next request gets this; further arguments, the ones after it.
        provider.script(Reply(status=429, retry_after=2), model="slow")   # Only requests for that model.
        provider.models_file(tmp_path)         # Writes a models.toml of every kind; give it to settings.MODELS_FILE.
        provider.requests                      # What was received: Received(path, headers, body, disconnected, …)

A ``Reply`` is one answer: ``text`` (streamed in ``chunks`` or word by word), ``reasoning``, ``tool_calls``, ``usage``,
``tokens_per_second``, and its faults: ``status`` with ``retry_after`` / ``error_code`` / ``message``, ``stall_before``
(no byte at all), ``stall_after`` / ``cut_after`` (that many text chunks, then silence / a closed connection),
``go_on`` (a threading.Event: the silence after ``stall_after`` lasts until the test sets it), ``raw`` (these bytes as
the body, with ``content_type``), ``stays_open`` (after ``raw`` the connection is not closed), ``error_after`` (an error
event in the stream).

A request is refused with 400 where a real provider refuses it: a call without its result, ids of calls that repeat,
a state that is missing after a reply with ``reasoning`` and ``tool_calls``, or that another model made
(tests/provider_history.py).

A request without a script is answered by the name of its model: ``fake`` (a sentence), ``fake-echo`` (the last user
message), ``fake-tool`` (calls the first offered tool with the question, then answers and cites [1]), ``fake-long``
(100 chunks), ``fake-slow`` (100 chunks, 20 a second), ``fake-401 fake-403 fake-404 fake-429 fake-500 fake-context
fake-filter fake-stall fake-stall-middle fake-half fake-nonsense fake-html``; anything else answers like ``fake``.

As a process, for benchmarks: ``python -m tests.providers --port 9090 [--tokens-per-second 50]``.
"""

import argparse
import asyncio
import contextlib
import json
import threading
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Self

from tests import provider_frames
from tests.provider_frames import Frame, Reply, ReplyCall, Usage
from tests.provider_history import Issued
from tests.provider_replies import by_model

__all__ = ["FakeProvider", "Received", "Reply", "ReplyCall", "Usage"]

LONG = 3600.0  # Longer than any test waits.


@dataclass
class Received:
    """A request as it arrived, and what became of its connection."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    at: float = field(default_factory=monotonic)
    disconnected: threading.Event = field(default_factory=threading.Event)  # The client left before the end.
    completed: threading.Event = field(default_factory=threading.Event)  # Every byte was sent.

    @property
    def model(self) -> str:
        return str(self.body.get("model", ""))


class FakeProvider:
    """The server. Scripts and ``requests`` may be used from any thread."""

    def __init__(self, *, port: int = 0, tokens_per_second: float | None = None) -> None:
        self.requests: list[Received] = []
        self.connections = 0  # Made so far: fewer than requests when they are kept alive.
        self.tokens_per_second = tokens_per_second
        self.issued = Issued()
        self._scripts: dict[str | None, deque[Reply]] = defaultdict(deque)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._port = port
        self._ready = threading.Event()
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="fake-provider", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("The fake provider did not start.")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._stop is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    @property
    def anthropic_url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def base_url(self) -> str:
        return f"{self.anthropic_url}/v1"

    def script(self, *replies: Reply, model: str | None = None) -> None:
        """Answer the next requests (for that model) with these, in this order."""
        self._scripts[model].extend(replies)

    def models_file(self, folder: Path, *, extra: str = "", read_timeout: float = 10) -> Path:
        """A models.toml with the models ``chat``, ``responses`` and ``claude`` of this server, 1.00 / 4.00 each."""
        kinds = {
            "chat": ("openai-chat", self.base_url),
            "responses": ("openai-responses", self.base_url),
            "claude": ("anthropic", self.anthropic_url),
        }
        entries = [
            f'[[provider]]\nname = "fake-{name}"\nkind = "{kind}"\nbase_url = "{url}"\nread_timeout = {read_timeout}\n'
            f"{'send_reasoning = true' if name == 'chat' else ''}\n"
            f'[[provider.model]]\nname = "{name}"\ninput_price = "1.00"\ncached_input_price = "0.25"\n'
            f'output_price = "4.00"\ncontext_window = 32000\nmax_output_tokens = 1000\n'
            for name, (kind, url) in kinds.items()
        ]
        path = folder / "models.toml"
        path.write_text("\n".join([*entries, extra]), encoding="utf-8")
        return path

    def _run(self) -> None:
        asyncio.run(self.serve())

    async def serve(self) -> None:
        """Serve until stopped (``__exit__``) or cancelled."""
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        handlers: set[asyncio.Task[None]] = set()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            handlers.add(task)
            self.connections += 1
            try:
                await Connection(self, reader, writer).serve()
            except (ConnectionError, asyncio.CancelledError):
                pass
            finally:
                handlers.discard(task)
                writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", self._port, backlog=512)
        self._port = server.sockets[0].getsockname()[1]
        self._ready.set()
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(server.close)
            await self._stop.wait()
        for task in list(handlers):
            task.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)

    def reply_to(self, request: Received) -> Reply:
        for key in (request.model, None):
            if self._scripts[key]:
                return self._scripts[key].popleft()
        reply = by_model(request.model, request.body)
        if self.tokens_per_second and reply.tokens_per_second is None:
            reply = replace(reply, tokens_per_second=self.tokens_per_second)
        return reply


class Connection:
    """One connection: requests one after another, and an eye on whether the client is still there."""

    def __init__(self, provider: FakeProvider, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.provider = provider
        self.reader = reader
        self.writer = writer
        self.buffer = bytearray()
        self.reading: asyncio.Task[bytes] | None = None

    async def serve(self) -> None:
        try:
            async for request in self.requests():
                self.provider.requests.append(request)
                if not await self.answer(request):
                    return
        finally:
            if self.reading is not None:
                self.reading.cancel()
                with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                    await self.reading

    async def more(self) -> bool:
        """Read on; False when the client closed the connection."""
        self.reading = self.reading or asyncio.create_task(self.reader.read(65536))
        chunk = await self.reading
        self.reading = None
        self.buffer += chunk
        return bool(chunk)

    async def requests(self) -> AsyncIterator[Received]:
        while True:
            while b"\r\n\r\n" not in self.buffer:
                if not await self.more():
                    return
            head, _, rest = bytes(self.buffer).partition(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            length = int(headers.get("content-length", 0))
            while len(self.buffer) < len(head) + 4 + length:
                if not await self.more():
                    return
            rest = bytes(self.buffer[len(head) + 4 : len(head) + 4 + length])
            del self.buffer[: len(head) + 4 + length]
            yield Received(first.split(" ")[1], headers, json.loads(rest) if rest else {})

    async def pause(self, seconds: float) -> bool:
        """Wait; False when the client closes the connection meanwhile."""
        if seconds <= 0:
            return True
        self.reading = self.reading or asyncio.create_task(self.reader.read(65536))
        done, _ = await asyncio.wait({self.reading}, timeout=seconds)
        if not done:
            return True
        try:
            chunk = self.reading.result()
        except ConnectionError:
            chunk = b""
        self.reading = None
        self.buffer += chunk
        return bool(chunk)

    async def stall(self, reply: Reply) -> bool:
        """Be silent until the reply may go on, or for ever; False when the client closes the connection meanwhile."""
        while reply.go_on is None or not reply.go_on.is_set():
            if not await self.pause(LONG if reply.go_on is None else 0.01):
                return False
        return True

    async def answer(self, request: Received) -> bool:
        """Send the reply; False when the connection is to be closed."""
        reply = self.provider.reply_to(request)
        frames = provider_frames.PROTOCOLS.get(request.path.partition("?")[0])
        if frames is None:
            await self.whole(404, {"error": {"message": f"No route {request.path}.", "type": "invalid_request_error"}})
            return True
        if complaint := self.provider.issued.complaint(request.path, request.body):
            await self.whole(400, provider_frames.refusal(replace(reply, message=complaint), request.path))
            return True
        self.provider.issued.note(request.path, request.body, reply)
        try:
            if not await self.pause(LONG if reply.stall_before else reply.first_byte_delay):
                request.disconnected.set()
                return False
            keep = await self.send(request, reply, frames(reply, request.body))
        except ConnectionError:
            request.disconnected.set()
            return False
        if request.disconnected.is_set():
            return False
        request.completed.set()
        return keep

    async def send(self, request: Received, reply: Reply, frames: Iterator[Frame]) -> bool:
        if reply.status != 200:
            headers = {} if reply.retry_after is None else {"retry-after": str(reply.retry_after)}
            await self.whole(reply.status, provider_frames.refusal(reply, request.path), headers)
            return True
        self.head(200, {"content-type": reply.content_type, "transfer-encoding": "chunked"})
        if reply.raw is not None:
            if reply.raw:  # An empty chunk would be the end, and a second one no HTTP.
                await self.chunk(reply.raw)
            for _ in range(200 if reply.stays_open is not None else 0):
                if reply.stays_open:
                    await self.chunk(reply.stays_open)
                if not await self.pause(0.05):
                    request.disconnected.set()
                    return False
            await self.chunk(b"")
            return True
        interval = 1 / reply.tokens_per_second if reply.tokens_per_second else 0.0
        sent = 0
        for frame in frames:
            if frame.is_token:
                if sent == reply.cut_after:
                    return False
                if (sent == reply.stall_after and not await self.stall(reply)) or not await self.pause(interval):
                    request.disconnected.set()
                    return False
                sent += 1
            await self.chunk(frame.data)
        await self.chunk(b"")
        return True

    def head(self, status: int, headers: dict[str, str]) -> None:
        lines = [f"HTTP/1.1 {status} Status", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        self.writer.write("\r\n".join(lines).encode())

    async def chunk(self, data: bytes) -> None:
        self.writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        await self.writer.drain()

    async def whole(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        fixed = {"content-type": "application/json", "content-length": str(len(data))}
        self.head(status, {**fixed, **(headers or {})})
        self.writer.write(data)
        await self.writer.drain()


def main() -> None:
    parser = argparse.ArgumentParser(description="A fake model provider on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=9090)
    parser.add_argument("--tokens-per-second", type=float, default=None)
    arguments = parser.parse_args()
    provider = FakeProvider(port=arguments.port, tokens_per_second=arguments.tokens_per_second)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(provider.serve())


if __name__ == "__main__":
    main()
