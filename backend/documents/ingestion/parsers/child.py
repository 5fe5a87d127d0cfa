"""The parser process: waits for jobs and forks a new process for each, so that no file shares memory with another.

Forking takes two milliseconds where starting Python and importing the parsers takes two hundred. Isolation of
the process is set up once, after the imports and before the first job; the layers that apply to a fork are set up there
before it reads the first byte of its file (``isolation.py``).
"""

import array
import contextlib
import gc
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from typing import IO

import msgspec

from . import archive, cpu, docx, html, isolation, markdown, pdf, plain
from .decoding import Warnings
from .frames import MAX_JOB_BYTES, Frame, Job, PageText, ParseError, Report, encode

# Return the text of a file and its warnings.
READERS: dict[str, Callable[[IO[bytes], Job], tuple[str, Warnings]]] = {
    "text/plain": plain.read,
    "text/markdown": markdown.read,
    "text/html": html.read,
    archive.DOCX: docx.read,
}


def serve() -> None:
    """Receive jobs from the socket that is this process's standard input, until the worker closes it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The worker handles Ctrl-C and closes the socket.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    control = socket.socket(fileno=0)
    nothing = os.open(os.devnull, os.O_RDWR)
    gc.freeze()  # Imported objects are excluded from garbage collection, so that forks share their memory pages.
    layers = isolation.isolate([int(user) for user in sys.argv[2:]])
    with contextlib.suppress(BrokenPipeError):
        control.sendall(encode(Report(kind="ready", layers=layers)))
        while (received := _receive(control)) is not None:
            job, (source, target) = received
            ended = _run(job, source, target, nothing=nothing, control=control, layers=layers)
            control.sendall(encode(ended))


def _receive(control: socket.socket) -> tuple[Job, tuple[int, int]] | None:
    """The next job, its file and the pipe for its frames; None when the worker has closed the socket."""
    data, descriptors = bytearray(), array.array("i")
    while len(data) < 4 or len(data) < 4 + int.from_bytes(data[:4], "big"):
        part, ancillary, _, _ = control.recvmsg(MAX_JOB_BYTES, socket.CMSG_SPACE(2 * descriptors.itemsize))
        if not part:
            return None
        data += part
        for _, kind, content in ancillary:
            if kind == socket.SCM_RIGHTS:
                descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    source, target = descriptors
    return msgspec.msgpack.decode(data[4:], type=Job), (source, target)


def _run(job: Job, source: int, target: int, *, nothing: int, control: socket.socket, layers: dict[str, str]) -> Report:
    """Fork, do the job in the fork, and wait for its end or for that of the worker."""
    parent = os.getpid()
    alive, kept_open = os.pipe()
    child = os.fork()
    if child == 0:
        isolation.die_with(parent)
        for standard in (0, 1, 2):  # Parsers may print parts of the file: discard it.
            os.dup2(nothing, standard)
        isolation.close_all_but(source, target, kept_open)
        os._exit(_work(job, source, target, layers))
    for descriptor in (source, target, kept_open):
        os.close(descriptor)
    readable, _, _ = select.select([control.fileno(), alive], [], [])
    if control.fileno() in readable:  # The worker sends nothing during a job: it has closed the socket.
        os.kill(child, signal.SIGKILL)
    os.close(alive)
    _, status, usage = os.wait4(child, 0)
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    return Report(kind="ended", signal=number, cpu_seconds=usage.ru_utime + usage.ru_stime)


def _work(job: Job, source: int, target: int, layers: dict[str, str]) -> int:
    try:
        isolation.restrict(layers, memory_bytes=job.memory_bytes, cpu_seconds=job.total_cpu_seconds)
        with open(source, "rb") as file:
            for frame in _TASKS[job.task](file, job):
                frame.cpu_seconds = cpu.used()
                _send(target, frame)
                cpu.limit(job.cpu_seconds)
    except ParseError as error:
        _send(target, Frame(kind="failed", code=error.code, detail=error.detail))
    except (MemoryError, RecursionError):
        _send(target, Frame(kind="failed", code="too_complex", detail="Reading the file takes too much memory."))
    except BrokenPipeError:
        return 1
    except Exception:
        _send(target, Frame(kind="crashed", detail=traceback.format_exc()[-4000:]))
    return 0


def _parse(file: IO[bytes], job: Job) -> Iterator[Frame]:
    cpu.limit(job.cpu_seconds)
    if job.content_type == "application/pdf":
        yield from _parse_pdf(file, job)
        return
    text, warnings = _text(file, job)
    if len(text) > job.max_characters:
        raise ParseError("too_large", f"The text is longer than {job.max_characters} characters.")
    stretches = plain.stretches(text)
    yield Frame(kind="opened", total=len(stretches), paged=False)
    for start in range(job.start, len(stretches), job.batch):
        yield Frame(kind="pages", pages=stretches[start : start + job.batch], warnings=warnings if start == 0 else [])
    yield Frame(kind="end")


def _text(file: IO[bytes], job: Job) -> tuple[str, Warnings]:
    """The text of a file without pages, and warnings. Markdown that takes too long is read as plain text."""
    size = os.fstat(file.fileno()).st_size
    if job.content_type != "text/markdown":
        cpu.limit_for(job, size)
        return READERS[job.content_type](file, job)
    try:
        with cpu.raising():
            cpu.limit_for(job, size, per_megabyte=cpu.OF_MARKDOWN)
            return markdown.read(file, job)
    except cpu.TooSlow:
        file.seek(0)
        cpu.limit_for(job, size)
        text, warnings = plain.read(file, job)
        ignored = ("formatting_ignored", "The formatting takes too long to read and was ignored.")
        return text, [*warnings, ignored]


def _parse_pdf(file: IO[bytes], job: Job) -> Iterator[Frame]:
    document = pdf.open_document(file)
    if len(document) > job.max_pages:
        raise ParseError("too_large", f"The file has {len(document)} pages; at most {job.max_pages} can be read.")
    yield Frame(kind="opened", total=len(document), paged=True)
    pages: list[PageText] = []
    warnings: list[tuple[str, str]] = []
    size = 0
    began = time.monotonic()
    cpu.limit(job.page_cpu_seconds)
    for page, readable in pdf.read_pages(document, job):
        pages.append(page)
        size += len(page.text)
        if size > job.max_characters:
            raise ParseError("too_large", f"The text is longer than {job.max_characters} characters.")
        if not readable:
            warnings.append(("page_unreadable", f"Page {page.number} is damaged and was left out."))
        if page.fields_left_out:
            detail = f"Page {page.number} has too many form fields and notes; they were left out."
            warnings.append(("fields_left_out", detail))
        if len(pages) == job.batch or time.monotonic() - began >= job.batch_seconds:
            yield Frame(kind="pages", pages=pages, warnings=warnings)
            pages, warnings = [], []
            began = time.monotonic()
        cpu.limit(job.page_cpu_seconds)
    yield Frame(kind="pages", pages=pages, warnings=warnings)
    yield Frame(kind="end")


def _render(file: IO[bytes], job: Job) -> Iterator[Frame]:
    cpu.limit(job.cpu_seconds)
    yield Frame(kind="image", image=pdf.render(pdf.open_document(file), job))
    yield Frame(kind="end")


def _detect(file: IO[bytes], job: Job) -> Iterator[Frame]:
    cpu.limit(job.cpu_seconds)
    yield Frame(kind="detected", content_type=archive.content_type(file))
    yield Frame(kind="end")


_TASKS: dict[str, Callable[[IO[bytes], Job], Iterator[Frame]]] = {
    "parse": _parse,
    "render": _render,
    "detect": _detect,
}


def _send(target: int, frame: Frame) -> None:
    data = memoryview(encode(frame))
    while data:
        data = data[os.write(target, data) :]
