"""Finds an object of any list by its typed id, and users by their address."""

from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

from backend.accounts.models import User
from backend.accounts.operators.current import may_view

MAX_FOUND = 5  # Users that one search shows.


@dataclass(frozen=True, slots=True)
class Found:
    """One result, with the attributes that unfold's templates read."""

    title: str
    description: Any
    link: str
    icon: str = "arrow_outward"


def find(request: HttpRequest, asked: str) -> list[Found]:
    """The objects of that id or address that the operator may view. A typed id takes one query."""
    asked = asked.lower()  # Headings begin with a capital letter, ids too.
    if "@" in asked:
        if not may_view(User, asking=request):
            return []
        users = User.objects.filter(email__startswith=asked).order_by("email")[:MAX_FOUND]
        return [_found(User, user) for user in users]
    registered: Any = admin.site._registry
    for model, page in sorted(registered.items(), key=lambda item: not _is_own(item[0], asked)):
        paths = {**getattr(page, "contains", {}), **({model.id_prefix: "pk"} if _is_own(model, asked) else {})}
        if asked.partition("_")[0] not in paths or not may_view(model, asking=request):
            continue
        rows = page.by_typed_id(page.get_queryset(request), asked, paths)
        return [] if rows is None else [_found(model, row) for row in rows[:1]]
    return []


def _is_own(model: Any, asked: str) -> bool:
    return getattr(model, "id_prefix", None) == asked.partition("_")[0]


def _found(model: Any, row: Any) -> Found:
    options = model._meta
    link = reverse(f"admin:{options.app_label}_{options.model_name}_change", args=[row.pk])
    return Found(title=str(row) or row.public_id, description=options.verbose_name, link=link)
