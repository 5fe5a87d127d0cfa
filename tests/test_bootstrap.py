"""Setting up .venv, with a `uv` that only writes down what it is asked to do."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
UV = """#!/bin/sh
echo "$@" >> "$(dirname "$0")/asked"
case "$1" in
venv) mkdir -p .venv/bin && ln -sf "$REAL_PYTHON" .venv/bin/python ;;
pip) exit "$(cat "$(dirname "$0")/pip-exit")" ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with a space in its path, and beside it the folder `bin` with that uv."""
    folder = tmp_path / "a checkout"
    folder.mkdir()
    shutil.copy(ROOT / "bootstrap.py", folder)
    for lock in ("requirements.txt", "requirements-dev.txt"):
        (folder / lock).write_text("first\n")
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "uv").write_text(UV)
    (tools / "uv").chmod(0o755)
    (tools / "pip-exit").write_text("0")
    return folder


def run(checkout: Path, *arguments: str, path: str | None = None) -> tuple[int, str]:
    tools = checkout.parent / "bin"
    done = subprocess.run(
        [sys.executable, "bootstrap.py", *arguments],
        cwd=checkout,
        env={"PATH": path or f"{tools}:/usr/bin:/bin", "REAL_PYTHON": sys.executable, "PIP_NO_INDEX": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


def installations(checkout: Path) -> list[str]:
    """The lock of each installation that was asked for."""
    asked = checkout.parent / "bin" / "asked"
    lines = asked.read_text().splitlines() if asked.exists() else []
    return [line.split()[-1] for line in lines if line.startswith("pip install ") and "--require-hashes" in line]


def test_bootstrap_installs_once_and_again_only_when_the_lock_changes(checkout: Path) -> None:
    assert [run(checkout)[0], run(checkout)[0]] == [0, 0]
    assert installations(checkout) == ["requirements.txt"]

    (checkout / "requirements.txt").write_text("second\n")

    assert [run(checkout)[0], run(checkout)[0]] == [0, 0]
    assert installations(checkout) == ["requirements.txt"] * 2


def test_the_development_lock_includes_the_other_one(checkout: Path) -> None:
    run(checkout, "--dev")
    run(checkout)
    assert installations(checkout) == ["requirements-dev.txt"]

    (checkout / "requirements-dev.txt").write_text("second\n")
    run(checkout)
    run(checkout, "--dev")
    assert installations(checkout) == ["requirements-dev.txt"] * 2


def test_an_unfinished_environment_is_created_anew(checkout: Path) -> None:
    run(checkout)
    (checkout / ".venv" / "unfinished").touch()
    (checkout / ".venv" / "half a package").touch()

    assert run(checkout)[0] == 0
    assert not (checkout / ".venv" / "half a package").exists()
    assert installations(checkout) == ["requirements.txt"] * 2


def test_an_existing_environment_is_extended(checkout: Path) -> None:
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (checkout / ".venv" / "theirs").touch()

    assert run(checkout)[0] == 0
    assert (checkout / ".venv" / "theirs").exists()


def test_a_failed_installation_is_reported_and_retried(checkout: Path) -> None:
    (checkout.parent / "bin" / "pip-exit").write_text("1")
    (checkout / "requirements.txt").write_text("no-such-package==1 --hash=sha256:" + "0" * 64 + "\n")

    code, printed = run(checkout)

    assert code == 1
    assert "uv could not; trying pip" in printed
    assert "The packages could not be installed; the reason is above." in printed
    (checkout.parent / "bin" / "pip-exit").write_text("0")
    assert run(checkout)[0] == 0


def test_an_old_python_is_refused_by_name(checkout: Path) -> None:
    old = (checkout / "bootstrap.py").read_text().replace("NEEDED = (3, 11)", "NEEDED = (3, 99)")
    (checkout / "bootstrap.py").write_text(old)

    code, printed = run(checkout)

    assert code == 1
    assert f"is needed; {sys.executable} is {sys.version.split()[0]}." in printed
    assert "make run PYTHON=/path/to/python3.12" in printed


@pytest.fixture
def unoptimized(checkout: Path) -> Path:
    """The checkout, for which this Python looks unoptimized and the distribution's writes down how it was called."""
    distribution = checkout.parent / "bin" / "python3"
    distribution.write_text('#!/bin/sh\necho "$@" >> "$(dirname "$0")/called"\nexec "$REAL_PYTHON" "$@"\n')
    distribution.chmod(0o755)
    script = (checkout / "bootstrap.py").read_text()
    for old, new in (('"--enable-optimizations"', '"--optimized"'), ('"/usr/bin/python3"', f'"{distribution}"')):
        assert old in script
        script = script.replace(old, new)
    (checkout / "bootstrap.py").write_text(script)
    return distribution


def calls(distribution: Path) -> list[str]:
    called = distribution.parent / "called"
    return (
        [line for line in called.read_text().splitlines() if line.startswith("bootstrap.py")] if called.exists() else []
    )


def test_a_new_environment_gets_the_distributions_python_instead_of_an_unoptimized_one(
    checkout: Path, unoptimized: Path
) -> None:
    code, printed = run(checkout, "--dev")

    assert code == 0
    assert f"Using {unoptimized}: " in printed
    assert calls(unoptimized) == ["bootstrap.py --dev --this-python"]
    assert installations(checkout) == ["requirements-dev.txt"]

    (checkout / "requirements-dev.txt").write_text("second\n")
    assert run(checkout, "--dev")[0] == 0  # The environment is there: its Python stays.
    assert len(calls(unoptimized)) == 1


def test_a_given_python_is_used(checkout: Path, unoptimized: Path) -> None:
    assert run(checkout, "--this-python")[0] == 0
    assert calls(unoptimized) == []
    assert installations(checkout) == ["requirements.txt"]


@pytest.mark.parametrize("content", [None, "#!/bin/sh\nexit 1\n"], ids=["missing", "too old, or without venv"])
def test_without_a_better_python_an_unoptimized_one_is_used(
    checkout: Path, unoptimized: Path, content: str | None
) -> None:
    unoptimized.unlink()
    if content:
        unoptimized.write_text(content)
        unoptimized.chmod(0o755)

    assert run(checkout)[0] == 0
    assert installations(checkout) == ["requirements.txt"]


def test_the_makefile_distinguishes_a_given_python_from_its_default() -> None:
    def command(*arguments: str) -> str:
        environment = {
            name: value for name, value in os.environ.items() if name != "PYTHON" and not name.startswith("MAKE")
        }
        asked = ["make", "--dry-run", "--no-print-directory", "run", *arguments]
        return subprocess.run(asked, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout

    assert "--this-python" not in command()
    assert command("PYTHON=/opt/python3").startswith("/opt/python3 bootstrap.py --this-python\n")
