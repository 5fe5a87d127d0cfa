"""Sweeps over many rows, each of which may go wrong by itself."""

import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

logger = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")


def each(items: Iterable[T], work: Callable[[T], R], *, name: str) -> list[R]:
    """Do the work for each item; what fails is logged as ``<name>_failed`` and holds up no other. Returns the results.

    A sweep of a limited batch takes it in random order, so that items that always fail do not fill it each time.
    """
    results = []
    for item in list(items):
        try:
            results.append(work(item))
        except Exception:
            logger.exception("%s_failed item=%s", name, item)
    return results
