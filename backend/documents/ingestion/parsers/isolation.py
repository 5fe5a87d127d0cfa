"""What keeps a parser that a file has taken over from everything else.

``isolate`` is called once, in the process that takes the jobs, after all imports and before any file. ``restrict`` is
called in the fork for one file, before the first byte of it is read. Each layer is used where this machine has it.
"""

import contextlib
import ctypes
import errno
import os
import resource
import signal
from collections.abc import Callable

from . import seccomp
from .kernel import (
    LINUX,
    PR_CAP_AMBIENT,
    PR_CAP_AMBIENT_CLEAR_ALL,
    PR_CAPBSET_DROP,
    PR_SET_DUMPABLE,
    PR_SET_NO_NEW_PRIVS,
    PR_SET_PDEATHSIG,
    call,
    prctl,
)

_HIGHEST_DESCRIPTOR = 256  # The process that takes the jobs has a handful.
_CAPABILITY_VERSION_3 = 0x20080522
_SPARE_CPU_SECONDS = 2  # Beyond the limit that is moved from page to page, so that this one ends only who moved it.
_NOTHING_OF = ("CORE", "FSIZE", "NPROC", "MEMLOCK", "MSGQUEUE")


def isolate() -> dict[str, str]:
    """Give up what no parser needs, for this process and all that it forks.

    :return: the layers by name: empty where one holds, else why it does not.
    """
    os.chdir("/")
    layers = {
        "no_new_privs": _attempt(_gain_nothing),
        "no_capabilities": _attempt(_drop_capabilities),
        "seccomp": _attempt(seccomp.check_available),  # The filter itself follows in ``restrict``.
    }
    with contextlib.suppress(OSError):  # Last, since a change of credentials resets it.
        prctl(PR_SET_DUMPABLE, 0)
    return layers


def restrict(*, memory_bytes: int, cpu_seconds: int, filtered: bool) -> None:
    """Bound this process, which reads one file.

    :param filtered: whether this machine has filters of system calls.
    :raises OSError: it has none after all.
    """
    # The limit of processes counts those of the same user, whom we may share; at 0 it forbids any more of ours.
    for name in _NOTHING_OF:
        _limit(f"RLIMIT_{name}", 0)
    _limit("RLIMIT_NOFILE", 64)
    _limit("RLIMIT_AS", memory_bytes)
    _limit("RLIMIT_CPU", cpu_seconds + _SPARE_CPU_SECONDS)
    if filtered:
        seccomp.allow_reading_only()


def die_with(parent: int) -> None:
    """End when the parent does. Elsewhere than on Linux, writing to its closed pipe does it."""
    if LINUX:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def close_all_but(*kept: int) -> None:
    """Close every descriptor above the three standard ones but for these."""
    start = 3
    for descriptor in (*sorted(kept), _HIGHEST_DESCRIPTOR):
        os.closerange(start, descriptor)
        start = descriptor + 1


def _attempt(layer: Callable[[], None]) -> str:
    try:
        layer()
    except OSError as error:
        return str(error)
    return ""


def _gain_nothing() -> None:
    """No program that we could start would have more rights than we: no set-user-id, no file capabilities."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def _drop_capabilities() -> None:
    with contextlib.suppress(PermissionError):  # Whoever may not shrink the bounding set has none; see above.
        for capability in range(64):
            try:
                prctl(PR_CAPBSET_DROP, capability)
            except OSError as error:
                if error.errno == errno.EINVAL:  # The kernel knows no more.
                    break
                raise
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    call("capset", header, (ctypes.c_uint32 * 6)())


def _limit(name: str, size: int) -> None:
    number = getattr(resource, name, None)  # Not every system knows every limit.
    if number is not None:
        with contextlib.suppress(ValueError, OSError):  # macOS knows that of memory and refuses it.
            resource.setrlimit(number, (size, size))
