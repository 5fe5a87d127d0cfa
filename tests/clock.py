"""An event loop without clocks: where another would wait for a timer, it goes on as if that time had passed."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Selector(selectors.DefaultSelector):
    passed = 0.0  # Seconds that were not waited for.

    def select(self, timeout: float | None = None) -> Any:
        """Advance the time only where nothing is ready."""
        ready = super().select(0 if timeout is not None else None)
        if not ready and timeout is not None:
            self.passed += timeout
        return ready


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._time = _Selector()
        super().__init__(self._time)

    def time(self) -> float:
        return self._time.passed


def run_without_waiting(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work``, which must do nothing outside the loop: its timers expire in their order, however slow the machine.

    Beside threads and sockets this loop is wrong, since it does not wait for them while it has a timer.
    """
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(work)
