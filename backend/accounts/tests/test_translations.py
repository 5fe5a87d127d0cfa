import inspect

import pytest
from django.utils import translation
from django.utils.translation import gettext

from backend.accounts import errors
from backend.errors import DomainError

REFUSALS = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, DomainError) and value.__module__ == errors.__name__
]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_every_refusal_speaks_portuguese(refusal: type[DomainError]) -> None:
    message = str(refusal.__doc__)
    with translation.override("pt-br"):
        assert gettext(message) != message
    with translation.override("en"):
        assert gettext(message) == message
