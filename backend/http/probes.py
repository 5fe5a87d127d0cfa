"""What launchers, gateways and Prometheus ask every process: does it live, do its parts answer, its metrics."""

import ipaddress

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.crypto import constant_time_compare
from prometheus_client import CONTENT_TYPE_LATEST

from backend.errors import Forbidden
from backend.http.methods import read_only
from backend.http.problems import problem_response
from backend.server import health
from backend.server import metrics as measured

FORWARDED = ("HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_REAL_IP", "HTTP_VIA")


@read_only
async def healthz(request: HttpRequest) -> HttpResponse:
    """The process lives."""
    return JsonResponse({"status": "ok"})


@read_only
async def readyz(request: HttpRequest) -> HttpResponse:
    """200 when every dependency answers within two seconds, else 503; each is named."""
    states = await health.states_of_parts()
    if all(state == "ok" for state in states.values()):
        return JsonResponse({"status": "ok", "checks": states})
    return problem_response(request, status=503, code="service_unavailable", checks=states)


class NotForYou(Forbidden):
    """Metrics are served to this machine alone, or to the holder of METRICS_TOKEN."""


def _may_read(request: HttpRequest) -> bool:
    """The holder of METRICS_TOKEN; without one, a peer that is near and asked directly.

    Near is this machine for a process that carries the whole product, whose port clients reach, and any private network
    for one that carries a part of it, whose port the gateway and Prometheus reach. What a proxy passed on comes from
    anywhere.
    """
    if token := settings.METRICS_TOKEN:
        given = request.META.get("HTTP_AUTHORIZATION", "")
        return constant_time_compare(given.encode("utf-8", "replace"), f"Bearer {token}".encode())
    if any(name in request.META for name in FORWARDED):
        return False
    try:
        peer = ipaddress.ip_address(request.META.get("REMOTE_ADDR") or "")
    except ValueError:
        return False
    peer = getattr(peer, "ipv4_mapped", None) or peer
    return peer.is_loopback or (peer.is_private and set(settings.SERVICES) != set(settings.EVERY_SERVICE))


@read_only
def metrics(request: HttpRequest) -> HttpResponse:
    """Every metric, in Prometheus's text format.

    :raises NotForYou: see ``_may_read``.
    """
    if not _may_read(request):
        raise NotForYou
    return HttpResponse(measured.as_text(), content_type=CONTENT_TYPE_LATEST)
