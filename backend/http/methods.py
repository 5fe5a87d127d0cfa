"""Which methods a plain Django view answers."""

from collections.abc import Callable
from typing import Any, TypeVar

from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

View = TypeVar("View", bound=Callable[..., Any])


def read_only(view: View) -> View:
    """GET and HEAD. Anything else is a 405 and no question of cookies, as it would change nothing."""
    return csrf_exempt(require_safe(view))
