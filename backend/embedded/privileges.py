"""PostgreSQL refuses to run as root: there, its processes and its folder belong to an ordinary account."""

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Account:
    """An operating-system account that child processes run as."""

    name: str
    uid: int
    gid: int


def unprivileged() -> Account | None:
    """The account to drop to: ``nobody`` when we are root, none when we are already ordinary."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def own(path: Path, account: Account | None) -> None:
    """Give one file or folder (not what is in it) to the account."""
    if account is not None:
        os.chown(path, account.uid, account.gid)


def popen_options(account: Account | None) -> dict[str, object]:
    """Keyword arguments of ``subprocess.Popen`` that run a child as the account."""
    if account is None:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}


def run_as(account: Account | None, command: Sequence[str], *, timeout: float) -> None:
    """Run a command to its end as the account.

    :raises RuntimeError: it failed; the message carries what it printed.
    """
    done = subprocess.run(  # type: ignore[call-overload]  # The options are keywords of Popen.
        command, capture_output=True, text=True, timeout=timeout, cwd="/", check=False, **popen_options(account)
    )
    if done.returncode != 0:
        raise RuntimeError(f"{Path(command[0]).name} failed: {(done.stderr or done.stdout).strip()}")
