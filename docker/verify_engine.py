"""The container engine for verify.py: Compose and a few docker commands."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
FILE = str(FOLDER / "docker-compose.yml")


class Failed(Exception):
    """A step failed; the message says what was observed."""


def run(*command: str, seconds: float = 900, env: dict[str, str] | None = None) -> str:
    """The output of a command.

    :raises Failed: it failed; with its last lines.
    """
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=env, check=False)
    if done.returncode != 0:
        shown = "\n".join((done.stdout + done.stderr).splitlines()[-25:])
        raise Failed(f"{' '.join(command[:6])} … ended with {done.returncode}:\n{shown}")
    return done.stdout


def until(what: str, true: Callable[[], Any], seconds: float = 120, pause: float = 0.5) -> float:
    """Wait until ``true()`` is; how long it took.

    :raises Failed: it never was.
    """
    began = time.monotonic()
    seen: object = None
    while time.monotonic() < began + seconds:
        try:
            if true():
                return time.monotonic() - began
            seen = None
        except (Failed, OSError) as error:
            seen = error
        time.sleep(pause)
    raise Failed(f"after {seconds:.0f} s still not: {what}" + (f" ({seen})" if seen else ""))


class Stack:
    """One Compose project of the product.

    :ivar environment_file: the variables that the containers are made from.
    """

    def __init__(self, project: str, environment_file: Path) -> None:
        self.project = project
        self.environment_file = environment_file
        named = os.environ.get("COMPOSE", "").split()
        self._compose = named or (["docker-compose"] if not _has_plugin() else ["docker", "compose"])

    def compose(self, *arguments: str, seconds: float = 900) -> str:
        command = [*self._compose, "-p", self.project, "-f", FILE, "--env-file", str(self.environment_file)]
        # A variable of this shell would override the file.
        lines = self.environment_file.read_text().splitlines()
        names = {line.lstrip("#").partition("=")[0] for line in lines}
        environment = {name: value for name, value in os.environ.items() if name not in names}
        environment |= {"ENV_FILE": str(self.environment_file), "COMPOSE_PROJECT_NAME": self.project}
        return run(*command, *arguments, seconds=seconds, env=environment)

    def up(self) -> float:
        """Start everything and wait until all of it is healthy; the seconds that took."""
        began = time.monotonic()
        self.compose("up", "-d", *os.environ.get("UP_OPTIONS", "").split())
        until("every container is healthy", lambda: not self.unwell(), seconds=300)
        return time.monotonic() - began

    def containers(self) -> dict[str, dict[str, Any]]:
        """The engine's record of each container, by the name of its service."""
        ids = run("docker", "ps", "-aq", "--filter", f"label=com.docker.compose.project={self.project}").split()
        if not ids:
            return {}
        inspected = json.loads(run("docker", "inspect", *ids))
        return {each["Config"]["Labels"]["com.docker.compose.service"]: each for each in inspected}

    def running(self) -> dict[str, dict[str, Any]]:
        """Those that do not end by themselves."""
        return {
            name: each
            for name, each in self.containers().items()
            if each["HostConfig"]["RestartPolicy"]["Name"] not in ("", "no")
        }

    def unwell(self) -> list[str]:
        running = self.running()
        return [name for name, each in running.items() if _health(each) != "healthy"] if running else ["everything"]

    def crash(self, service: str) -> None:
        """Kill the container's first process as a crash would. `docker kill` would tell the engine to leave it dead."""
        before = self.containers()[service]
        process = str(before["State"]["Pid"])
        helper = ["--rm", "--privileged", "--pid=host", "--user=0", "--network=none", "--entrypoint=/bin/sh"]
        run("docker", "run", *helper, self.image(), "-c", f"kill -9 {process}")

        def is_back() -> bool:
            after = self.containers()[service]
            return after["State"]["Pid"] not in (0, before["State"]["Pid"]) and _health(after) == "healthy"

        until(f"{service} is back and healthy", is_back, seconds=180)

    def image(self) -> str:
        return str(self.containers()["accounts"]["Config"]["Image"])

    def stop_all(self) -> dict[str, int]:
        """Stop every container. Returns the exit code of each."""
        self.compose("stop")
        return {name: each["State"]["ExitCode"] for name, each in self.running().items()}

    def down(self, *, with_data: bool) -> None:
        self.compose("down", "--remove-orphans", *(["--volumes"] if with_data else []))

    def log(self, service: str) -> list[str]:
        container = self.containers()[service]["Id"]
        done = subprocess.run(["docker", "logs", container], capture_output=True, text=True, check=False)
        return [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]


def _has_plugin() -> bool:
    if shutil.which("docker") is None:
        raise Failed("There is no docker on the PATH.")
    done = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    return done.returncode == 0


def _health(container: dict[str, Any]) -> str:
    state = container["State"]
    return str(state.get("Health", {}).get("Status", "none")) if state["Running"] else "stopped"
