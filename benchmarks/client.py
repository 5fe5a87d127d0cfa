"""An HTTP/1.1 client that costs little: it shares the processor with what it measures."""

import asyncio
import json
from typing import Any

LAST_CHUNK = b"\r\n0\r\n\r\n"
LONGEST_STREAM = 4 * 1024 * 1024  # Bytes of one answer.


class Connection:
    """One connection that stays open; requests one after the other. It opens with the first."""

    def __init__(self, url: str, *, token: str = "none") -> None:
        self._host = url.removeprefix("http://")
        self._head = f"Host: {self._host}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect, if it is not connected: servers close what is idle for some time."""
        if self._streams is None or self._streams[0].at_eof():
            self.close()
            name, _, port = self._host.partition(":")
            self._streams = await asyncio.open_connection(name, int(port), limit=LONGEST_STREAM)
        return self._streams

    @property
    def _reader(self) -> asyncio.StreamReader:
        assert self._streams is not None
        return self._streams[0]

    async def send(self, method: str, path: str, body: Any = None, *, accept: str = "*/*") -> dict[bytes, bytes]:
        """The headers of the response, whose body is still to be read.

        :raises RuntimeError: the status is not 2xx.
        """
        content = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\n{self._head}Accept: {accept}\r\nContent-Length: {len(content)}\r\n\r\n"
        reader, writer = await self.open()
        writer.write(head.encode() + content)
        status, *lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(b": ") for line in lines)}
        if not status.startswith(b"HTTP/1.1 2"):
            detail = await reader.readexactly(int(headers.get(b"content-length", b"0")))
            raise RuntimeError(f"{method} {path}: {status!r} {detail[:300]!r}")
        return headers

    async def whole(self, headers: dict[bytes, bytes]) -> Any:
        """The JSON body that follows these headers."""
        return json.loads(await self._reader.readexactly(int(headers[b"content-length"])))

    async def post(self, path: str, body: Any) -> Any:
        """The JSON of the response."""
        return await self.whole(await self.send("POST", path, body))

    async def until(self, text: bytes) -> bytes:
        """Read a streamed body up to and with ``text``, which must not lie across two of its chunks."""
        async with asyncio.timeout(120):
            return await self._reader.readuntil(text)

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
