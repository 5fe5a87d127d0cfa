"""The data folder: checks that it is writable, locks it, and finds a place for PostgreSQL's cluster."""

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from backend.embedded import keys
from backend.embedded.options import LauncherError
from backend.embedded.privileges import Account, own, reaches, unprivileged

NEEDED_MB = 300
MAX_SOCKET_PATH = 100  # Bytes; systems allow 104 to 108.
OUTSIDE = (Path("/var/lib"), Path("/var/tmp"))


@dataclass(frozen=True, slots=True)
class Folders:
    """:ivar instance: identifies this data folder in places outside of it.
    :ivar place: what holds PostgreSQL's cluster: the data folder, or one outside that its account can reach.
    :ivar sockets: where PostgreSQL and Redis listen; only their owner may enter.
    """

    root: Path
    instance: str
    account: Account | None
    place: Path
    sockets: Path

    @property
    def cluster(self) -> Path:
        return self.place / "postgres"


def open_data(root: Path) -> None:
    """Create the folder and those in it.

    :raises LauncherError: it cannot be written, or its disk is full.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        for name, mode in {"log": 0o755, "run": 0o700, "secrets": 0o700, "redis": 0o700, "files": 0o700}.items():
            (root / name).mkdir(mode=mode, exist_ok=True)
        probe = root / "run" / "probe"
        with probe.open("wb") as file:
            file.write(bytes(1024 * 1024))
            file.flush()
            os.fsync(file.fileno())
        probe.unlink()
        free = shutil.disk_usage(root).free // 2**20
    except OSError as error:
        raise LauncherError(f"DATA_DIR {root} cannot be written: {error.strerror or error}") from error
    if free < NEEDED_MB:
        raise LauncherError(f"The disk of DATA_DIR {root} is full: {free} MB free, {NEEDED_MB} MB needed")


def lock(folder: Path, data_dir: Path, *, wait: Callable[[float], None]) -> TextIO:
    """Lock the folder, by a file in it, for this process; the lock ends with the process, however it ends.

    :param data_dir: how to call the folder in a message.
    :param wait: called while a launcher that is just stopping still holds it.
    :raises LauncherError: another launcher has it.
    """
    file = (folder / "launcher.lock").open("a+")
    deadline = time.monotonic() + 2
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            file.seek(0)
            pid, _, state = file.read().partition(" ")
            if time.monotonic() > deadline + (10 if state == "stopping" else 0):
                used = f"DATA_DIR {data_dir} is in use by another Orquestra (process {pid})"
                raise LauncherError(f"{used}: stop it, or choose another DATA_DIR") from None
            wait(0.1)
    mark(file, "")
    return file


def mark(file: TextIO, state: str) -> None:
    """Write into the lock file which process holds it and what it is doing."""
    with suppress(OSError):  # The lock counts, not the contents of the file.
        file.seek(0)
        file.truncate()
        file.write(f"{os.getpid()} {state}".strip())
        file.flush()


def lay_out(root: Path) -> Folders:
    """Find a place for PostgreSQL that its account can reach.

    :raises LauncherError: there is none.
    """
    instance = keys.token(root / "secrets", "instance")
    place = root
    if os.geteuid() == 0:
        outside = [folder / "orquestra" / instance for folder in OUTSIDE]
        place = next((folder for folder in outside if folder.exists()), root)
        if place == root and not reaches(root, unprivileged(root / "postgres")):
            place = _make_outside(outside, root)
    account = unprivileged(place / "postgres")
    return Folders(root, instance, account, place, _sockets(place, instance, account))


def _make_outside(candidates: list[Path], root: Path) -> Path:
    for folder in candidates:
        try:
            folder.mkdir(parents=True, mode=0o755)
            folder.parent.chmod(0o755)
            folder.chmod(0o755)
            (folder / "belongs-to").write_text(f"{root}\n")
        except OSError:
            continue
        if reaches(folder, unprivileged()):
            return folder
    raise LauncherError(
        f"PostgreSQL does not run as root, and an ordinary account cannot reach {root}: choose another DATA_DIR"
    )


def _sockets(place: Path, instance: str, account: Account | None) -> Path:
    """A folder for sockets: beside the cluster if that path is short and simple enough, else below /tmp."""
    folder = place / "sockets"
    plain = not set(str(folder)) & set("\"'\\,")
    if len(os.fsencode(folder)) + len("/.s.PGSQL.5432.lock") > MAX_SOCKET_PATH or not plain:
        folder = Path("/tmp") / f"orquestra-{instance}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if os.geteuid() == 0:
        own(folder, account)
    state = folder.lstat()
    if folder.is_symlink() or state.st_uid != (account.uid if account else os.geteuid()):
        raise LauncherError(f"{folder} belongs to somebody else; remove it or choose another DATA_DIR")
    folder.chmod(0o700)
    return folder


def fingerprint(source: Path, *also: str) -> str:
    """A digest of all inputs of the preparation of a database."""
    seen = hashlib.sha256("\0".join(also).encode())
    files = [
        source / "requirements.txt",
        source / "backend" / "settings.py",
        source / "backend" / "embedded" / "prepare.py",
    ]
    for pattern in ("*/migrations/*", "*/demo/**/*", "*/*.sql", "*/roles.py"):
        files += (source / "backend").glob(pattern)
    for file in sorted(file for file in files if file.is_file() and file.suffix != ".pyc"):
        seen.update(f"{file.relative_to(source)} ".encode() + hashlib.sha256(file.read_bytes()).digest())
    return seen.hexdigest()
