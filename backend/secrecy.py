"""Keeps what a process holds from other processes of the same user."""

import ctypes
import platform

_PR_SET_DUMPABLE = 4


def hide_from_other_processes() -> None:
    """No other process of the same user may read this one's environment or memory or trace it; it leaves no core file.

    What it forks is hidden too; a program that it starts is not. Linux only.
    """
    if platform.system() == "Linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
