"""Starts the launcher as a person would and watches what it does."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from backend.embedded import identity, postgres
from backend.embedded.privileges import unprivileged
from tests.services import free_port

ROOT = Path(__file__).resolve().parent.parent
CHILDREN = ("web", "agents", "documents", "default", "redis", "postgres")
COPIED = ("backend", "manage.py", "models.toml", ".env.example", "requirements.txt")
ORDINARY = unprivileged()  # Who an ordinary user is when the tests run as root.


def copy_of_the_project(folder: Path) -> Path:
    """The files that the launcher needs, in a folder that the ordinary user may write."""
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("tests", "node_modules"))
        elif (ROOT / name).exists():
            shutil.copy2(ROOT / name, folder / name)
    if ORDINARY:
        postgresql = postgres.reachable_binaries(folder, ORDINARY).parents[2]
        if postgresql.is_relative_to(folder):  # A copy: PostgreSQL refuses programs that its user cannot reach.
            for package in list(postgresql.iterdir()):
                package.rename(folder / package.name)  # Beside the product, where Python finds it first.
            (folder / postgres.PACKAGE / "__init__.py").touch()
        for place in (folder, *folder.rglob("*")):
            os.chown(place, ORDINARY.uid, ORDINARY.gid)
    return folder


def as_ordinary_user(command: list[str]) -> list[str]:
    """Root becomes an ordinary user who may read everything, since this Python may lie where only root can read."""
    if ORDINARY is None:
        return command
    rights = [
        "--inh-caps=-all,+dac_read_search",
        "--ambient-caps=-all,+dac_read_search",
        "--bounding-set=-all,+dac_read_search",
    ]
    return ["setpriv", f"--reuid={ORDINARY.uid}", f"--regid={ORDINARY.gid}", "--clear-groups", *rights, *command]


@dataclass
class Launcher:
    """One launcher with its data folder. ``said`` is the file that its output goes to."""

    project: Path
    data: Path
    said: Path
    port: int = field(default_factory=free_port)
    ordinary: bool = True
    process: "subprocess.Popen[bytes] | None" = None

    def start(self, *, above: Sequence[str] = (), screen: int | None = None, **environment: str) -> None:
        """
        :param above: a program that runs the launcher as a child of its own.
        :param screen: where its output goes, if not to the file.
        """
        command = [*above, sys.executable, "-m", "backend.embedded"]
        self.said.unlink(missing_ok=True)
        with self.said.open("wb") as file:
            self.process = subprocess.Popen(
                as_ordinary_user(command) if self.ordinary else command,
                cwd=self.project,
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": "/nonexistent",
                    "PORT": str(self.port),
                    "DATA_DIR": str(self.data),
                    **environment,
                },
                stdout=file if screen is None else screen,
                stderr=file,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self.said.read_text(errors="replace")

    def wait_until_ready(self, seconds: float = 60) -> None:
        line = f"Orquestra is ready at http://localhost:{self.port}"
        self.wait_for(lambda: line in self.output.splitlines() or self.ended, seconds)
        assert line in self.output.splitlines(), self.output

    def wait_for(self, condition: Callable[[], bool], seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.output
            time.sleep(0.05)

    @property
    def ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def status(self, path: str = "/readyz") -> int:
        """The HTTP status of a path; 0 when no server answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def pid(self, child: str) -> int:
        """The process id in the child's pid file, 0 while there is none."""
        try:
            return int(json.loads((self.data / "run" / f"{child}.json").read_text())["pid"])
        except (OSError, ValueError):
            return 0

    def send(self, child: str, number: signal.Signals) -> int:
        """Send a signal to a child, and return its process id."""
        pid = self.pid(child)
        assert pid > 0, f"{child} has no pid file"  # Zero names every process of our own group.
        os.kill(pid, number)
        return pid

    def pids(self) -> dict[str, int]:
        return {child: self.pid(child) for child in CHILDREN}

    def everything_of_it(self) -> list[int]:
        """Every process that carries the mark of this data folder, and PostgreSQL's, which hide theirs."""
        found = identity.marked((self.data / "secrets" / "instance").read_text())
        return found + [pid for pid in self.pids().values() if pid and identity.started(pid)]

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Ask it to stop as Ctrl-C does, and return its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(20)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(5)

    def clean_up(self) -> None:
        """After a test, however it went."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
