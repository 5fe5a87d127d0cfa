"""Cursor pagination of every list: ``{"results": […], "next": url|null, "previous": url|null}``.

A cursor is ``n`` or ``p`` (the next or the previous page), a number of rows to skip, and the position after which the
page begins: ``n0_018f3c…``. Its pattern is in the OpenAPI document, and every text that matches the pattern is a
valid cursor.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _
from rest_framework import pagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from backend.errors import FieldError


def limit_of(request: Request) -> int:
    """The page size that the client asks for.

    :raises FieldError: it is not a number from 1 to 200.
    """
    text = request.query_params.get("limit")
    if text is None:
        return 50
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= 200):
        raise FieldError("/limit", _("A limit is a number from 1 to 200."))
    return int(text)


def _unknown_cursor() -> FieldError:
    return FieldError("/cursor", _("This cursor is not one that a page of this list gave."))


@dataclass(frozen=True, slots=True)
class Position:
    """The text form in cursors of the values of the column that orders a list.

    :ivar pattern: a regular expression; ``read`` accepts every text that matches it.
    """

    pattern: str
    write: Callable[[Any], str]
    read: Callable[[str], Any]


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
IDS = Position("[0-9a-f]{32}", lambda value: value.hex, UUID)
NUMBERS = Position("[0-9]{1,18}", str, int)
TIMES = Position(  # Microseconds.
    "[0-9]{1,16}",
    lambda value: str((value - EPOCH) // timedelta(microseconds=1)),
    lambda text: EPOCH + timedelta(microseconds=int(text)),
)


class CursorPagination(pagination.CursorPagination):
    """Newest first by id (UUIDv7), so that inserts and deletes do not shift pages; a view may set ``ordering``.

    :cvar position: the text form of the first column of ``ordering``.
    """

    ordering: str | tuple[str, ...] = "-id"
    position: Position = IDS
    page_size = 50
    page_size_query_param = "limit"
    max_page_size = 200
    template = None

    def get_page_size(self, request: Request) -> int:
        return limit_of(request)

    @classmethod
    def pattern(cls) -> str:
        return f"([np])([0-9]{{1,4}})(?:_({cls.position.pattern}))?"

    def decode_cursor(self, request: Request) -> pagination.Cursor | None:
        text = request.query_params.get(self.cursor_query_param)
        if text is None:
            return None
        found = re.fullmatch(self.pattern(), text, re.ASCII)
        if found is None:
            raise _unknown_cursor()
        way, offset, position = found.groups()
        at = None if position is None else self.position.read(position)
        return pagination.Cursor(offset=min(int(offset), self.offset_cutoff), reverse=way == "p", position=at)

    def encode_cursor(self, cursor: pagination.Cursor) -> str:
        text = f"{'p' if cursor.reverse else 'n'}{cursor.offset}"
        if cursor.position is not None:
            text += f"_{self.position.write(cursor.position)}"
        return str(replace_query_param(str(self.base_url), self.cursor_query_param, text))

    def _get_position_from_instance(self, instance: Any, ordering: Sequence[str]) -> Any:
        return getattr(instance, ordering[0].lstrip("-"))

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return _parameters(f"^{self.pattern()}$")

    def get_paginated_response(self, data: Sequence[Any]) -> Response:
        return Response({"results": data, "next": self.get_next_link(), "previous": self.get_previous_link()})

    def get_paginated_response_schema(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        return _page_schema(schema)


class ShortListPagination(pagination.LimitOffsetPagination):
    """Pages of a short list that is in memory; the cursor is the index of the first item of a page."""

    offset_query_param = "cursor"
    template = None

    def get_limit(self, request: Request) -> int:
        return limit_of(request)

    def get_offset(self, request: Request) -> int:
        text = request.query_params.get("cursor", "0")
        if not (text.isascii() and text.isdigit() and len(text) <= 6):
            raise _unknown_cursor()
        return int(text)

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return _parameters("^[0-9]{1,6}$")

    def get_paginated_response(self, data: Sequence[Any]) -> Response:
        return Response({"results": data, "next": self.get_next_link(), "previous": self.get_previous_link()})

    def get_paginated_response_schema(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        return _page_schema(schema)


def _parameters(pattern: str) -> list[dict[str, Any]]:
    limit = {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}
    cursor = {"type": "string", "pattern": pattern}
    cursor_text = "Where a page begins. Take it from `next` or `previous` of another page; it is opaque."
    return [
        {"in": "query", "name": "limit", "description": "How many are on a page.", "schema": limit},
        {"in": "query", "name": "cursor", "description": cursor_text, "schema": cursor},
    ]


def _page_schema(items: Mapping[str, Any]) -> dict[str, Any]:
    link = {"type": ["string", "null"], "format": "uri"}
    return {
        "type": "object",
        "required": ["results", "next", "previous"],
        "properties": {"results": items, "next": link, "previous": link},
    }
