"""Hides the memory and the environment of a process from other processes of the same user."""

import ctypes
import platform

_PR_SET_DUMPABLE = 4


def hide_from_other_processes() -> None:
    """Forbid other processes of the same user to read this one's environment or memory, or to trace it. Linux only.

    Also disables core files. Processes that it forks inherit this; programs that it starts do not.
    """
    if platform.system() == "Linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
