"""The parser process: waits for jobs, and forks a fresh process for each, so that no file meets another's remains.

Forking takes two milliseconds where starting Python and importing the parsers takes two hundred.
"""

import contextlib
import ctypes
import gc
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import IO

import msgspec

from . import archive, docx, html, markdown, pdf, plain
from .frames import Frame, Job, PageText, ParseError, encode, read

_READERS = {
    "text/plain": plain.read,
    "text/markdown": markdown.read,
    "text/html": html.read,
    archive.DOCX: docx.read,
}
_PR_SET_PDEATHSIG = 1


def serve() -> None:
    """Take jobs from standard input until it closes; answer on what standard output was at the start."""
    _die_with(os.getppid())
    source = os.fdopen(os.dup(0), "rb")
    target = os.fdopen(os.dup(1), "wb", buffering=0)
    gc.freeze()  # What was imported stays out of collections, so forks share its memory.
    os.dup2(2, 1)  # Whatever prints by mistake prints to standard error.
    while (body := read(source)) is not None:
        parent = os.getpid()
        child = os.fork()
        if child == 0:
            _die_with(parent)
            os._exit(_work(msgspec.msgpack.decode(body, type=Job), target))
        _, status, usage = os.wait4(child, 0)
        if status != 0:
            number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
            _send(target, Frame(kind="died", signal=number, cpu_seconds=usage.ru_utime + usage.ru_stime))


def _work(job: Job, target: IO[bytes]) -> int:
    try:
        _limit_memory(job.memory_bytes)
        for frame in _TASKS[job.task](job):
            frame.cpu_seconds = _cpu_seconds()
            _send(target, frame)
            _limit_cpu(job.cpu_seconds)
    except ParseError as error:
        _send(target, Frame(kind="failed", code=error.code, detail=error.detail))
    except (MemoryError, RecursionError):
        _send(target, Frame(kind="failed", code="too_complex", detail="Reading the file takes too much memory."))
    except BrokenPipeError:
        return 1
    return 0


def _parse(job: Job) -> Iterator[Frame]:
    _limit_cpu(job.cpu_seconds)
    if job.content_type == "application/pdf":
        yield from _parse_pdf(job)
        return
    text = _READERS[job.content_type](job)
    if len(text) > job.max_characters:
        raise ParseError("too_large", f"The text is longer than {job.max_characters} characters.")
    stretches = plain.stretches(text)
    yield Frame(kind="opened", total=len(stretches), paged=False)
    for start in range(job.start, len(stretches), job.batch):
        yield Frame(kind="pages", pages=stretches[start : start + job.batch])
    yield Frame(kind="end")


def _parse_pdf(job: Job) -> Iterator[Frame]:
    document = pdf.open_document(job.path)
    if len(document) > job.max_pages:
        raise ParseError("too_large", f"The file has {len(document)} pages; at most {job.max_pages} can be read.")
    yield Frame(kind="opened", total=len(document), paged=True)
    pages: list[PageText] = []
    warnings: list[tuple[str, str]] = []
    size = 0
    began = time.monotonic()
    _limit_cpu(job.page_cpu_seconds)
    for page, readable in pdf.read_pages(document, job):
        pages.append(page)
        size += len(page.text)
        if size > job.max_characters:
            raise ParseError("too_large", f"The text is longer than {job.max_characters} characters.")
        if not readable:
            warnings.append(("page_unreadable", f"Page {page.number} is damaged and was left out."))
        if len(pages) == job.batch or time.monotonic() - began >= job.batch_seconds:
            yield Frame(kind="pages", pages=pages, warnings=warnings)
            pages, warnings = [], []
            began = time.monotonic()
        _limit_cpu(job.page_cpu_seconds)
    yield Frame(kind="pages", pages=pages, warnings=warnings)
    yield Frame(kind="end")


def _render(job: Job) -> Iterator[Frame]:
    _limit_cpu(job.cpu_seconds)
    yield Frame(kind="image", image=pdf.render(pdf.open_document(job.path), job))
    yield Frame(kind="end")


def _detect(job: Job) -> Iterator[Frame]:
    _limit_cpu(job.cpu_seconds)
    yield Frame(kind="detected", content_type=archive.content_type(job.path))
    yield Frame(kind="end")


_TASKS: dict[str, Callable[[Job], Iterator[Frame]]] = {"parse": _parse, "render": _render, "detect": _detect}


def _send(target: IO[bytes], frame: Frame) -> None:
    data = memoryview(encode(frame))
    while data:
        data = data[target.write(data) :]


def _limit_memory(size: int) -> None:
    with contextlib.suppress(ValueError, OSError):  # macOS knows the limit and refuses it.
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_cpu(seconds: int) -> None:
    """So many seconds from now on; the kernel then sends SIGXCPU, which ends the process."""
    spent = int(_cpu_seconds()) + 1
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    wanted = spent + seconds
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _die_with(parent: int) -> None:
    """End when the parent does. Elsewhere than on Linux, writing to its closed pipe does it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the worker, which then closes the pipe.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
