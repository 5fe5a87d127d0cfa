"""Changes the user and enters new namespaces: without network, other processes and files."""

import os
from collections.abc import Sequence

from .kernel import call, system_call

_NEWNS, _NEWUTS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
_OWN = _NEWNS | _NEWUTS | _NEWIPC | _NEWPID | _NEWNET
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REC, _MS_PRIVATE = 1, 2, 4, 8, 0x4000, 0x40000
_MNT_DETACH = 2
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}


def separate(users: Sequence[int]) -> dict[str, str]:
    """Change to another user if started as root, and enter namespaces. The next fork is the first process of its own.

    Root may enter them directly. Other users need a user namespace as well, which some systems forbid.

    :param users: ids, of which the first available one is used.
    :return: the layers: empty where one holds, else why it does not.
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
    """Make an empty read-only folder the root of the file system."""
    # The following mounts are visible in this namespace only.
    call("mount", b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)
    flags = _MS_RDONLY | _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    # A folder that every system has.
    call("mount", b"none", b"/proc", b"tmpfs", flags, b"size=4k,nr_inodes=2,mode=555")
    os.chdir("/proc")
    try:
        system_call(_PIVOT_ROOT, b".", b".")
        call("umount2", b".", _MNT_DETACH)
    except OSError:  # The root is not a mount point, as in a chroot.
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
        except OSError as error:  # An outer user namespace may not map ids as high as that.
            why = str(error)
        else:
            return ""
    return why
