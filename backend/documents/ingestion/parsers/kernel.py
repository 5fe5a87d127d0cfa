"""Linux system calls without a function in Python. Each raises OSError if the kernel refuses."""

import ctypes
import os
import platform
import sys
from collections.abc import Mapping
from typing import Any

LINUX = sys.platform == "linux"
MACHINE = platform.machine()

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4

_libc: Any = ctypes.CDLL(None, use_errno=True) if LINUX else None


def prctl(option: int, *arguments: Any) -> None:
    call("prctl", option, *arguments, *([0] * (4 - len(arguments))))


def system_call(numbers: Mapping[str, int], *arguments: Any) -> int:
    """A system call that the C library has no function for.

    :param numbers: its number by machine.
    :raises OSError: it failed, or its number on this machine is not known.
    """
    if MACHINE not in numbers:
        raise OSError(f"the system calls of {MACHINE} are not listed")
    return call("syscall", numbers[MACHINE], *arguments)


def call(name: str, *arguments: Any) -> int:
    """A function of the C library that returns -1 when it fails; its whole numbers are unsigned long.

    :raises OSError: it failed, or the library has no such function.
    """
    function = getattr(_libc, name, None)
    if function is None:
        raise OSError(f"no {name} on this system")
    ctypes.set_errno(0)
    passed = (ctypes.c_ulong(each) if isinstance(each, int) else each for each in arguments)
    result = int(function(*passed))
    if result == -1:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
    return result
