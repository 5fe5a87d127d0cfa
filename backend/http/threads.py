"""gunicorn's threads for services without streams, with what uvicorn and the bridge do for the others: bodies of known
length, the client's address from a gateway that is trusted, refusals as problems.
"""

import io
import ipaddress
import socket
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from django.conf import settings
from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine, ParseException
from gunicorn.workers.gthread import ThreadWorker

from backend.http.refusals import refusal

Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


class Worker(ThreadWorker):  # type: ignore[misc]  # Untyped upstream.
    """gunicorn's worker class of a process that serves neither agents nor documents."""

    def load_wsgi(self) -> None:
        super().load_wsgi()
        application: Application = self.wsgi  # type: ignore[has-type]  # Untyped upstream.
        self.wsgi = prepared(application, trusted=self.cfg.forwarded_allow_ips)

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: BaseException) -> None:
        """Answer what never became a request. gunicorn's own answer would be a page."""
        if isinstance(exc, LimitRequestLine):
            answer = refusal(414, "uri_too_long")
        elif isinstance(exc, LimitRequestHeaders):
            answer = refusal(431, "headers_too_large")
        elif isinstance(exc, ParseException):
            answer = refusal(400, "bad_request")
        else:
            self.log.error("a request could not be handled", exc_info=exc)
            answer = refusal(500, "internal_error")
        with suppress(OSError):
            client.sendall(answer)


def prepared(application: Application, *, trusted: Sequence[str]) -> Application:
    """The application with every request made fit for Django.

    :param trusted: addresses and networks, or ``*``, whose X-Forwarded-For is believed.
    """
    networks = [ipaddress.ip_network(each) for each in trusted if each != "*"]

    def is_trusted(address: str) -> bool:
        if "*" in trusted:
            return True
        try:
            return any(ipaddress.ip_address(address) in network for network in networks)
        except ValueError:
            return False

    def serve(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        if is_trusted(environ.get("REMOTE_ADDR", "")):
            environ["REMOTE_ADDR"] = client_of(environ, is_trusted)
        if "HTTP_TRANSFER_ENCODING" in environ:
            collect(environ, limit=settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        return application(environ, start_response)

    return serve


def client_of(environ: Environ, is_trusted: Callable[[str], bool]) -> str:
    """The last address of the chain that is no gateway of ours, or the first when all are."""
    peer = str(environ["REMOTE_ADDR"])
    chain = [part.strip() for part in environ.get("HTTP_X_FORWARDED_FOR", "").split(",") if part.strip()]
    return next((address for address in reversed(chain) if not is_trusted(address)), chain[0] if chain else peer)


def collect(environ: Environ, *, limit: int) -> None:
    """A chunked body read whole, or its first ``limit + 1`` bytes, which Django then refuses."""
    body = environ["wsgi.input"]
    read = b""
    while len(read) <= limit and (more := body.read(limit + 1 - len(read))):
        read += more
    environ["CONTENT_LENGTH"] = str(len(read))
    environ["wsgi.input"] = io.BytesIO(read)
