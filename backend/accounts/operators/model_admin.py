"""What every list of the admin lets an operator ask: the declared filters, the search, nothing else.

Django lets a list be filtered by any column of its table (``?state_key__gte=k``) and by many of related ones. An
operator who may look at a list could read a hidden column through it, letter by letter. Every model is registered with
this class.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from django.contrib.admin.filters import EmptyFieldListFilter, SimpleListFilter
from django.contrib.admin.utils import get_fields_from_path
from django.contrib.auth import get_permission_codename
from django.core.exceptions import FieldDoesNotExist
from django.db.models import DateField, Model
from django.http import HttpRequest
from unfold.admin import ModelAdmin


class OperatorModelAdmin(ModelAdmin):  # type: ignore[misc]  # unfold ships no types that mypy reads.
    """Base of every page of the admin."""

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Only what a filter of the list puts into an address."""
        return lookup in set(self._parameters(request))

    def _parameters(self, request: HttpRequest) -> Iterator[str]:
        for declared in self.get_list_filter(request):
            if isinstance(declared, type) and issubclass(declared, SimpleListFilter):
                yield str(declared.parameter_name)
                continue
            path, kind = (declared, None) if isinstance(declared, str) else declared
            field = get_fields_from_path(self.model, path)[-1]
            if kind is EmptyFieldListFilter:
                yield f"{path}__isempty"
                continue
            yield from (path, f"{path}__exact", f"{path}__isnull")
            if isinstance(field, DateField):
                yield from (f"{path}__gte", f"{path}__lt")
        if self.date_hierarchy:
            yield from (f"{self.date_hierarchy}__{part}" for part in ("year", "month", "day"))

    def to_field_allowed(self, request: HttpRequest, to_field: str) -> bool:
        """Windows beside a form name objects by their key, never by another column."""
        return bool(to_field == self.opts.pk.name)

    def get_search_fields(self, request: HttpRequest) -> Sequence[str]:
        """Without those of models that this operator may not look at: a search tells what such a field begins with."""
        return [name for name in super().get_search_fields(request) if self._may_search(request, name)]

    def _may_search(self, request: HttpRequest, name: str) -> bool:
        options = self.opts
        for part in name.lstrip("^=@$").split("__"):
            try:
                field: Any = options.get_field(part)
            except FieldDoesNotExist:  # "pk", or a lookup such as "exact".
                return True
            if not field.is_relation:
                return True
            if not _may_view(request, field.related_model):
                return False
            options = field.related_model._meta
        return True


def _may_view(request: HttpRequest, model: type[Model]) -> bool:
    may: Any = getattr(request.user, "has_perm")  # noqa: B009  # The stub of request.user does not know operators.
    codename = get_permission_codename("view", model._meta)
    change = get_permission_codename("change", model._meta)
    return bool(may(f"{model._meta.app_label}.{codename}") or may(f"{model._meta.app_label}.{change}"))
