"""Log lines: readable, complete, and without secrets; and the request id on its way into tasks."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from celery import shared_task
from celery.contrib.testing.worker import start_worker
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction
from structlog.contextvars import bound_contextvars, clear_contextvars

from backend.celery import app
from backend.server.logs import bind_actor, dict_config, mask_secrets
from backend.server.request_id import current_request_id
from tests.work import at_most

Emit = Callable[..., list[str]]


@pytest.fixture(autouse=True)
def no_context() -> Iterator[None]:
    clear_contextvars()
    yield
    clear_contextvars()


def written(format: str, write: Callable[[logging.Logger], None]) -> str:
    """What a handler of ours makes of the records that ``write`` sends."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    formatter = dict(dict_config(format="json", level="INFO", file="")["formatters"][format])
    handler.setFormatter(formatter.pop("()")(**formatter))
    logger = logging.getLogger("test.written")
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.DEBUG)
    write(logger)
    return stream.getvalue()


def test_a_line_has_the_actor_and_the_request() -> None:
    bind_actor(user_id="usr_1", workspace_id="wsp_1")
    with bound_contextvars(request_id="request-1"):
        line = json.loads(written("json", lambda logger: logger.warning("run %s ended", "run_1")))

    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "run run_1 ended",
        "level": "warning",
        "logger": "test.written",
        "request_id": "request-1",
        "user_id": "usr_1",
        "workspace_id": "wsp_1",
    }


def test_lines_of_structlog_look_the_same() -> None:
    line = written("json", lambda logger: structlog.get_logger("test.written").info("ended", run="run_1"))
    assert json.loads(line).items() >= {"event": "ended", "run": "run_1", "level": "info"}.items()


def test_an_event_is_one_line_on_the_console() -> None:
    line = written("console", lambda logger: logger.info("ready"))
    assert line.count("\n") == 1
    assert "ready" in line


def test_an_exception_comes_with_its_traceback() -> None:
    def write(logger: logging.Logger) -> None:
        try:
            raise ZeroDivisionError("by nothing")
        except ZeroDivisionError:
            logger.exception("it broke")

    assert "ZeroDivisionError: by nothing" in json.loads(written("json", write))["exception"]


@pytest.mark.parametrize("format", ["json", "console"])
@pytest.mark.parametrize(
    "secret",
    [
        "Bearer abcdefghijklmnop",
        "orq_abcdefghijklmnop",
        "sk-abcdefghijklmnop",
        "eyJhbGciOiJSUzI1NiJ9.abcdefghijklmnop.sig-abcdefghijklmnop",
        "postgres://orquestra:abcdefghijklmnop@db/orquestra",
    ],
)
def test_secrets_in_texts_are_masked(format: str, secret: str) -> None:
    line = written(format, lambda logger: logger.info("it was %s there", secret))
    assert "abcdefghijklmnop" not in line
    assert "***" in line


@pytest.mark.parametrize(
    "text", ["eyJ-", "eyJa.", "://", "://a:", "Bearer ", "sk-", "orq_", "x@://:", "argon2$", "Failing row contains ("]
)
def test_masking_a_long_text_takes_time_in_proportion(text: str) -> None:
    event = {"event": text * 50_000, "reason": "sk-abcdefghijklmnop"}

    with at_most(2):
        assert mask_secrets(None, "", event)["reason"] == "***"


@pytest.mark.parametrize("name", ["password", "new_password", "access_token", "api_key", "Authorization", "prompt"])
def test_values_of_secret_names_are_masked(name: str) -> None:
    line = written("json", lambda logger: structlog.get_logger("test.written").info("x", **{name: "abcdefgh"}))
    assert "abcdefgh" not in line


def test_counts_of_tokens_are_not_secrets() -> None:
    line = written("json", lambda logger: structlog.get_logger("test.written").info("x", input_tokens=12))
    assert json.loads(line)["input_tokens"] == 12


seen: list[str] = []


@shared_task(ignore_result=True, name="tests.note_request_id")
def note_request_id() -> None:
    seen.append(current_request_id())


def test_a_task_knows_the_request_that_caused_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen.clear()
    # A worker that starts changes the limits of its process's connections, which is the process of the tests here.
    database = settings.DATABASES["default"]
    monkeypatch.setitem(database, "OPTIONS", dict(database["OPTIONS"]))
    # Not "solo": its start closes the file descriptor of this thread's database connection under the pool.
    with start_worker(app, pool="threads", perform_ping_check=False, queues=["http-tests"], loglevel="error"):
        with bound_contextvars(request_id="request-of-a-task"):
            note_request_id.apply_async(queue="http-tests")
        note_request_id.apply_async(queue="http-tests")
        wait_until(lambda: len(seen) == 2)

    assert seen == ["request-of-a-task", ""]


def wait_until(condition: Callable[[], Any]) -> None:
    import time

    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.django_db
def test_a_row_that_the_database_refuses_is_not_logged() -> None:
    nothing: dict[str, Any] = {"is_active": None}

    def refuse(logger: logging.Logger) -> None:
        try:
            with transaction.atomic():
                get_user_model().objects.create(
                    email="ana@example.com", password="argon2$argon2id$v=19$secret\n).\n", **nothing
                )
        except IntegrityError:
            logger.exception("refused")

    line = written("json", refuse)

    assert "Failing row contains (***)." in line
    assert "null value in column" in line
    assert "secret" not in line
    assert "ana@example.com" not in line
