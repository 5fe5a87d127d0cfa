"""Few runs at a time are on their way to their first request, and a place is always given back."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from backend.agents.runs import worker
from backend.agents.runs.worker import StartSlot


def test_the_next_thread_waits_until_one_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "MAX_WAIT_SECONDS", 60)
    inside = threading.Event()

    def enter() -> None:
        with StartSlot():
            inside.set()

    with ExitStack() as others, ThreadPoolExecutor(1) as pool:
        first, *_ = [others.enter_context(StartSlot()) for _ in range(worker.MAX_AT_ONCE)]
        entering = pool.submit(enter)
        assert not inside.wait(0.1)
        first.leave()
        entering.result(10)
        assert inside.is_set()


def test_no_thread_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "MAX_WAIT_SECONDS", 0.01)
    with ExitStack() as held:
        for _ in range(worker.MAX_AT_ONCE + 1):
            held.enter_context(StartSlot())


def test_a_place_is_given_back_once_whatever_happens() -> None:
    def break_off(*, left: int) -> None:
        with StartSlot() as mine:
            for _ in range(left):
                mine.leave()
            raise ZeroDivisionError

    for left in (0, 1, 2):
        with pytest.raises(ZeroDivisionError):
            break_off(left=left)
    free = [worker._start_slots.acquire(blocking=False) for _ in range(worker.MAX_AT_ONCE + 1)]
    worker._start_slots.release(worker.MAX_AT_ONCE)
    assert free == [True] * worker.MAX_AT_ONCE + [False]
