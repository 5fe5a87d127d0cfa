"""Another user, and namespaces of one's own: no network, no other processes, no files."""

import os
from collections.abc import Sequence

from .kernel import call, system_call

_NEWNS, _NEWUTS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
_OWN = _NEWNS | _NEWUTS | _NEWIPC | _NEWPID | _NEWNET
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REC, _MS_PRIVATE = 1, 2, 4, 8, 0x4000, 0x40000
_MNT_DETACH = 2
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}


def separate(users: Sequence[int]) -> dict[str, str]:
    """Become another user if we are root, and enter namespaces; the next fork is the first process of its own.

    Root may enter them at once. Anybody else needs a user namespace with it, which some systems forbid.

    :param users: ids of which to take the first that can be had.
    :return: the layers, empty where one holds, else why it does not.
    """
    layers = {"namespaces": _enter(_OWN)}
    layers["other_user"] = _change_user(users)
    if layers["namespaces"]:
        layers["namespaces"] = _enter(_NEWUSER | _OWN)
    return layers


def _enter(spaces: int) -> str:
    try:
        call("unshare", spaces)
        _leave_all_files()
    except OSError as error:
        return str(error)
    return ""


def _leave_all_files() -> None:
    """Let the root of all paths be an empty folder that cannot be written to."""
    call("mount", b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)  # What follows happens in this namespace alone.
    flags = _MS_RDONLY | _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    call("mount", b"none", b"/proc", b"tmpfs", flags, b"size=4k,nr_inodes=2,mode=555")  # A folder that is everywhere.
    os.chdir("/proc")
    try:
        system_call(_PIVOT_ROOT, b".", b".")
        call("umount2", b".", _MNT_DETACH)
    except OSError:  # The root is no mount of its own, as in a chroot.
        os.chroot(".")
    os.chdir("/")


def _change_user(users: Sequence[int]) -> str:
    if os.geteuid() != 0:
        return "not started as root"
    why = "no user to become"
    for user in users:
        try:
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
        except OSError as error:  # A user namespace around us may know no ids as high as that.
            why = str(error)
        else:
            return ""
    return why
