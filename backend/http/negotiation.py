"""The format of a response."""

import re
from collections.abc import Iterable
from typing import Any

from django.http import HttpRequest
from django.http.request import MediaType
from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

_QUALITY = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")  # RFC 9110, 12.4.2.


def preference(request: HttpRequest, media_type: str) -> tuple[float, int, int]:
    """How much the client wants this type, by the most specific range in ``Accept`` that has it; greater is preferred.

    The quality decides; then a type that the client names comes before one that ``*/*`` includes; then the order.

    Django's ``get_preferred_type`` does not find ``text/event-stream`` in ``text/event-stream; charset=utf-8``, and
    takes an invalid quality for 1. Here the parameters of a range do not matter, and one with an invalid quality is
    ignored.
    """
    main, _, sub = media_type.partition("/")
    found: list[tuple[int, float, int]] = []
    for place, text in enumerate(request.headers.get("Accept", "*/*").split(",")):
        accepted = MediaType(text)
        quality = str(accepted.params.get("q", "1"))
        if accepted.main_type in (main, "*") and accepted.sub_type in (sub, "*") and _QUALITY.fullmatch(quality):
            found.append(((accepted.main_type == main) + (accepted.sub_type == sub), float(quality), -place))
    specificity, quality_of_range, place = max(found, default=(0, 0.0, 0))
    return (quality_of_range, specificity, place) if quality_of_range else (0.0, 0, 0)


class LenientNegotiation(DefaultContentNegotiation):
    """Ignores an Accept header that names no format of the view: the client gets its first one, JSON or the file."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, Any]:
        known = list(renderers)
        try:
            chosen: tuple[BaseRenderer, Any] = super().select_renderer(request, known, format_suffix)
        except NotAcceptable:
            return known[0], known[0].media_type
        return chosen
