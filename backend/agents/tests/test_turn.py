"""Few runs at a time are on their way to their first request, and a place is always given back."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from backend.agents.runs import admission
from backend.agents.runs.admission import Turn


def test_who_comes_next_waits_until_one_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "PATIENCE", 60)
    inside = threading.Event()

    def enter() -> None:
        with Turn():
            inside.set()

    with ExitStack() as others, ThreadPoolExecutor(1) as pool:
        first, *_ = [others.enter_context(Turn()) for _ in range(admission.AT_ONCE)]
        entering = pool.submit(enter)
        assert not inside.wait(0.1)
        first.end()
        entering.result(10)
        assert inside.is_set()


def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "PATIENCE", 0.01)
    with ExitStack() as held:
        for _ in range(admission.AT_ONCE + 1):
            held.enter_context(Turn())


def test_a_place_is_given_back_once_whatever_happens() -> None:
    def break_off(*, ended: int) -> None:
        with Turn() as mine:
            for _ in range(ended):
                mine.end()
            raise ZeroDivisionError

    for ended in (0, 1, 2):
        with pytest.raises(ZeroDivisionError):
            break_off(ended=ended)
    free = [admission._turns.acquire(blocking=False) for _ in range(admission.AT_ONCE + 1)]
    admission._turns.release(admission.AT_ONCE)
    assert free == [True] * admission.AT_ONCE + [False]
