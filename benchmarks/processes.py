"""What processes cost: processor time and memory of a process and all its descendants, from ``/proc``."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def family(pid: int) -> dict[int, str]:
    """The process and its descendants: id and command line."""
    parents: dict[int, tuple[int, str]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, rest = entry.read_text().rpartition(")")
            command = (entry.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        parents[int(head.split(" ", 1)[0])] = (int(rest.split()[1]), command)
    members = {pid}
    while more := {child for child, (parent, _) in parents.items() if parent in members} - members:
        members |= more
    return {member: parents[member][1] for member in members if member in parents}


def cpu_seconds(pids: Iterable[int]) -> float:
    """Processor time of these processes and of their children that have ended."""
    ticks = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(int(field) for field in fields[11:15])
    return ticks / TICKS_PER_SECOND


def pss(pid: int) -> float:
    """Megabytes: the process's proportional share of all memory that it maps."""
    try:
        found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    except OSError:
        return 0.0
    return int(found[1]) / 1024 if found else 0.0
