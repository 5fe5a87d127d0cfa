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
from collections.abc import Callable, Mapping, Sequence

from . import landlock, namespaces, seccomp
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

_MAX_DESCRIPTOR = 256  # The process that takes the jobs has a handful.
_CAPABILITY_VERSION_3 = 0x20080522
_SPARE_CPU_SECONDS = 2  # Beyond the limit that is moved from page to page, so that this one ends only who moved it.
_NOTHING_OF = ("CORE", "FSIZE", "NPROC", "MEMLOCK", "MSGQUEUE")


def isolate(users: Sequence[int]) -> dict[str, str]:
    """Give up what no parser needs, for this process and all that it forks. It may return in a fork of the caller.

    :param users: whom to become, if we are root: the first of these that can be had.
    :return: the layers by name: empty where one holds, else why it does not.
    """
    os.chdir("/")
    layers = {
        "no_new_privs": _attempt(_gain_nothing),
        **namespaces.separate(users),
        "no_capabilities": _attempt(_drop_capabilities),
        "seccomp": _attempt(seccomp.check_available),  # Both are only available here; ``restrict`` uses them.
        "landlock": _attempt(landlock.check_available),
    }
    with contextlib.suppress(OSError):  # Last, since a change of credentials resets it.
        prctl(PR_SET_DUMPABLE, 0)
    if not layers["namespaces"]:
        _become_first_of_all()
    return layers


def restrict(layers: Mapping[str, str], *, memory_bytes: int, cpu_seconds: int) -> None:
    """Bound this process, which reads one file.

    :param layers: what ``isolate`` has found.
    :raises OSError: what is available cannot be had after all.
    """
    if not layers["landlock"]:
        landlock.give_up_everything()
    # The limit of processes counts those of the same user, whom we may share; at 0 it forbids any more of ours.
    for name in _NOTHING_OF:
        _limit(f"RLIMIT_{name}", 0)
    _limit("RLIMIT_NOFILE", 64)
    _limit("RLIMIT_AS", memory_bytes)
    _limit("RLIMIT_CPU", cpu_seconds + _SPARE_CPU_SECONDS)
    if not layers["seccomp"]:
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
    for descriptor in (*sorted(kept), _MAX_DESCRIPTOR):
        os.closerange(start, descriptor)
        start = descriptor + 1


def _become_first_of_all() -> None:
    """Go on as the first process of the namespace of processes; with its end all others in it end. The one that the
    worker knows waits for it here.
    """
    first = os.fork()
    if first == 0:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        return
    os.closerange(0, _MAX_DESCRIPTOR)
    os._exit(os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]) & 0xFF)


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
