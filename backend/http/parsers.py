"""A strict JSON parser: 400 for JSON that PostgreSQL cannot store or that is ambiguous."""

import json
from collections.abc import Iterator, Mapping
from typing import IO, Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest
from django.utils.translation import gettext as _
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

MAX_DEPTH = 64
MAX_VALUES = 10_000  # Each may cost an error of its own. The largest sensible body has a tenth of them.
MAX_INTEGER = 2**63 - 1


def loads(body: bytes) -> Any:
    """The value of a JSON text.

    :raises ParseError: not UTF-8, not JSON (RFC 8259), nested more than 64 deep, more than 10,000 values and names, a
        name twice in one object, a number that is infinite, not a number or an integer of more than 64 bits, or text
        with NUL or half a surrogate pair.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ParseError(_("The body is not UTF-8.")) from error
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_float,
            parse_int=_integer,
        )
    except RecursionError as error:
        raise ParseError(_("The JSON is nested too deep.")) from error
    except ValueError as error:
        raise ParseError(_("The body is not valid JSON: {reason}").format(reason=error)) from error
    _check(value)
    return value


def read_json(request: HttpRequest) -> Any:
    """The JSON body of a plain Django request.

    :raises ParseError: as ``loads``.
    :raises RequestDataTooBig: more than DATA_UPLOAD_MAX_MEMORY_SIZE bytes.
    """
    return loads(request.body)


class JSONParser(BaseParser):
    """DRF's parser class for ``application/json``: as ``loads``, and no body above DATA_UPLOAD_MAX_MEMORY_SIZE."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        context = parser_context or {}
        encoding = str(context.get("encoding") or "utf-8").lower()
        if encoding not in ("utf-8", "utf8"):
            raise ParseError(_("JSON is UTF-8; send no other charset."))
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        request = context.get("request")
        if request is not None and int(request.META.get("CONTENT_LENGTH") or 0) > limit:
            raise RequestDataTooBig  # Without waiting for the body.
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise RequestDataTooBig
        return loads(body)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name occurs twice in one object")
    return members


def _constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _float(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise ValueError("a number is too large")
    return number


def _integer(digits: str) -> int:
    number = int(digits) if len(digits) <= 20 else MAX_INTEGER + 1
    if abs(number) > MAX_INTEGER:
        raise ValueError("a number is too large")
    return number


def _check(value: Any) -> None:
    level, seen = [value], 0
    for _depth in range(MAX_DEPTH):
        level = [inner for container in level for inner in _contents(container)]
        if not level:
            return
        seen += len(level)
        if seen > MAX_VALUES:
            raise ParseError(_("The JSON holds too many values."))
    raise ParseError(_("The JSON is nested too deep."))


def _contents(value: Any) -> Iterator[Any]:
    if isinstance(value, str):
        if "\0" in value or not _encodable(value):
            raise ParseError(_("Text may hold neither NUL nor half a surrogate pair."))
    elif isinstance(value, dict):
        yield from value
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
