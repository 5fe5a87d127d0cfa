"""Landlock: a process gives up files, TCP, abstract sockets and signals to others, for good."""

import ctypes
import os
import struct

from .kernel import system_call

_CREATE_RULESET = {"x86_64": 444, "aarch64": 444}
_RESTRICT_SELF = {"x86_64": 446, "aarch64": 446}
_VERSION = 1  # The flag that asks for the version instead.
# Kinds of access that a version knows: to files (one bit each), to TCP ports, and beyond the own domain.
_FILES = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_TCP_SINCE, _TCP = 4, 0b11
_SCOPED_SINCE, _SCOPED = 6, 0b11


def check_available() -> None:
    """:raises OSError: this machine has none."""
    _version()


def give_up_everything() -> None:
    """From here on this process opens no file and reaches nothing outside; it needs ``no_new_privs``.

    :raises OSError: this machine has no Landlock.
    """
    version = _version()
    handled = struct.pack("Q", (1 << _FILES.get(version, max(_FILES.values()))) - 1)
    if version >= _TCP_SINCE:
        handled += struct.pack("Q", _TCP)
    if version >= _SCOPED_SINCE:
        handled += struct.pack("Q", _SCOPED)
    ruleset = system_call(_CREATE_RULESET, ctypes.create_string_buffer(handled, len(handled)), len(handled), 0)
    try:
        system_call(_RESTRICT_SELF, ruleset, 0)  # Without any rule: nothing of what it handles is allowed.
    finally:
        os.close(ruleset)


def _version() -> int:
    return system_call(_CREATE_RULESET, None, 0, _VERSION)
