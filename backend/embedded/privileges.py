"""Runs PostgreSQL as an unprivileged account, since it refuses to run as root."""

import ctypes
import os
import platform
import pwd
import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Account:
    """An operating-system account that child processes run as."""

    uid: int
    gid: int


def unprivileged(cluster: Path | None = None) -> Account | None:
    """The account for PostgreSQL: None if the launcher is not root; else the owner of an existing cluster, or
    ``nobody``.
    """
    if os.geteuid() != 0:
        return None
    if cluster is not None and cluster.exists() and (state := cluster.stat()).st_uid != 0:
        return Account(state.st_uid, state.st_gid)
    entry = pwd.getpwnam("nobody")
    return Account(entry.pw_uid, entry.pw_gid)


def own(path: Path, account: Account | None) -> None:
    """Give one file or folder (not what is in it) to the account."""
    if account is not None:
        os.chown(path, account.uid, account.gid)


def reaches(folder: Path, account: Account | None) -> bool:
    """Whether the account may enter the folder, or the nearest one above it that exists, and all folders above."""
    if account is None:
        return True
    existing = next(place for place in (folder, *folder.parents) if place.exists()).resolve()
    for place in (existing, *existing.parents):
        state = place.stat()
        bit = 0o100 if state.st_uid == account.uid else 0o010 if state.st_gid == account.gid else 0o001
        if not state.st_mode & bit:
            return False
    return True


def popen_options(account: Account | None) -> dict[str, Any]:
    """Keyword arguments of ``subprocess.Popen`` that run a child as the account."""
    if account is None:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}


def run_as(account: Account | None, command: Sequence[str], *, timeout: float, stdin: str = "") -> None:
    """Run a command to its end as the account.

    :raises RuntimeError: it failed; the message contains its output.
    """
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd="/",
        check=False,
        input=stdin,
        env={"PATH": os.defpath, "LC_ALL": "C"},
        **popen_options(account),
    )
    if done.returncode != 0:
        raise RuntimeError(f"{Path(command[0]).name} failed: {(done.stderr or done.stdout).strip()}")


def end_with_launcher(number: signal.Signals) -> Callable[[], None]:
    """For ``preexec_fn``: the child receives signals again that the launcher may ignore (as a
    shell does in the background), and on Linux gets this one when we die, however we die.
    """
    libc, parent = ctypes.CDLL(None) if platform.system() == "Linux" else None, os.getpid()

    def prepare() -> None:
        for each in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD):
            signal.signal(each, signal.SIG_DFL)
        if libc is not None:
            libc.prctl(PR_SET_PDEATHSIG, int(number))
            if os.getppid() != parent:  # The launcher died before the child could register.
                os._exit(1)

    return prepare
