#!/usr/bin/env python3
"""Make the virtual environment .venv and install the locked packages into it. Needs only Python and its library.

    python3 bootstrap.py          what `make run` needs (requirements.txt)
    python3 bootstrap.py --dev    also what `make test` needs (requirements-dev.txt)
    … --this-python               with this very Python, even where a faster one is at hand

It does nothing when the lock has not changed since the last time. What it left unfinished (it was killed, the disk was
full) it makes anew; an environment that it finds complete it only adds to.
This file must at least parse on old Pythons, which it refuses by name.
"""

import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from typing import NoReturn

NEEDED = (3, 11)
ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
STAMP = os.path.join(VENV, "installed.json")
UNFINISHED = os.path.join(VENV, "unfinished")
CHECK = "import sys; sys.exit(sys.version_info < (3, 11))"
OPTIMIZED = "--enable-optimizations"  # Profile-guided; python.org, uv and Homebrew say so in CONFIG_ARGS.
DISTRIBUTION = "/usr/bin/python3"  # Optimized too, though Debian's does not say so.
LOCKS = {False: "requirements.txt", True: "requirements-dev.txt"}  # The second holds all of the first.


def say(text: str) -> None:
    print(f"setup      | {text}", flush=True)


def stop(*lines: str) -> NoReturn:
    for line in lines:
        print(f"setup      | {line}", file=sys.stderr, flush=True)
    sys.exit(1)


def use_a_new_enough_python() -> None:
    """Continue in this interpreter, or in a newer one found on the PATH."""
    if sys.version_info >= NEEDED:
        return
    for minor in range(20, NEEDED[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found and subprocess.call([found, "-c", ""], stderr=subprocess.DEVNULL) == 0:
            os.execv(found, [found, *sys.argv])
    stop(
        f"Python 3.11 or newer is needed; {sys.executable} is {sys.version.split()[0]}.",
        "Install one (Debian 12, Ubuntu 24.04: apt install python3 python3-venv; macOS: brew install python),",
        "or name one: make run PYTHON=/path/to/python3.12",
    )


def use_an_optimized_python() -> None:
    """Continue in the distribution's Python if this one was built without profile-guided optimization, as pyenv does.

    Such a Python takes a third more time for everything. One that is wanted all the same is named: PYTHON=….
    """
    here = os.path.realpath(sys.executable)
    if OPTIMIZED in (sysconfig.get_config_var("CONFIG_ARGS") or OPTIMIZED) or here == os.path.realpath(DISTRIBUTION):
        return
    modules = "" if shutil.which("uv") else "import ensurepip, venv; "
    try:
        usable = subprocess.call([DISTRIBUTION, "-c", modules + CHECK], stderr=subprocess.DEVNULL) == 0
    except OSError:
        return
    if usable:
        say(f"Using {DISTRIBUTION}: {here} was built without optimization; to have it all the same: PYTHON={here}")
        os.execv(DISTRIBUTION, [DISTRIBUTION, *sys.argv, "--this-python"])


def digest(name: str) -> str:
    with open(os.path.join(ROOT, name), "rb") as lock:
        return hashlib.sha256(lock.read()).hexdigest()


def wanted(dev: bool) -> "dict[str, str]":
    """The content of the stamp after a complete installation. The development lock contains the other one."""
    names = LOCKS.values() if dev else [LOCKS[False]]
    return {name: digest(name) for name in names}


def installed(dev: bool) -> bool:
    """Whether a complete environment with these very locks is there and its Python still runs."""
    try:
        with open(STAMP) as stamp:
            found = json.load(stamp)
    except (OSError, ValueError):
        return False
    same = all(found.get(name) == value for name, value in wanted(dev).items())
    return same and not os.path.exists(UNFINISHED) and python_works()


def run(*command: str) -> int:
    return subprocess.call(command, cwd=ROOT, close_fds=False)  # A child that outlives this process keeps the lock.


def python_works() -> bool:
    try:
        return subprocess.call([PYTHON, "-c", CHECK], stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def to_be_made() -> bool:
    """Whether there is no environment yet, or only one that was left unfinished or whose Python is gone."""
    return os.path.exists(UNFINISHED) or not python_works()


def install_with_uv(uv: str, lock: str) -> bool:
    say("Installing the packages into .venv with uv")
    if not python_works() and run(uv, "venv", "-q", "--allow-existing", "--python", sys.executable, VENV) != 0:
        return False
    return run(uv, "pip", "install", "--python", PYTHON, "--compile-bytecode", "--require-hashes", "-r", lock) == 0


def install_with_pip(lock: str) -> bool:
    missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
    if missing:
        stop(
            f"This Python ({sys.executable}) has no module {missing[-1]}, so it cannot make a virtual environment.",
            f"Debian and Ubuntu: apt install python3-venv   (or python3.{sys.version_info[1]}-venv)",
            "Elsewhere: install uv, or name another Python: make run PYTHON=/path/to/python3",
        )
    say("Installing the packages into .venv with pip; the first time takes a minute or two")
    has_pip = python_works() and subprocess.call([PYTHON, "-c", "import pip"], stderr=subprocess.DEVNULL) == 0
    if not has_pip and run(sys.executable, "-m", "venv", VENV) != 0:
        return False
    pip = [PYTHON, "-m", "pip", "--disable-pip-version-check", "install"]
    return run(*pip, "--require-hashes", "--no-deps", "-r", lock) == 0


def install(dev: bool) -> None:
    """Install into .venv; create it anew if it is missing or unusable."""
    started = time.time()
    lock = LOCKS[dev]
    if os.path.isdir(VENV) and to_be_made():
        shutil.rmtree(VENV)
    os.makedirs(VENV, exist_ok=True)
    with open(UNFINISHED, "w"):
        pass
    if os.path.exists(STAMP):
        os.remove(STAMP)
    uv = shutil.which("uv")
    done = uv is not None and install_with_uv(uv, lock)
    if uv and not done:
        say("uv could not; trying pip")
    if not done and not install_with_pip(lock):
        stop(
            "The packages could not be installed; the reason is above.",
            "The network is needed this once. Behind a proxy set HTTPS_PROXY; for an index of your own PIP_INDEX_URL.",
        )
    with open(STAMP, "w") as stamp:
        json.dump(wanted(dev), stamp)
    os.remove(UNFINISHED)  # The last step: until then, the next start would create everything anew.
    say(f"Packages installed in {time.time() - started:.0f} s")


def main() -> None:
    use_a_new_enough_python()
    dev = "--dev" in sys.argv[1:]
    if "--this-python" not in sys.argv[1:] and to_be_made():
        use_an_optimized_python()
    with open(os.path.abspath(__file__), "rb") as own_file:
        fcntl.flock(
            own_file, fcntl.LOCK_EX
        )  # Of two `make` at once, the second waits and then finds everything installed.
        os.set_inheritable(own_file.fileno(), True)
        if not installed(dev):
            try:
                install(dev)
            except OSError as error:
                stop(f"The packages could not be installed: {error}")
            except KeyboardInterrupt:
                stop("Interrupted; the next time starts anew.")


if __name__ == "__main__":
    main()
