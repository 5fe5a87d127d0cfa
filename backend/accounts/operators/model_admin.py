"""Base classes of the admin's pages. A list accepts its declared filters and its search, and no other look-up.

Django lets a list be filtered by any column of its table (``?state_key__gte=k``) and by many of related tables. An
operator who may view a list could read a hidden column through it, letter by letter. So every model is registered with
a subclass of ``OperatorModelAdmin``.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.filters import EmptyFieldListFilter, SimpleListFilter
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import get_fields_from_path
from django.core.exceptions import FieldDoesNotExist
from django.db.models import DateField, Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.admin import ModelAdmin

from backend.accounts.operators import cells, labels
from backend.accounts.operators.current import may_view
from backend.accounts.operators.filters import OfObject
from backend.errors import NotFound
from backend.http.ids import decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of an object's page below its fields: a table, or a text.

    :ivar pages: ``(number, address, whether it is this one)`` when there is more than one page of it.
    """

    title: Any
    headers: Sequence[Any] = ()
    rows: Sequence[Sequence[Any]] = ()
    text: Any = ""
    note: Any = ""
    pages: Sequence[tuple[int, str, bool]] = field(default=())


class OperatorModelAdmin(ModelAdmin):  # type: ignore[misc]  # unfold ships no types that mypy reads.
    """Base of every page of the admin.

    :cvar of: by prefix of a related object's typed id, the column that ``?of=<id>`` filters this list by.
    :cvar contains: the same for objects without a page of their own: a search by their typed id finds this object.
    """

    of: ClassVar[Mapping[str, str]] = {}
    contains: ClassVar[Mapping[str, str]] = {}
    change_form_before_template = "accounts/admin/related.html"
    change_form_outer_after_template = "accounts/admin/sections.html"
    list_before_template = "accounts/admin/of.html"

    def __init__(self, model: type[Model], admin_site: Any) -> None:
        labels.translate(model)
        super().__init__(model, admin_site)

    def get_list_filter(self, request: HttpRequest) -> Sequence[Any]:
        declared: Sequence[Any] = super().get_list_filter(request)
        return [*declared, *([OfObject] if self.of else [])]

    def sections(self, request: HttpRequest, row: Any) -> list[Section]:
        """Tables and texts below the fields of the object's page."""
        return []

    def public_id_of(self, row: Any) -> str | None:
        """The typed id that other lists use for the object in ``?of=``."""
        found: str | None = getattr(row, "public_id", None)
        return found

    def related(self, request: HttpRequest, row: Any) -> list[tuple[Any, str]]:
        """Names and URLs of the lists of objects that belong to this one, as far as the operator may view them."""
        public_id = self.public_id_of(row)
        if public_id is None:
            return []
        prefix = public_id.partition("_")[0]
        found = cells.named_by(public_id)
        if found is None or not may_view(found[0], asking=request):
            return []  # The lists would refuse the filter. A wallet's related lists use the id of its workspace.
        lists = [(model, page) for model, page in admin.site._registry.items() if prefix in getattr(page, "of", {})]
        addresses = [
            (model._meta.verbose_name_plural, cells.listed(model, of=public_id))
            for model, page in lists
            if page is not self
        ]
        return [(name, address) for name, address in addresses if address is not None]

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        row = kwargs.get("obj")
        if row is not None:
            context = {**context, "related": self.related(request, row), "sections": self.sections(request, row)}
        shown: HttpResponse = super().render_change_form(request, context, *args, **kwargs)
        return shown

    def confirmation(
        self,
        request: HttpRequest,
        *,
        question: Any,
        button: Any,
        rows: Sequence[Model] = (),
        action: str = "",
        back: str | None = None,
    ) -> HttpResponse:
        """A page that asks to confirm an action on these objects. Its form posts ``confirmed`` to the same URL.

        :param action: the name of a list's action; the form then posts the same selection again.
        """
        chosen = [(ACTION_CHECKBOX_NAME, str(row.pk)) for row in rows]
        context = {
            **self.admin_site.each_context(request),
            "title": button,
            "opts": self.opts,
            "question": question,
            "button": button,
            "names": [cells.link(row) for row in rows],
            "hidden": [("action", action), ("index", "0"), *chosen] if action else [],
            "back": back or request.get_full_path(),
        }
        return TemplateResponse(request, "accounts/admin/confirm.html", context)

    def by_typed_id(self, rows: QuerySet[Any], asked: str, paths: Mapping[str, str]) -> "QuerySet[Any] | None":
        """The rows that match a typed id; none if it is malformed or its prefix is not in ``paths``."""
        prefix = asked.partition("_")[0]
        if prefix not in paths:
            return None
        try:
            key = decode(prefix, asked)
        except NotFound:
            return None
        path = paths[prefix]
        return rows.filter(**{path: asked if path == "reference" else key})

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> "tuple[QuerySet[Any], bool]":
        """Search by a typed id, of this model or of a related one that the operator may view; else by text."""
        asked = search_term.strip().lower()  # Headings begin with a capital letter, ids too.
        found = self.by_typed_id(queryset, asked, self.known_ids(request))
        if found is not None:
            return found, False
        results: tuple[QuerySet[Any], bool] = super().get_search_results(request, queryset, search_term)
        return results

    def known_ids(self, request: HttpRequest) -> dict[str, str]:
        """By prefix of typed ids, the column that they are looked up in."""
        own = getattr(self.model, "id_prefix", None)
        related = {
            prefix: path
            for prefix, path in self.of.items()
            if any(
                getattr(model, "id_prefix", None) == prefix and may_view(model, asking=request)
                for model in admin.site._registry
            )
        }
        return {**related, **self.contains, **({own: "pk"} if own else {})}

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Only the parameters that a declared filter puts into the URL."""
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
        """Pop-ups of related objects refer to them by primary key, never by another column."""
        return bool(to_field == self.opts.pk.name)

    def get_search_fields(self, request: HttpRequest) -> Sequence[str]:
        """Without fields of models that this operator may not view: hits would reveal how such a field begins."""
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
            if not may_view(field.related_model, asking=request):
                return False
            options = field.related_model._meta
        return True


class ReadOnlyAdmin(OperatorModelAdmin):
    """Base of read-only pages: objects are shown, and not added, changed or deleted."""

    show_full_result_count = False
    list_per_page = 50

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Sequence[str]:
        return list(self.get_fields(request, obj))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
