"""What one document may take in all, and how long a worker reads it before others have their turn."""

import time

from django.conf import settings

from backend.documents.errors import IngestionFailed
from backend.documents.ingestion import lease, queue
from backend.documents.models import Ingestion


class TurnEnded(Exception):
    """Another ingestion is due; this one goes on later, from its cursor."""


class Budget:
    """The time that a claimed ingestion has taken so far, over all of its batches, attempts and workers.

    It is written to the row with every batch and every renewal of the lease: a worker that is killed loses the seconds
    since then, five at most.
    """

    def __init__(self, ingestion: Ingestion) -> None:
        self._ingestion = ingestion
        self._began = time.monotonic()
        self._seconds = ingestion.seconds  # Before this claim.
        self._cpu_seconds = ingestion.cpu_seconds  # Before the job under way.
        self._turn = settings.INGESTION_TURN_SECONDS

    @property
    def cpu_seconds_left(self) -> int:
        return max(1, round(settings.PARSER_DOCUMENT_CPU_SECONDS - self._ingestion.cpu_seconds))

    def begin_job(self) -> None:
        """A parser begins; its processor time is counted from zero."""
        self._cpu_seconds = self._ingestion.cpu_seconds

    def record(self, *, job_cpu_seconds: float) -> None:
        """Count the time up to now.

        :param job_cpu_seconds: of the parser since the job began.
        """
        self._ingestion.seconds = self._seconds + time.monotonic() - self._began
        self._ingestion.cpu_seconds = self._cpu_seconds + job_cpu_seconds

    def check(self) -> None:
        """:raises IngestionFailed: the document has taken more than one may."""
        for spent, limit, unit in (
            (self._ingestion.cpu_seconds, settings.PARSER_DOCUMENT_CPU_SECONDS, "seconds of processor time"),
            (self._ingestion.seconds, settings.PARSER_DOCUMENT_SECONDS, "seconds"),
        ):
            if spent > limit:
                raise IngestionFailed("too_complex", f"Reading the file takes more than {limit:g} {unit}.")

    def renew(self, *, job_cpu_seconds: float = 0.0) -> None:
        """Count the time and renew the lease.

        :raises IngestionFailed: the document has taken more than one may.
        :raises LeaseLost: it is not ours any more.
        """
        self.record(job_cpu_seconds=job_cpu_seconds)
        lease.write(self._ingestion)
        self.check()

    def record_opening(self) -> None:
        """The parser has opened the file. What that took is spent again in each turn, so a turn lasts twice as long."""
        self._turn = max(self._turn, 2 * (time.monotonic() - self._began))

    def end_turn_if_due(self) -> None:
        """:raises TurnEnded: this worker has read long enough, and another ingestion is due before this one."""
        if time.monotonic() - self._began >= self._turn and queue.is_outranked(self._ingestion):
            raise TurnEnded
