"""The time limits of one document: in all, and of one turn of a worker."""

import time

from django.conf import settings

from backend.documents.errors import IngestionFailed
from backend.documents.ingestion import lease, queue
from backend.documents.models import Ingestion


class TurnEnded(Exception):
    """Another ingestion comes first; this one continues later, from its cursor."""


class Budget:
    """The time that a claimed ingestion has taken so far, over all of its batches, attempts and workers.

    Every batch and every renewal of the lease writes it to the row. The time of a killed worker is therefore counted
    up to its last renewal, at most five seconds before. Without that, a file that kills its workers would be read again
    and again with a fresh budget.
    """

    def __init__(self, ingestion: Ingestion) -> None:
        self._ingestion = ingestion
        self._began = time.monotonic()
        self._seconds = ingestion.seconds  # Before this claim.
        self._cpu_seconds = ingestion.cpu_seconds  # Before the running job.
        self._turn = settings.INGESTION_TURN_SECONDS

    @property
    def cpu_seconds_left(self) -> int:
        return max(1, round(settings.PARSER_DOCUMENT_CPU_SECONDS - self._ingestion.cpu_seconds))

    def begin_job(self) -> None:
        """A parser starts; its processor time is counted from zero."""
        self._cpu_seconds = self._ingestion.cpu_seconds

    def record(self, *, job_cpu_seconds: float) -> None:
        """Add the time up to now to the ingestion, in memory.

        :param job_cpu_seconds: processor time of the parser since the job began.
        """
        self._ingestion.seconds = self._seconds + time.monotonic() - self._began
        self._ingestion.cpu_seconds = self._cpu_seconds + job_cpu_seconds

    def check(self) -> None:
        """:raises IngestionFailed: the document has used up its time."""
        for used, limit, unit in (
            (self._ingestion.cpu_seconds, settings.PARSER_DOCUMENT_CPU_SECONDS, "seconds of processor time"),
            (self._ingestion.seconds, settings.PARSER_DOCUMENT_SECONDS, "seconds"),
        ):
            if used > limit:
                raise IngestionFailed("too_complex", f"Reading the file takes more than {limit:g} {unit}.")

    def renew(self, *, job_cpu_seconds: float = 0.0) -> None:
        """Store the time and renew the lease.

        :raises IngestionFailed: the document has used up its time.
        :raises LeaseLost: another worker claimed it, or it was cancelled.
        """
        self.record(job_cpu_seconds=job_cpu_seconds)
        lease.write(self._ingestion)
        self.check()

    def record_opening(self) -> None:
        """The parser has opened the file. Each turn opens it again, so a turn lasts at least twice as long as that
        took.
        """
        self._turn = max(self._turn, 2 * (time.monotonic() - self._began))

    def end_turn_if_due(self) -> None:
        """:raises TurnEnded: the turn has lasted long enough, and another ingestion comes before this one."""
        if time.monotonic() - self._began >= self._turn and queue.is_outranked(self._ingestion):
            raise TurnEnded
