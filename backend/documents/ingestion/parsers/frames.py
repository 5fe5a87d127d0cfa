"""The messages between a worker and its parser process: msgpack behind a length of four bytes."""

from typing import Any

import msgspec

MAX_FRAMES_BYTES = 256 * 1024 * 1024  # Bytes of all frames of a job: more is nonsense.
MAX_JOB_BYTES = 64 * 1024


class Job(msgspec.Struct, kw_only=True):
    """What to do with a file, and within which limits. The file itself comes beside it, as an open descriptor."""

    task: str  # "parse", "render" or "detect"
    content_type: str
    cpu_seconds: int  # Until the first frame, and from one frame to the next.
    total_cpu_seconds: int  # From the start to the end.
    memory_bytes: int
    start: int = 0  # Pages that are done already.
    batch: int = 16  # Pages per frame at most.
    batch_seconds: float = 1.0  # Wall clock after which a frame is sent with the pages there are.
    page_cpu_seconds: int = 10
    max_pages: int = 5_000
    max_characters: int = 20_000_000
    max_unpacked_bytes: int = 200_000_000
    page: int = 1  # What to render, from 1.
    width: int = 1200  # Pixels.


class PageText(msgspec.Struct, array_like=True):
    """A page, or a stretch of text. ``lines`` as in the model ``Page``, but spans count from this page's start.

    :ivar unreadable: most of the text is no words (``legibility.py``).
    :ivar fields_left_out: the page has more annotations than are read.
    """

    number: int
    text: str
    lines: list[tuple[int, int, int, int, int, int]] = []
    unreadable: bool = False
    fields_left_out: bool = False


class Frame(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What a job sends, through a pipe of its own.

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
    """What a web process takes of a frame: no lists, of which a few bytes become many objects."""

    kind: str
    image: bytes = b""
    content_type: str = ""
    code: str = ""
    detail: str = ""
    cpu_seconds: float = 0.0


class Report(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What the parser process itself sends, through its socket: first that it is ready, then how each job ended.

    :ivar kind: ``ready`` (layers: what isolates it from here on) or ``ended`` (signal: what killed the job, if any).
    """

    kind: str
    layers: dict[str, str] = {}  # By name: empty where the layer holds, else why it does not.
    signal: int = 0
    cpu_seconds: float = 0.0  # Processor time of the job.


class ParseError(Exception):
    """The file cannot be read; ``code`` and ``detail`` are for its owner."""

    def __init__(self, code: str, detail: str) -> None:
        self.code = code
        self.detail = detail
        super().__init__(f"{code}: {detail}")


def encode(message: Any) -> bytes:
    body = msgspec.msgpack.encode(message)
    return len(body).to_bytes(4, "big") + body
