"""Unusual and broken responses at the level of HTTP, which the fake provider always sends as specified."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_server

import pytest
from pytest_django import Settings

from backend.llm.chat import ProviderError
from backend.llm.tests.asking import ask, text_of

EVENTS = b"".join(
    b"data: " + json.dumps(event).encode() + b"\n\n"
    for event in (
        {"choices": [{"delta": {"content": "Hello."}}]},
        {"choices": [{"delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 1}},
    )
)
STREAM = b"content-type: text/event-stream\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\n" + STREAM + b"transfer-encoding: chunked\r\n\r\n"
CHUNK = b"%x\r\n%b\r\n" % (len(EVENTS), EVENTS)


class Server:
    """Sends the same bytes to each request, then closes the connection."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.heads: list[bytes] = []
        self.listener = create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                received = b""
                while b"\r\n\r\n" not in received:
                    received += connection.recv(65536)
                head, _, body = received.partition(b"\r\n\r\n")
                fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:])
                while len(body) < int(fields[b"content-length"]):
                    body += connection.recv(65536)
                self.heads.append(head)
                connection.sendall(self.answer)


@contextmanager
def serving(answer: bytes, settings: Settings, folder: Path, *, host: str = "") -> Iterator[Server]:
    """A server; the model ``raw`` is its, or that of ``host``."""
    server = Server(answer)
    settings.MODELS_FILE = folder / "models.toml"
    settings.MODELS_FILE.write_text(
        f'[[provider]]\nname = "raw"\nkind = "openai-chat"\nbase_url = "http://{host or server.address}/v1"\n'
        '[[provider.model]]\nname = "raw"\ncontext_window = 32000\n'
    )
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.listener.shutdown(2)
        server.listener.close()
        thread.join(5)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n" + STREAM + b"\r\n" + EVENTS,
        b"HTTP/1.0 200 OK\r\n" + STREAM + b"\r\n" + EVENTS,
        b"HTTP/1.1 200\nTransfer-Encoding: Chunked\n\n" + CHUNK + b"0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + CHUNKED + CHUNK + b"0\r\nx-trailer: a\r\n\r\n",
        CHUNKED + CHUNK,
    ],
    ids=["to the end of the connection", "HTTP 1.0", "bare line feeds", "continue and trailer", "no last chunk"],
)
def test_answers_in_unusual_frames_are_read(answer: bytes, settings: Settings, tmp_path: Path) -> None:
    with serving(answer, settings, tmp_path):
        assert text_of(ask("raw")) == "Hello."


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (b"", "raw broke the connection."),
        (b"SSH-2.0-OpenSSH_9.0\r\n", "raw broke the connection."),
        (b"HTTP/1.1 200 OK\r\n" + STREAM, "raw broke the connection."),
        (CHUNKED + CHUNK[:40], "raw broke the connection in the middle of the answer."),
        (CHUNKED.replace(b"\r\n\r\n", b"\r\ncontent-encoding: gzip\r\n\r\n") + b"3\r\nabc\r\n0\r\n\r\n", None),
    ],
    ids=["nothing", "no HTTP", "half a head", "half a body", "no gzip"],
)
def test_what_is_no_answer_is_a_broken_connection(
    answer: bytes, detail: str | None, settings: Settings, tmp_path: Path
) -> None:
    with serving(answer, settings, tmp_path), pytest.raises(ProviderError) as refused:
        ask("raw")

    assert (refused.value.code, refused.value.retryable) == ("provider_unavailable", True)
    assert refused.value.detail == (detail or "raw broke the connection in the middle of the answer.")


def test_a_proxy_of_the_environment_is_used(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(CHUNKED + CHUNK + b"0\r\n\r\n", settings, tmp_path, host="provider.invalid") as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.address}")
        assert text_of(ask("raw")) == "Hello."
        assert proxy.heads[0].startswith(b"POST http://provider.invalid/v1/chat/completions ")

        monkeypatch.setenv("NO_PROXY", "provider.invalid")
        with pytest.raises(ProviderError, match="raw cannot be reached"):
            ask("raw")
