"""Programs that run in the parser process in place of a parser, as an attacker's code would.

``python -m backend.documents.tests.attacks`` is a worker: it reads programs as JSON from standard input, gives each
as a document to the parser process that every worker starts, and writes what each printed, as JSON. Layers named as
arguments are left out, to see what the others do.
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

# Modules that the programs use: in the parser process there is nothing to load them from any more.
PROGRAM = """
import sys; sys.path.append(sys.argv[1])
import contextlib, ctypes, errno, io, mmap, os, platform, resource, select, signal, socket, subprocess, threading, time
import encodings.idna
from parsers import child
libc = ctypes.CDLL(None, use_errno=True)

def run(source, job):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            exec(source.read().decode(), {**globals(), "source": source, "job": job})
        except BaseException as error:
            print(type(error).__name__, error)
    return printed.getvalue() or "nothing", []

child.READERS["text/x-program"] = run
LEAVE_OUT
child.serve()
"""
LEAVE_OUT = {
    "seccomp": "child.isolation.seccomp.allow_reading_only = lambda: None",
    "landlock": "child.isolation.landlock.give_up_everything = lambda: None",
}


def run(programs: dict[str, str], *, without: Sequence[str]) -> dict[str, Any]:
    """The output of each program, or the failure of its document; ``layers`` are those that the parser process
    reports.
    """
    from backend.documents.errors import IngestionFailed
    from backend.documents.ingestion import process as starter
    from backend.documents.ingestion.parsers.frames import Job

    starter.PROGRAM = PROGRAM.replace("LEAVE_OUT", "; ".join(LEAVE_OUT[name] for name in without))
    printed: dict[str, Any] = {}
    process = starter.ParserProcess()
    for name, program in programs.items():
        job = Job(
            task="parse",
            content_type="text/x-program",
            cpu_seconds=1,
            total_cpu_seconds=1,
            memory_bytes=1 << 30,
        )
        with NamedTemporaryFile() as file:
            file.write(program.replace("PARENT", str(os.getpid())).encode())
            file.flush()
            try:
                frames = list(process.run(job, path=Path(file.name), seconds=20))
                printed[name] = "".join(page.text for frame in frames for page in frame.pages).strip()
            except IngestionFailed as failure:
                printed[name] = f"failed: {failure.code}"
            except ConnectionError as error:
                printed[name] = f"ended: {error}"
        if not process.alive:
            process = starter.ParserProcess()
    process.close()
    return {**printed, "layers": process.layers}


if __name__ == "__main__":
    json.dump(run(json.load(sys.stdin), without=sys.argv[1:]), sys.stdout)
