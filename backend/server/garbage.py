"""Python's collector of reference cycles, for processes that load much once and then answer small requests."""

import gc
from typing import Any

from celery import bootsteps

# So many new objects, and the youngest are looked through. With CPython's 700 a fifteenth more processor time went into
# each question that an agent answers.
THRESHOLDS = (20_000, 10, 10)


def spare_what_is_loaded() -> None:
    """Leave all that exists out of later collections: it stays anyway, and its memory stays shared after a fork."""
    gc.collect()
    gc.freeze()


def collect_seldom() -> None:
    gc.set_threshold(*THRESHOLDS)
    gc.enable()


class Collector(bootsteps.Step):
    """A step of the worker, done before its pool forks: the processes of the pool inherit both."""

    def create(self, parent: Any) -> None:
        spare_what_is_loaded()
        collect_seldom()
