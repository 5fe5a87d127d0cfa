"""Periodic work over many rows, in which the failure of one row does not stop the others."""

import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

logger = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")


def each(items: Iterable[T], work: Callable[[T], R], *, name: str) -> list[R]:
    """Call ``work`` with each item. Logs each failure as ``<name>_failed`` and goes on. Returns the results.

    A caller that takes a limited batch of items should select it in random order: otherwise items that always fail
    would fill every batch.
    """
    results = []
    for item in list(items):
        try:
            results.append(work(item))
        except Exception:
            logger.exception("%s_failed item=%s", name, item)
    return results
