"""Refusals of billing."""

from http import HTTPStatus

from backend.errors import Conflict, DomainError, NotFound


class InsufficientBalance(DomainError):
    """The balance does not cover this request."""

    code = "insufficient_balance"
    status = HTTPStatus.PAYMENT_REQUIRED


class ModelUnpriced(DomainError):
    """This model has no price, so it cannot be charged for."""

    code = "model_unpriced"
    status = HTTPStatus.UNPROCESSABLE_ENTITY


class InvalidAmount(DomainError):
    """This is not an amount that can be moved."""

    code = "validation_error"
    status = HTTPStatus.UNPROCESSABLE_ENTITY


class KeyReused(Conflict):
    """This key was used before for something else."""


class ReferenceClosed(Conflict):
    """This has been settled already."""


class WalletNotFound(NotFound):
    """This workspace has no wallet."""
