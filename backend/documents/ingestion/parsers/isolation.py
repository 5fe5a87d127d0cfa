"""Isolates the parser process, because a malicious file may take control of its parser.

``isolate`` is called once, in the process that receives the jobs, after all imports and before any file. ``restrict``
is called in the fork for one file, before its first byte is read. Each layer is used where the machine supports it.
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

_MAX_DESCRIPTOR = 256  # The process that receives the jobs has a handful.
_CAPABILITY_VERSION_3 = 0x20080522
# Above the soft limit, which is raised for each page. Only a parser that raises it by itself reaches this one.
_SPARE_CPU_SECONDS = 2
_NOTHING_OF = ("CORE", "FSIZE", "NPROC", "MEMLOCK", "MSGQUEUE")


def isolate(users: Sequence[int]) -> dict[str, str]:
    """Drop what no parser needs, for this process and its forks. It may return in a fork of the caller.

    :param users: user ids to become if started as root: the first that is available.
    :return: the layers by name: empty where one holds, else why it does not.
    """
    os.chdir("/")
    layers = {
        "no_new_privs": _attempt(_gain_nothing),
        **namespaces.separate(users),
        "no_capabilities": _attempt(_drop_capabilities),
        "seccomp": _attempt(seccomp.check_available),  # Here both are only checked; ``restrict`` applies them.
        "landlock": _attempt(landlock.check_available),
    }
    with contextlib.suppress(OSError):  # Last, since a change of credentials resets it.
        prctl(PR_SET_DUMPABLE, 0)
    if not layers["namespaces"]:
        _become_first_of_all()
    return layers


def restrict(layers: Mapping[str, str], *, memory_bytes: int, cpu_seconds: int) -> None:
    """Restrict this process, which reads one file.

    :param layers: the result of ``isolate``.
    :raises OSError: an available layer cannot be applied.
    """
    if not layers["landlock"]:
        landlock.give_up_everything()
    # The limit of processes counts all of the same user, who may have others; 0 forbids this one to start any.
    for name in _NOTHING_OF:
        _limit(f"RLIMIT_{name}", 0)
    _limit("RLIMIT_NOFILE", 64)
    _limit("RLIMIT_AS", memory_bytes)
    _limit("RLIMIT_CPU", cpu_seconds + _SPARE_CPU_SECONDS)
    if not layers["seccomp"]:
        seccomp.allow_reading_only()


def die_with(parent: int) -> None:
    """End with the parent process. On other systems than Linux, writing to its closed pipe ends this one."""
    if LINUX:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def close_all_but(*kept: int) -> None:
    """Close every descriptor except the three standard ones and these."""
    start = 3
    for descriptor in (*sorted(kept), _MAX_DESCRIPTOR):
        os.closerange(start, descriptor)
        start = descriptor + 1


def _become_first_of_all() -> None:
    """Continue as the first process of the process namespace; when it ends, the kernel ends all others in it. The
    process whose id the worker has waits for it here.
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
    """Forbid programs with more rights than this process: no set-user-id, no file capabilities."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def _drop_capabilities() -> None:
    # A process that may not shrink the bounding set has no capabilities; see above.
    with contextlib.suppress(PermissionError):
        for capability in range(64):
            try:
                prctl(PR_CAPBSET_DROP, capability)
            except OSError as error:
                if error.errno == errno.EINVAL:  # The kernel has no further capabilities.
                    break
                raise
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    call("capset", header, (ctypes.c_uint32 * 6)())


def _limit(name: str, size: int) -> None:
    number = getattr(resource, name, None)  # Not every system has every limit.
    if number is not None:
        with contextlib.suppress(ValueError, OSError):  # macOS has a limit of memory and refuses to set it.
            resource.setrlimit(number, (size, size))
