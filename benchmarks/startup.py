"""How long `make run` takes to be ready, the dependencies being there, and what all processes hold when idle.

    .venv/bin/python -m benchmarks.startup [--json]

Prints one line per figure: the first start in an empty folder, starts after it, the sum of the proportional set sizes.
"""

import argparse
import json
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.processes import family, pss

ROOT = Path(__file__).resolve().parent.parent
READY = "Orquestra is ready at "
STARTS = 3
IDLE_SECONDS = 15


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def start(data: Path, port: int) -> tuple["subprocess.Popen[bytes]", float]:
    """Start the launcher and return it with the seconds until its ready line."""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "backend.embedded"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": str(data), "PORT": str(port), "DATA_DIR": str(data)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.decode().startswith(READY):
            return process, time.monotonic() - began
    raise SystemExit("the launcher ended before it was ready")


def drain(process: "subprocess.Popen[bytes]", seconds: float) -> None:
    """Let it run that long, reading what it prints."""
    assert process.stdout is not None
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if select.select([process.stdout], [], [], left)[0]:
            process.stdout.read1(65536)  # type: ignore[attr-defined]  # A BufferedReader.


def stop(process: "subprocess.Popen[bytes]") -> float:
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="orquestra-startup-") as temporary:
        Path(temporary).chmod(0o755)
        data, port = Path(temporary) / "data", free_port()
        process, first = start(data, port)
        drain(process, 2)
        stopping = [stop(process)]
        later = []
        for number in range(STARTS):
            process, seconds = start(data, port)
            later.append(seconds)
            drain(process, IDLE_SECONDS if number == STARTS - 1 else 2)
            if number < STARTS - 1:
                stopping.append(stop(process))
        held = {member: (pss(member), command) for member, command in family(process.pid).items()}
        stopping.append(stop(process))
    if asked.json:
        figures = {"first_seconds": first, "later_seconds": later, "stop_seconds": stopping}
        total = sum(megabytes for megabytes, _ in held.values())
        print(json.dumps({**figures, "processes": len(held), "idle_pss_mb": total}))
        return
    for megabytes, command in sorted(held.values(), reverse=True):
        print(f"    {megabytes:6.1f} MB  {command[:110]}")
    print(f"first start to ready: {first:.1f} s")
    print(f"later starts to ready: {', '.join(f'{seconds:.1f}' for seconds in later)} s")
    print(f"stop: {', '.join(f'{seconds:.1f}' for seconds in stopping)} s")
    print(f"idle PSS of all {len(held)} processes: {sum(megabytes for megabytes, _ in held.values()):.0f} MB")


if __name__ == "__main__":
    main()
