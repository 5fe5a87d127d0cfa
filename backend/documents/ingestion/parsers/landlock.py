"""Landlock: a process permanently drops access to files, TCP, abstract sockets and signals to other processes."""

import ctypes
import os
import struct

from .kernel import system_call

_CREATE_RULESET = {"x86_64": 444, "aarch64": 444}
_RESTRICT_SELF = {"x86_64": 446, "aarch64": 446}
_VERSION = 1  # The flag that requests the version instead.
# Kinds of access that a version can restrict: to files (one bit each), to TCP ports, and outside of the own domain.
_FILES = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_TCP_SINCE, _TCP = 4, 0b11
_SCOPED_SINCE, _SCOPED = 6, 0b11


def check_available() -> None:
    """:raises OSError: the kernel has no Landlock."""
    _version()


def give_up_everything() -> None:
    """Forbid this process to open files and to reach other processes; it needs ``no_new_privs``.

    :raises OSError: the kernel has no Landlock.
    """
    version = _version()
    handled = struct.pack("Q", (1 << _FILES.get(version, max(_FILES.values()))) - 1)
    if version >= _TCP_SINCE:
        handled += struct.pack("Q", _TCP)
    if version >= _SCOPED_SINCE:
        handled += struct.pack("Q", _SCOPED)
    ruleset = system_call(_CREATE_RULESET, ctypes.create_string_buffer(handled, len(handled)), len(handled), 0)
    try:
        system_call(_RESTRICT_SELF, ruleset, 0)  # Without rules, everything that the ruleset handles is denied.
    finally:
        os.close(ruleset)


def _version() -> int:
    return system_call(_CREATE_RULESET, None, 0, _VERSION)
