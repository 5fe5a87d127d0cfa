"""Limits on what happens at the same time, counted in Redis."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any
from unittest import mock

import pytest
from django.http import StreamingHttpResponse
from redis.exceptions import ConnectionError as RedisConnectionError

from backend.db.redis import client, close_async_client
from backend.http import concurrency
from backend.http.concurrency import hold_slot, hold_slot_async, hold_slot_while_sent
from backend.http.limits import RateLimited


def take(subject: str = "account:1", *, policy: str = "uploads", limit: int = 2, seconds: float = 60) -> Any:
    return hold_slot(policy, subject, limit=limit, seconds=seconds)


def test_slots_run_out_and_are_freed() -> None:
    with take(), take():
        with pytest.raises(RateLimited) as refused, take():
            pass
        assert refused.value.extra["headers"]["Retry-After"] == "2"
    with take():
        assert client().keys("held:*") != []
    assert client().keys("held:*") == []


def test_subjects_and_policies_count_apart() -> None:
    with take(), take(), take("account:2"), take(policy="downloads"):
        pass


def test_a_slot_is_freed_after_an_error() -> None:
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), take(limit=1):
            raise ZeroDivisionError


def test_two_concurrent_requests_never_share_a_slot() -> None:
    with ExitStack() as stack, ThreadPoolExecutor(16) as threads:

        def attempt(_: int) -> bool:
            try:
                stack.enter_context(take(limit=5))
            except RateLimited:
                return False
            return True

        assert sum(threads.map(attempt, range(40))) == 5


def expire(key: Any) -> None:
    """As if the lease of every holder had ended, their process having been killed."""
    holders: Any = client().zrange(key, 0, -1)
    for holder in holders:
        client().zadd(key, {holder: 1})


def test_the_slots_of_a_killed_process_expire() -> None:
    with take(limit=1):
        [key] = client().keys("held:*")
        assert 50_000 < client().pttl(key) <= 60_000
        expire(key)
        with take(limit=1):
            pass


def test_no_personal_data_is_stored() -> None:
    with take("ana@example.com"):
        [key] = client().keys("held:*")
        assert b"ana" not in key


def test_without_redis_requests_pass_unless_the_count_is_required() -> None:
    with mock.patch.object(concurrency, "client", side_effect=RedisConnectionError("gone")):
        with take():
            pass
        with pytest.raises(RedisConnectionError), hold_slot("pages", "wsp", limit=1, seconds=1, required=True):
            pass


def test_an_event_loop_counts_with_the_threads() -> None:
    async def scene() -> None:
        try:
            async with hold_slot_async("streams", "account:1", limit=2, seconds=60):
                with hold_slot("streams", "account:1", limit=2, seconds=60), pytest.raises(RateLimited):
                    async with hold_slot_async("streams", "account:1", limit=2, seconds=60):
                        pass
        finally:
            await close_async_client()

    asyncio.run(scene())
    assert client().keys("held:*") == []


def test_a_long_hold_renews_its_lease() -> None:
    async def scene() -> None:
        try:
            async with hold_slot_async("streams", "account:1", limit=1, seconds=0.3):
                [key] = client().keys("held:*")
                expire(key)
                async with asyncio.timeout(10):
                    while client().zcount(key, 2, "+inf") == 0:  # noqa: ASYNC110  # Redis signals nothing.
                        await asyncio.sleep(0.02)
        finally:
            await close_async_client()

    asyncio.run(scene())


def test_a_cancelled_holder_frees_its_slot() -> None:
    async def scene() -> None:
        async def stream() -> None:
            async with hold_slot_async("streams", "account:1", limit=1, seconds=60):
                entered.set()
                await asyncio.sleep(3600)

        entered = asyncio.Event()
        streaming = asyncio.ensure_future(stream())
        try:
            await entered.wait()
            streaming.cancel()
            await asyncio.gather(streaming, return_exceptions=True)
            assert client().keys("held:*") == []
        finally:
            await close_async_client()

    asyncio.run(scene())


def test_a_response_keeps_its_slot_until_it_is_sent() -> None:
    def answer() -> StreamingHttpResponse:
        blocks = StreamingHttpResponse(iter([b"a", b"b"]))
        return hold_slot_while_sent(blocks, "downloads", "account:1", limit=1)

    first = answer()
    assert next(iter(first)) == b"a"
    with pytest.raises(RateLimited):
        answer()
    for close in first._resource_closers:  # type: ignore[attr-defined]  # As its end does, but for the signal.
        close()
    assert b"".join(iter(answer())) == b"ab"
