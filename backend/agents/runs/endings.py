"""The ways in which a run may end; ``settlement`` ends it so."""

from dataclasses import dataclass
from typing import Any

from backend.agents.models import Message, Run

Failure = dict[str, Any]  # code, detail, provider, retryable


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ends. ``error`` is given exactly when it failed, ``finish_reason`` only when it completed."""

    status: str
    message_status: str
    error: Failure | None = None
    finish_reason: str = ""

    @classmethod
    def completed(cls, finish_reason: str) -> "Ending":
        return cls(Run.Status.COMPLETED, Message.Status.COMPLETE, finish_reason=finish_reason)

    @classmethod
    def cancelled(cls) -> "Ending":
        return cls(Run.Status.CANCELLED, Message.Status.INTERRUPTED)

    @classmethod
    def failed(cls, code: str, detail: str, *, provider: str | None = None, retryable: bool = True) -> "Ending":
        error = {"code": code, "detail": detail, "provider": provider, "retryable": retryable}
        return cls(Run.Status.FAILED, Message.Status.FAILED, error)


class Failed(Exception):
    """The run cannot continue."""

    def __init__(self, code: str, detail: str, *, provider: str | None = None, retryable: bool = True) -> None:
        super().__init__(detail)
        self.ending = Ending.failed(code, detail, provider=provider, retryable=retryable)
