"""The messages between a worker and its parser process: msgpack, prefixed with a length of four bytes."""

from typing import Any

import msgspec

MAX_FRAMES_BYTES = 256 * 1024 * 1024  # Bytes of all frames of a job; no valid job sends more.
MAX_JOB_BYTES = 64 * 1024


class Job(msgspec.Struct, kw_only=True):
    """A task on a file, with its limits. The file is sent beside it as an open descriptor."""

    task: str  # "parse", "render" or "detect"
    content_type: str
    cpu_seconds: int  # Until the first frame, and from one frame to the next.
    total_cpu_seconds: int  # From the start to the end.
    memory_bytes: int
    start: int = 0  # Pages that are committed already.
    batch: int = 16  # Pages per frame at most.
    batch_seconds: float = 1.0  # Wall-clock time after which a frame is sent with the pages read so far.
    page_cpu_seconds: int = 10
    max_pages: int = 5_000
    max_characters: int = 20_000_000
    max_unpacked_bytes: int = 200_000_000
    page: int = 1  # What to render, from 1.
    width: int = 1200  # Pixels.


class PageText(msgspec.Struct, array_like=True):
    """A page, or a stretch of text. ``lines`` as in the model ``Page``, but spans count from this page's start.

    :ivar unreadable: most of the text is not words (``legibility.py``).
    :ivar fields_left_out: the page has more annotations than are read.
    """

    number: int
    text: str
    lines: list[tuple[int, int, int, int, int, int]] = []
    unreadable: bool = False
    fields_left_out: bool = False


class Frame(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A message of a job, sent through a pipe of its own.

    :ivar kind: ``opened`` (total, paged), ``pages``, ``image``, ``detected`` (content_type, or empty for what cannot
        be read), ``end``, ``failed`` (code, detail), ``crashed`` (detail: the traceback).
    """

    kind: str
    total: int = 0
    paged: bool = False
    pages: list[PageText] = []
    warnings: list[tuple[str, str]] = []
    image: bytes = b""
    content_type: str = ""
    code: str = ""
    detail: str = ""
    cpu_seconds: float = 0.0


class Result(msgspec.Struct, kw_only=True):
    """A frame as web processes decode it, without lists: a few bytes of a list can become millions of objects."""

    kind: str
    image: bytes = b""
    content_type: str = ""
    code: str = ""
    detail: str = ""
    cpu_seconds: float = 0.0


class Report(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A message of the parser process itself, sent through its socket: that it is ready, or how a job ended.

    :ivar kind: ``ready`` (layers: what isolates it from here on) or ``ended`` (signal: what killed the job, if any).
    """

    kind: str
    layers: dict[str, str] = {}  # By name: empty if the layer holds, else why it does not.
    signal: int = 0
    cpu_seconds: float = 0.0  # Processor time of the job.


class ParseError(Exception):
    """The file cannot be read. The API returns ``code`` and ``detail``."""

    def __init__(self, code: str, detail: str) -> None:
        self.code = code
        self.detail = detail
        super().__init__(f"{code}: {detail}")


def encode(message: Any) -> bytes:
    body = msgspec.msgpack.encode(message)
    return len(body).to_bytes(4, "big") + body
