"""Every list is cursor pages: ``{"results": […], "next": url|null, "previous": url|null}``."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db import DataError
from django.utils.translation import gettext as _
from rest_framework import pagination
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from backend.errors import FieldError


def limit_of(request: Request) -> int:
    """How many the client wants on a page.

    :raises FieldError: it asks for none, too many, or no number at all.
    """
    text = request.query_params.get("limit")
    if text is None:
        return 50
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= 200):
        raise FieldError("/limit", _("A limit is a number from 1 to 200."))
    return int(text)


def _unknown_cursor() -> FieldError:
    return FieldError("/cursor", _("This cursor is not one that a page of this list gave."))


class CursorPagination(pagination.CursorPagination):
    """Newest first by id (UUIDv7), which no insert or delete elsewhere can shift; a view may set ``ordering``."""

    ordering: str | tuple[str, ...] = "-id"
    page_size = 50
    page_size_query_param = "limit"
    max_page_size = 200
    template = None

    def get_page_size(self, request: Request) -> int:
        return limit_of(request)

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> Any:
        try:
            return super().paginate_queryset(queryset, request, view)
        except (NotFound, ValidationError, ValueError, TypeError, DataError) as error:
            if "cursor" not in request.query_params:
                raise
            raise _unknown_cursor() from error

    def get_paginated_response(self, data: Sequence[Any]) -> Response:
        return Response({"results": data, "next": self.get_next_link(), "previous": self.get_previous_link()})

    def get_paginated_response_schema(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        return _page_schema(schema)


class ShortListPagination(pagination.LimitOffsetPagination):
    """Pages of a short list that is in memory as a whole; its cursor is the position of a page's first item."""

    offset_query_param = "cursor"
    template = None

    def get_limit(self, request: Request) -> int:
        return limit_of(request)

    def get_offset(self, request: Request) -> int:
        text = request.query_params.get("cursor", "0")
        if not (text.isascii() and text.isdigit() and len(text) <= 6):
            raise _unknown_cursor()
        return int(text)

    def get_paginated_response(self, data: Sequence[Any]) -> Response:
        return Response({"results": data, "next": self.get_next_link(), "previous": self.get_previous_link()})

    def get_paginated_response_schema(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        return _page_schema(schema)


def _page_schema(items: Mapping[str, Any]) -> dict[str, Any]:
    link = {"type": "string", "format": "uri", "nullable": True}
    return {
        "type": "object",
        "required": ["results", "next", "previous"],
        "properties": {"results": items, "next": link, "previous": link},
    }
