"""Filters that the admin's lists share: by a related object, and by stored codes shown in words."""

from collections.abc import Iterator
from typing import Any

from django.contrib.admin import AllValuesFieldListFilter, SimpleListFilter
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from backend.accounts.operators import cells
from backend.accounts.operators.current import may_view
from backend.accounts.operators.labels import code_label

PARAMETER = "of"


class OfObject(SimpleListFilter):
    """``?of=wsp_01…``: the rows that belong to one object. Other pages link to it.

    The page declares in ``of`` the column of each kind of object. An operator who may not view that kind may not filter
    by it, because the list would reveal what belongs to which object.
    """

    title = _("what it belongs to")
    parameter_name = PARAMETER

    def __init__(self, request: HttpRequest, params: Any, model: type[Model], model_admin: Any) -> None:
        self.page = model_admin
        super().__init__(request, params, model, model_admin)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        asked = request.GET.get(PARAMETER)
        if not asked:
            return []
        found = cells.named_by(asked)
        prefix = asked.partition("_")[0]
        if found is None or prefix not in model_admin.of or not may_view(found[0], asking=request):
            raise DisallowedModelAdminLookup(f"This list is not filtered by {asked[:40]!r}.")
        self.target = found[0]._default_manager.filter(pk=found[1]).first()
        return [(asked, str(self.target or asked))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        asked = str(self.value() or "")
        filtered: QuerySet[Any] | None = self.page.by_typed_id(queryset, asked, self.page.of)
        return queryset.none() if filtered is None else filtered

    @property
    def banner(self) -> Any:
        """The object that the list is filtered by, for the line above the list."""
        return cells.link(self.target) if self.target is not None else self.value()


class WordedFilter(AllValuesFieldListFilter):
    """Filter by the values of a column, shown in words."""

    def choices(self, changelist: Any) -> Iterator[Any]:
        context = f"{self.field.model._meta.model_name}.{self.field.name}"
        for choice in super().choices(changelist):
            shown = choice.get("display")
            yield (
                choice
                if not isinstance(shown, str) or shown == ""
                else {**choice, "display": self._word(context, shown)}
            )

    def _word(self, context: str, shown: str) -> Any:
        return code_label(context, shown) if shown in self.lookup_choices else shown
