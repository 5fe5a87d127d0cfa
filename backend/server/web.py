"""gunicorn's worker class of the web process: uvicorn with our connections, checked every second."""

import logging
import socket
import sys
from collections.abc import Callable
from typing import Any

from gunicorn.arbiter import Arbiter
from uvicorn.server import Server
from uvicorn_worker import UvicornWorker

from backend.server.connections import Protocol, check_connections

at_shutdown: list[Callable[[], None]] = []  # Called in the event loop before it waits for the open requests.
TICKS_PER_SECOND = 10  # Of uvicorn's main loop.


class StreamingServer(Server):
    """Checks its connections. At shutdown, ends event streams before it waits for requests: their clients reconnect."""

    async def on_tick(self, counter: int) -> bool:
        if counter % TICKS_PER_SECOND == 0:
            check_connections(self.server_state.connections)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for call in at_shutdown:
            call()
        await super().shutdown(sockets)


class Worker(UvicornWorker):  # type: ignore[misc]  # Untyped upstream.
    """Set as ``worker_class`` in ``gunicorn.py``."""

    CONFIG_KWARGS: dict[str, Any] = {
        "loop": "auto",
        "http": Protocol,
        "ws": "none",
        "lifespan": "on",
        "server_header": False,
        "access_log": False,
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.config.timeout_graceful_shutdown = max(1, int(self.cfg.graceful_timeout) - 1)
        for name in ("uvicorn.error", "uvicorn.access"):  # UvicornWorker gave them the handlers of gunicorn.
            logger = logging.getLogger(name)
            logger.handlers, logger.propagate = [], True
            logger.setLevel(logging.NOTSET)

    async def _serve(self) -> None:
        self.config.app = self.wsgi
        server = StreamingServer(config=self.config)
        self._install_sigquit_handler()
        await server.serve(sockets=self.sockets)
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)
