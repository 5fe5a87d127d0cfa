"""Logging of every process: structlog over the standard library, one line per event, with the ids of request and actor.

Writes readable lines to standard error, or JSON with LOG_FORMAT=json; with LOG_FILE, JSON lines to that file too. Masks
text that looks like a secret, and never logs bodies or query strings.
"""

import logging
import logging.config
import re
import sys
import time
from collections.abc import Awaitable, Mapping
from typing import Any, cast

import structlog
from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware
from django.utils.encoding import escape_uri_path
from structlog.contextvars import bind_contextvars, merge_contextvars
from structlog.typing import EventDict, Processor, WrappedLogger

from backend.server.request_id import GetResponse

QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
SECRET_NAME = re.compile(
    r"passw|secret|token$|api_?key|authorization|cookie|private|credential|prompt|instructions", re.IGNORECASE
)
SECRET_TEXT = re.compile(
    r"(?i:bearer )\S+|\borq_[A-Za-z0-9_-]+|\bsk-[A-Za-z0-9_-]{8,}|\beyJ[A-Za-z0-9_.-]{8,}"
    r"|(?<=://)[^\s/:@]*:[^\s/@]+(?=@)|\bargon2[a-z]*\$\S+"
)
ROW = "Failing row contains ("  # PostgreSQL puts the whole row into an error message.
MASK = "***"

access = structlog.get_logger("access")


def mask_secrets(logger: WrappedLogger | None, name: str, event: EventDict) -> EventDict:
    """Mask the values of names that sound secret, and keys and tokens inside any text."""
    for key, value in event.items():
        if SECRET_NAME.search(key) and not key.endswith("_tokens"):
            event[key] = MASK
        elif isinstance(value, str):
            event[key] = SECRET_TEXT.sub(MASK, _without_rows(value))
    return event


def _without_rows(text: str) -> str:
    """The text of an error without the rows that PostgreSQL refused; a row ends with its paragraph of the traceback."""
    before, *rows = text.split(ROW)
    ends = (row.partition(").\n\n") for row in rows)
    return before + "".join(f"{ROW}{MASK}).{separator[2:]}{after}" for _, separator, after in ends)


def _without_private(logger: WrappedLogger | None, name: str, event: EventDict) -> EventDict:
    event.pop("_record", None)
    event.pop("_from_structlog", None)
    return event


SHARED: tuple[Processor, ...] = (
    merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
)


def _formatter(*last: Processor) -> Mapping[str, Any]:
    return {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": SHARED,
        "processors": [structlog.processors.format_exc_info, _without_private, mask_secrets, *last],
    }


def dict_config(*, format: str, level: str, file: str) -> dict[str, Any]:
    """The argument of ``logging.config.dictConfig``, the same for Django, Celery and gunicorn."""
    handlers: dict[str, Any] = {
        "console": {"class": "logging.StreamHandler", "formatter": "json" if format == "json" else "console"}
    }
    if file:
        handlers["file"] = {
            "class": "logging.handlers.WatchedFileHandler",
            "filename": file,
            "formatter": "json",
            "encoding": "utf-8",
            "delay": True,
        }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "console": _formatter(structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=32)),
            "json": _formatter(structlog.processors.JSONRenderer(ensure_ascii=False, default=str)),
        },
        "handlers": handlers,
        "root": {"handlers": list(handlers), "level": level},
        "loggers": {
            # The access line already contains this; django.request logs bugs with their traceback.
            "django": {"handlers": [], "level": "INFO", "propagate": True},
            "django.request": {"level": "ERROR"},
            "django.security": {"level": "CRITICAL"},
            "django.server": {"handlers": [], "level": "WARNING", "propagate": True},
            "django_structlog": {"level": "INFO" if level != "DEBUG" else "DEBUG"},
            "celery.app.trace": {"level": "CRITICAL"},
            "celery.worker.strategy": {"level": "WARNING"},
            "celery.beat": {"level": "WARNING"},
            "gunicorn.error": {"handlers": [], "level": "INFO", "propagate": True},
            "gunicorn.access": {"handlers": [], "level": "WARNING", "propagate": True},
            "uvicorn": {"level": "ERROR"},
            "httpx": {"level": "WARNING"},
            "botocore": {"level": "WARNING"},
        },
    }


def configure(options: Mapping[str, str]) -> None:
    """Django's LOGGING_CONFIG; ``options`` is settings.LOGGING."""
    logging.config.dictConfig(
        dict_config(format=options["format"], level=options["level"], file=options.get("file", ""))
    )
    logging.captureWarnings(True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def bind_actor(*, user_id: str, workspace_id: str) -> None:
    """Add the actor to every later line of this request and of the tasks that it causes."""
    bind_contextvars(user_id=user_id, workspace_id=workspace_id)


def _write(request: HttpRequest, response: HttpResponseBase, started: float) -> None:
    if request.path_info in QUIET:
        return
    write = access.warning if response.status_code >= 500 else access.info
    write(
        "request",
        method=request.method,
        path=escape_uri_path(request.path),
        status=response.status_code,
        duration_ms=round((time.perf_counter() - started) * 1000, 1),
        **({"streaming": True} if response.streaming else {}),
    )


@sync_and_async_middleware
def access_log_middleware(get_response: GetResponse) -> GetResponse:
    """One line per request, written when the response begins."""
    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponseBase:
            started = time.perf_counter()
            response = await cast(Awaitable[HttpResponseBase], get_response(request))
            _write(request, response, started)
            return response

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponseBase:
        started = time.perf_counter()
        response = cast(HttpResponseBase, get_response(request))
        _write(request, response, started)
        return response

    return synchronous
