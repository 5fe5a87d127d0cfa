"""The request of the operator while a page of the admin is rendered.

The functions that render a cell get the row and not the request, and a cell links only to what the operator may view.
"""

from contextvars import ContextVar
from typing import Any

from django.contrib.auth import get_permission_codename
from django.db.models import Model
from django.http import HttpRequest

request: ContextVar[HttpRequest | None] = ContextVar("operator_request", default=None)


def may_view(model: type[Model], *, asking: HttpRequest | None = None) -> bool:
    """Whether the operator of the request may view objects of a model; never without a request."""
    asking = asking or request.get()
    user: Any = getattr(asking, "user", None)
    if user is None:
        return False
    options = model._meta
    return any(
        user.has_perm(f"{options.app_label}.{get_permission_codename(action, options)}")
        for action in ("view", "change")
    )


def may_read_texts() -> bool:
    """Whether texts that users wrote are shown: to superusers only."""
    return bool(getattr(getattr(request.get(), "user", None), "is_superuser", False))
