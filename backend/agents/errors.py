"""Refusals of agents, conversations and runs."""

from http import HTTPStatus

from backend.errors import Conflict, DomainError


class ConversationBusy(DomainError):
    """Another run of this conversation has not ended."""

    code = "conversation_busy"
    status = HTTPStatus.CONFLICT


class ContextTooLong(DomainError):
    """This is more text than the model can read at once."""

    code = "context_too_long"
    status = HTTPStatus.UNPROCESSABLE_ENTITY


class RunNotRetryable(Conflict):
    """Only a run that failed or was cancelled can be tried again."""


class RunEnded(Conflict):
    """The run has already ended."""


class AgentDeleted(Conflict):
    """The agent of this conversation has been deleted."""
