"""Limits on concurrent requests of a process."""

import asyncio
import re
from typing import Any

from backend.server.queueing import queue_requests
from backend.server.scope import Receive, Scope, Send
from tests.clock import run_without_waiting

UNUSED: Any = None
PATHS = re.compile(r"/questions")


def test_requests_run_in_order_of_arrival() -> None:
    begun: list[str] = []

    async def scene() -> None:
        held = {name: asyncio.Event() for name in "abcd"}

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            begun.append(scope["name"])
            await held[scope["name"]].wait()
            if scope["name"] == "b":
                raise ZeroDivisionError

        serve = queue_requests(application, paths=PATHS, max_concurrent=2, max_wait=60)
        asking = {
            name: asyncio.ensure_future(serve({"method": "POST", "path": "/questions", "name": name}, UNUSED, UNUSED))
            for name in "abcd"
        }
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert begun == ["a", "b"]
        held["b"].set()  # It breaks; its place is free nevertheless.
        await asyncio.gather(asking["b"], return_exceptions=True)
        await asyncio.sleep(0)
        assert begun == ["a", "b", "c"]
        asking["a"].cancel()  # Its client has gone.
        await asyncio.gather(asking["a"], return_exceptions=True)
        await asyncio.sleep(0)
        assert begun == ["a", "b", "c", "d"]
        held["c"].set()
        held["d"].set()
        await asyncio.gather(asking["c"], asking["d"])

    asyncio.run(scene())


def test_other_paths_do_not_wait() -> None:
    async def scene() -> list[str]:
        begun: list[str] = []

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            begun.append(scope["path"])
            await asyncio.sleep(3600)

        serve = queue_requests(application, paths=PATHS, max_concurrent=1, max_wait=60)
        paths = ["/questions", "/questions", "/questions/1", "/documents"]
        asking = [asyncio.ensure_future(serve({"method": "POST", "path": path}, UNUSED, UNUSED)) for path in paths]
        await asyncio.sleep(0)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        return begun

    assert asyncio.run(scene()) == ["/questions", "/questions/1", "/documents"]


def test_a_request_passes_after_the_maximum_wait() -> None:
    async def scene() -> None:
        begun = 0
        all_of_them = asyncio.Event()

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            nonlocal begun
            begun += 1
            if begun == 3:
                all_of_them.set()
            await all_of_them.wait()

        serve = queue_requests(application, paths=PATHS, max_concurrent=1, max_wait=60)
        await asyncio.gather(*(serve({"method": "POST", "path": "/questions"}, UNUSED, UNUSED) for _ in range(3)))

    run_without_waiting(scene())


def test_a_request_waits_while_the_queue_moves() -> None:
    """Each of ten takes a fifth of the patience: the last one waits longer than that, and no request passes another."""
    patience = 1.0

    async def scene() -> tuple[int, list[int]]:
        ended: list[int] = []
        working = highest = 0

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            nonlocal working, highest
            working += 1
            highest = max(highest, working)
            await asyncio.sleep(patience / 5)
            working -= 1
            ended.append(scope["number"])

        serve = queue_requests(application, paths=PATHS, max_concurrent=1, max_wait=patience)
        await asyncio.gather(
            *(serve({"method": "POST", "path": "/questions", "number": number}, UNUSED, UNUSED) for number in range(10))
        )
        return highest, ended

    assert run_without_waiting(scene()) == (1, list(range(10)))
