"""Errors of models: an unusable catalog, an unknown model, a provider that fails."""

from http import HTTPStatus
from typing import Literal

from backend.errors import DomainError

FailureCode = Literal[
    "provider_auth", "provider_rate_limited", "provider_unavailable", "content_filtered", "context_too_long"
]


class CatalogError(Exception):
    """The models file cannot be used; the message names the file, the entry and the key."""


class UnknownModel(DomainError):
    """No such model is offered here."""

    code = "validation_error"
    status = HTTPStatus.UNPROCESSABLE_ENTITY


class ProviderError(Exception):
    """A provider refused, failed or sent an invalid response.

    :ivar code: one of the failures that a run reports.
    :ivar detail: a sentence for users; never holds a key.
    :ivar provider: the provider's name in the catalog.
    :ivar retryable: the same request may succeed later.
    :ivar retry_after: seconds that the provider asked to wait, if it did.
    """

    def __init__(
        self,
        code: FailureCode,
        detail: str,
        *,
        provider: str,
        retryable: bool,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.code: FailureCode = code
        self.detail = detail
        self.provider = provider
        self.retryable = retryable
        self.retry_after = retry_after
