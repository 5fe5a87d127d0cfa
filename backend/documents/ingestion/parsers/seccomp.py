"""The system calls that a process that reads a file may make; the kernel refuses every other one with EPERM.

They read and write open descriptors and manage the process's own memory. None opens a file or a socket, starts a
process or a thread, runs a program, or affects another process. The filter is written for the kernel's own machine of
the classic Berkeley packet filter (``linux/seccomp.h``), since no library for it comes with Python.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Iterator

from .kernel import MACHINE, PR_SET_SECCOMP, prctl

_MODE_FILTER = 2
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # AUDIT_ARCH_…
_KILL_PROCESS, _ERRNO, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_LOAD, _AND, _EQUAL, _RETURN = 0x20, 0x54, 0x15, 0x06  # BPF_LD|W|ABS, BPF_ALU|AND|K, BPF_JMP|JEQ|K, BPF_RET|K
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # Offsets in struct seccomp_data; an argument takes eight bytes.

# Numbers on x86_64 and aarch64, -1 if there is no such call. Frequent calls first.
_ALWAYS = {
    "read": (0, 63),
    "write": (1, 64),
    "lseek": (8, 62),
    "pread64": (17, 67),
    "readv": (19, 65),
    "brk": (12, 214),
    "munmap": (11, 215),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "futex": (202, 98),
    "getrusage": (98, 165),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101),
    "gettimeofday": (96, 169),
    "time": (201, -1),
    "times": (100, 153),
    "getrandom": (318, 278),
    "fstat": (5, 80),
    "close": (3, 57),
    "dup": (32, 23),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "getppid": (110, 173),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "sysinfo": (99, 179),
    "uname": (63, 160),
    "rseq": (334, 293),
    "set_robust_list": (273, 99),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "getrlimit": (97, 163),
    "setrlimit": (160, 164),
    "exit": (60, 93),
    "exit_group": (231, 94),
}
_PROT_EXEC = 0x4
_AT_EMPTY_PATH = 0x1000
_F_DUPFD, _F_GETFD, _F_SETFD, _F_GETFL, _F_DUPFD_CLOEXEC = 0, 1, 2, 3, 1030

# Calls with one argument that decides: numbers, which argument, the bits of it that count, and their allowed values.
_Condition = tuple[tuple[int, int], int, int, tuple[int, ...]]
_ALL = 0xFFFFFFFF


def _conditions() -> dict[str, _Condition]:
    return {
        "mmap": ((9, 222), 2, _PROT_EXEC, (0,)),
        "mprotect": ((10, 226), 2, _PROT_EXEC, (0,)),
        "newfstatat": ((262, 79), 3, _AT_EMPTY_PATH, (_AT_EMPTY_PATH,)),  # How some C libraries spell fstat.
        "fcntl": ((72, 25), 1, _ALL, (_F_GETFD, _F_SETFD, _F_GETFL, _F_DUPFD, _F_DUPFD_CLOEXEC)),
        "prlimit64": ((302, 261), 0, _ALL, (0,)),  # The limits of the process itself.
        "tgkill": ((234, 131), 0, _ALL, (os.getpid(),)),  # abort() uses it.
    }


def check_available() -> None:
    """:raises OSError: the kernel has no such filters, or the numbers of the machine's calls are not listed."""
    if MACHINE not in _ARCHITECTURES:
        raise OSError(f"the system calls of {MACHINE} are not listed")
    try:
        prctl(PR_SET_SECCOMP, _MODE_FILTER, None)
    except OSError as error:
        if error.errno != errno.EFAULT:  # EFAULT: the kernel tried to read the missing filter, so it supports filters.
            raise


def allow_reading_only() -> None:
    """Refuse all system calls of this process from now on except those in the tables. It needs ``no_new_privs``.

    :raises OSError: the kernel does not accept the filter.
    """
    program = b"".join(_program())
    code = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("HP", len(program) // 8, ctypes.addressof(code))  # struct sock_fprog
    prctl(PR_SET_SECCOMP, _MODE_FILTER, ctypes.create_string_buffer(described, len(described)))


def _program() -> Iterator[bytes]:
    column = list(_ARCHITECTURES).index(MACHINE)
    yield _instruction(_LOAD, _ARCHITECTURE)
    yield _instruction(_EQUAL, _ARCHITECTURES[MACHINE], 1, 0)
    yield _instruction(_RETURN, _KILL_PROCESS)  # 32-bit calls have other numbers.
    yield _instruction(_LOAD, _NUMBER)
    for numbers, argument, bits, values in _conditions().values():
        checks = [
            _instruction(_LOAD, _ARGUMENTS + 8 * argument),
            _instruction(_AND, bits),
            *(_instruction(_EQUAL, value, len(values) - index, 0) for index, value in enumerate(values)),
            _instruction(_RETURN, _ERRNO | errno.EPERM),
            _instruction(_RETURN, _ALLOW),
        ]
        yield _instruction(_EQUAL, numbers[column], 0, len(checks))
        yield from checks
    for each in _ALWAYS.values():
        if each[column] >= 0:
            yield _instruction(_EQUAL, each[column], 0, 1)
            yield _instruction(_RETURN, _ALLOW)
    yield _instruction(_RETURN, _ERRNO | errno.EPERM)


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """struct sock_filter. Jumps count the instructions that are skipped."""
    return struct.pack("HBBI", code, if_true, if_false, value)
