"""Every benchmark, one after the other, as the table of README.md: what was measured, the goal, whether it is reached.

    .venv/bin/python -m benchmarks --pdf some.pdf --faquad faquad.json [--json] [--only NAME …]

Each script runs as a process of its own with ``--json``; what they log meanwhile goes to the error output. Exit 1 when
one of them gave no figures. The machine should be doing nothing else: the load at the start is shown.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
QUIET = 0.25  # Load per core above which something else runs here.


@dataclass(frozen=True)
class Row:
    """One line of the table; ``reached`` is None where there is no goal, or nothing to compare with it."""

    what: str
    measured: str
    goal: str = "–"
    reached: bool | None = None


def startup(found: dict[str, Any]) -> list[Row]:
    first, later, memory = found["first_seconds"], found["later_seconds"], found["idle_pss_mb"]
    return [
        Row(
            "from `make run` to ready, packages there: first time · later",
            f"{first:.1f} s · {min(later):.1f}–{max(later):.1f} s",
            "15 s · 6 s",
            first <= 15 and max(later) <= 6,
        ),
        Row(f"memory of all {found['processes']} processes, idle (PSS)", f"{memory:.0f} MB", "700 MB", memory <= 700),
    ]


def ingestion(found: dict[str, Any]) -> list[Row]:
    ready = median(found["ready_seconds"])
    ratio = ready / median(found["bare_seconds"])
    what = f"a PDF of {found['pages']} pages, from upload to searchable, against bare pypdfium2 with one bulk insert"
    return [Row(what, f"{ratio:.1f} × ({ready:.2f} s)", "3 ×", ratio <= 3)]


def first_token(found: dict[str, Any]) -> list[Row]:
    names = {
        (1, False): "first token through us minus first token straight from the provider, one stream",
        (16, True): "the same with 16 streams, each client asking again when its answer has ended",
        (16, False): "the same with 16 questions in the same instant",
    }
    return [
        Row(
            names[each["streams"], each["spread"]],
            f"{each['added_ms']:.0f} ms",
            f"{each['target_ms']:.0f} ms",
            each["added_ms"] < each["target_ms"],
        )
        for each in found["first_token"]
    ]


def answers(found: dict[str, Any]) -> list[Row]:
    bare, ours, goals = found["bare"], found["products"][0], found["goals"]
    rows = []

    def add(what: str, value: float, unit: str, name: str, *, reference: float | None, at_least: bool = False) -> None:
        ratio = "" if reference is None else f" ({value / reference:.1f} × the provider alone)"
        goal = goals[name]
        reached = value >= goal if at_least else value <= goal
        rows.append(Row(what, f"{value:.0f} {unit}{ratio}".strip(), f"{goal:.0f} {unit}".strip(), reached))

    cpu, alone = ({pace: sum(groups.values()) for pace, groups in each["cpu_ms"].items()} for each in (ours, bare))
    add("processor time of an answer of 100 tokens, everything", cpu["0"], "ms", "cpu_ms", reference=alone["0"])
    rows.append(Row("the same with 20 ms between two tokens", f"{cpu['20']:.0f} ms"))
    speed = ours["answers_per_second"]
    add(
        "answers a second, 64 clients",
        speed,
        "",
        "answers_per_second",
        reference=bare["answers_per_second"],
        at_least=True,
    )
    first, straight = ours["first_ms"], bare["first_ms"]
    what = "first token, median, 64 clients, 20 ms a token"
    add(what, first["64"], "ms", "first_ms_64", reference=straight["64"])
    add("the same, added at one client", first["1"] - straight["1"], "ms", "first_added_ms_1", reference=None)
    add("processor time of `GET users/me`", ours["users_me_ms"], "ms", "users_me_ms", reference=None)
    memory = sum(ours["pss_mb"]["after"].values())
    add("memory of all processes after that load (PSS)", memory, "MB", "pss_mb", reference=None)
    rows.append(Row("PostgreSQL connections after that load", str(ours["connections"])))
    return rows


def search(found: dict[str, Any]) -> list[Row]:
    what = (
        f"FaQuAD ({found['questions']} Portuguese questions), nDCG@10 through `POST /api/v1/search`, lexical "
        f"(one search, median: {found['median_ms']:.0f} ms)"
    )
    return [Row(what, f"{found['ndcg']:.3f}", "0.89", found["ndcg"] >= 0.89)]


def adapters(found: dict[str, Any]) -> list[Row]:
    spent = dict(found["cpu_ms"])
    bare = spent.pop("bare httpx")
    ratios = sorted(one / bare for one in spent.values())
    return [
        Row(
            "processor time of one streamed answer, against bare httpx: best and worst adapter",
            f"{ratios[0]:.1f}–{ratios[-1]:.1f} ×",
        )
    ]


def gateway(found: dict[str, Any]) -> list[Row]:
    added, limit = found["through_ms"] - found["straight_ms"], found["max_added_ms"]
    four, one = found["four_services_per_second"], found["one_process_per_second"]
    streams, ended = found["streams"], found["streams_ended"]
    held = f"{streams} streams for {found['stream_seconds']:.0f} s, the gateway reloaded in the middle"
    return [
        Row("the gateway's part of a request, median", f"{added:.1f} ms", f"{limit:.0f} ms", added <= limit),
        Row(
            "`users/me` per second through the gateway with four services, against one process",
            f"{four:.0f} : {one:.0f}",
            "1 : 1",
            four >= one,
        ),
        Row(held, f"{ended} reached their end", "all", ended == streams),
    ]


def ledger(found: dict[str, Any]) -> list[Row]:
    raw = sum(found["raw_per_second"]) / len(found["raw_per_second"])
    books = "" if found["books_are_right"] else "; THE BOOKS ARE OFF"
    return [
        Row(f"{name} per second, against `pgbench -N`", f"{rate:.0f} ({rate / raw:.2f} ×){books}")
        for name, rate in found["per_second"].items()
    ]


# In the order of README.md; what needs the machine to itself for longest comes last.
SCRIPTS: dict[str, Callable[[dict[str, Any]], list[Row]]] = {
    each.__name__: each for each in (startup, ingestion, first_token, answers, search, adapters, gateway, ledger)
}


def run(name: str, *arguments: str) -> dict[str, Any] | None:
    """The figures of one script, or None where it gave none. Its exit code is ignored: 1 means a missed goal."""
    command = [sys.executable, "-m", f"benchmarks.{name}", *arguments, "--json"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return None
    return found


def additions() -> float:
    """Seconds that this machine takes for ten million additions: how fast its cores are just now."""
    begun, total = time.perf_counter(), 0
    for number in range(10_000_000):
        total += number
    return time.perf_counter() - begun


def table(rows: list[Row]) -> str:
    reached = {True: "yes", False: "**no**", None: "–"}
    lines = [f"| {row.what} | {row.measured} | {row.goal} | {reached[row.reached]} |" for row in rows]
    return "\n".join(["| | measured | goal | reached |", "|---|---|---|---|", *lines])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pdf", type=Path, help="for ingestion, which is left out without it")
    parser.add_argument("--faquad", type=Path, help="for search, which is left out without it")
    parser.add_argument("--only", nargs="+", choices=SCRIPTS, default=list(SCRIPTS), metavar="NAME")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    needed = {"ingestion": asked.pdf, "search": asked.faquad}
    cores, load = os.cpu_count() or 1, os.getloadavg()[0]
    figures: dict[str, dict[str, Any] | None] = {}
    rows: list[Row] = []
    paces: list[float] = []
    for name, rows_of in SCRIPTS.items():
        if name not in asked.only or (name in needed and needed[name] is None):
            continue
        print(f"{time.strftime('%H:%M:%S')} {name}", file=sys.stderr, flush=True)
        paces.append(additions())
        data = [str(needed[name].resolve())] if name in needed else []
        found = figures[name] = run(name, *data)
        rows += [Row(name, "gave no figures")] if found is None else rows_of(found)
    if paces:
        pace = f"{min(paces):.1f}–{max(paces):.1f} s"
        rows.append(Row("ten million additions in Python, before each script: how fast the cores were", pace))
    if asked.json:
        print(
            json.dumps(
                {"cores": cores, "load": load, "pace": paces, "figures": figures, "rows": [asdict(row) for row in rows]}
            )
        )
    else:
        busy = "" if load <= QUIET * cores else " **Something else was running: do not quote these.**"
        print(f"{cores} cores, load {load:.2f} at the start.{busy}\n\n{table(rows)}")
    return 1 if None in figures.values() else 0


if __name__ == "__main__":
    sys.exit(main())
