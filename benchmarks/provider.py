"""A model provider that costs little: it shares the processor with what it serves.

    python -m benchmarks.provider --port 9090

It speaks OpenAI's chat completions. A model named ``answer-0`` streams 100 tokens without delay, ``answer-20`` with
20 ms before each token. Every frame is encoded once and written by itself, as a provider does.
"""

import argparse
import asyncio
import json
from typing import Any

TOKENS = 100
FIRST_TEXT = b'"content": "word0 '
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"


def _chunk(data: str) -> bytes:
    line = f"data: {data}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(line), line)


def _frame(delta: dict[str, Any], *, finish: str | None = None, usage: dict[str, int] | None = None) -> bytes:
    fixed = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "answer"}
    choices = [] if usage else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return _chunk(json.dumps({**fixed, "choices": choices, "usage": usage}))


TEXT = [_frame({"content": f"word{number} "}) for number in range(TOKENS)]
START = HEAD + _frame({"role": "assistant", "content": ""})
USAGE = {"prompt_tokens": 10, "completion_tokens": TOKENS, "total_tokens": 10 + TOKENS}
END = _frame({}, finish="stop") + _frame({}, usage=USAGE) + _chunk("[DONE]") + b"0\r\n\r\n"


class Provider(asyncio.Protocol):
    """One connection: requests one after the other."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._received = transport, b""
        self._loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        length = int(fields.get(b"content-length", b"0"))
        if len(body) >= length:
            self._received = body[length:]
            self._transport.write(START)
            pause = int(json.loads(body[:length])["model"].rpartition("-")[2]) / 1000
            self._stream(0, pause, self._loop.time())

    def _stream(self, number: int, pause: float, at: float) -> None:
        """Write the token with this number, 0 being none, and schedule the next: late calls do not slow the pace."""
        if self._transport.is_closing():
            return
        if number:
            self._transport.write(TEXT[number - 1])
        if number == TOKENS:
            self._transport.write(END)
        elif pause:
            self._loop.call_at(at + pause, self._stream, number + 1, pause, at + pause)
        else:
            self._loop.call_soon(self._stream, number + 1, pause, at)


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", port, backlog=512)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description="A model provider for benchmarks, on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=9090)
    asyncio.run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
