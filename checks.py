"""The commands behind `make test`, `make lint` and `make lock`. Run by the Python of .venv.

checks.py         every check, then every test
checks.py lint    the checks that need no servers
checks.py lock    the hashed locks, written anew from pyproject.toml
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent
PYTHON = sys.executable
MAX_REPEATED = 3  # Failed tests. More failures are a fault of the code.
NO_SERVERS = {
    **os.environ,
    "DATABASE_URL": "postgres://nobody@/%2Fnonexistent%2Fnone",
    "REDIS_URL": "unix:///nonexistent",
}
CHECKS = {
    "ruff check": ["-m", "ruff", "check", "."],
    "ruff format": ["-m", "ruff", "format", "--check", "."],
    "mypy": ["-m", "mypy"],
    "import contracts": ["-c", "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"],
    "migrations": ["-W", "ignore", "manage.py", "makemigrations", "--check", "--dry-run", "--verbosity=1"],
    "system checks": ["manage.py", "check", "--fail-level=WARNING"],
    "OpenAPI": ["manage.py", "spectacular", "--validate", "--fail-on-warn", "--file", os.devnull],
}


def say(text: str) -> None:
    print(text, flush=True)


def lint() -> list[str]:
    """Run all checks at once, since most use one core; print the whole output of those that fail.

    :return: the names of those that failed.
    """
    began = time.monotonic()
    running = {
        name: subprocess.Popen(
            [PYTHON, *arguments], cwd=ROOT, env=NO_SERVERS, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for name, arguments in CHECKS.items()
    }
    failed = []
    for name, process in running.items():
        printed, _ = process.communicate()
        good = process.returncode == 0
        say(f"--- {name}: {'ok' if good else 'FAILED'} ({time.monotonic() - began:.0f} s)")
        if not good:
            failed.append(name)
            say(printed)
    return failed


def test() -> tuple[list[str], int]:
    """Run every test on WORKERS workers. A file's tests run in one worker, since they share servers.

    :return: the names of failed checks, and how many tests were skipped.
    """
    say("--- pytest")
    began = time.monotonic()
    workers = os.environ.get("WORKERS") or "2"
    pytest = [PYTHON, "-m", "pytest", "-q"]
    code = subprocess.call([*pytest, "-n", workers, "--dist=loadfile"], cwd=ROOT)
    unstable = last_failed() if code == 1 else []
    skipped = int(cached("orquestra/skipped") or 0)
    if 0 < len(unstable) <= MAX_REPEATED and all(test.startswith("tests/") for test in unstable):
        # The tests of this folder drive browsers and kill processes, which depends on the speed of a machine that does
        # two things at once. They get one more run, alone, and are named, so that they get repaired. The apps' own
        # tests run in one process: one of them that fails now and then is a fault.
        say(f"--- pytest, once more and alone: {', '.join(unstable)}")
        code = subprocess.call([*pytest, "--last-failed"], cwd=ROOT)
        if code == 0:
            say(f"--- UNSTABLE, failed once and then passed alone: {', '.join(unstable)}")
    say(f"--- pytest: {'ok' if code == 0 else 'FAILED'} ({time.monotonic() - began:.0f} s)")
    return ([] if code == 0 else ["pytest"]), skipped


def last_failed() -> list[str]:
    """The tests that failed in the last run of pytest, by their ids."""
    return sorted(cached("cache/lastfailed") or [])


def cached(name: str) -> Any:
    """A value that the last run of pytest left in its cache; None where it left none."""
    try:
        return json.loads((ROOT / ".pytest_cache/v" / name).read_text())
    except FileNotFoundError:
        return None


def lock() -> int:
    uv = shutil.which("uv")
    if uv is None:
        say("`make lock` needs uv: https://docs.astral.sh/uv/ or `pip install uv`")
        return 1
    compile_lock = [uv, "pip", "compile", "-q", "--universal", "--python-version", "3.11", "--generate-hashes"]
    compile_lock += ["--no-emit-index-url", "--custom-compile-command", "make lock", "pyproject.toml"]
    dev = [*compile_lock, "--group", "dev", "-c", "requirements.txt", "-o", "requirements-dev.txt"]
    return subprocess.call([*compile_lock, "-o", "requirements.txt"], cwd=ROOT) or subprocess.call(dev, cwd=ROOT)


def main(wanted: str) -> int:
    if wanted == "lock":
        return lock()
    failed, skipped = lint(), 0
    if wanted != "lint":
        failed_tests, skipped = test()
        failed += failed_tests
    result = f"Failed: {', '.join(failed)}" if failed else "Every check passed"
    say(f"{result}; {skipped} tests were skipped" if skipped else result)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "test"))
